"""The demo's chapters that register: a pipeline, the same again, one that fails, one that replaces."""

import json
from dataclasses import dataclass

from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import RidgeCV

from chainfold.chain import OperatorChain
from chainfold.cli.demo_pipeline import Array, Pipeline
from chainfold.cli.demo_stage import AGAIN, BROKEN, FIRST, Stage
from chainfold.records import ArtifactType
from chainfold.registry import ArtifactRegistry

_SERUM = 1
_HALF = 0.5


@dataclass(frozen=True)
class Change:
    """What the run that replaced models did.

    Attributes:
        before: Position of its first entry.
        old_id: The meta-model that was in production before.
        new_id: The one that is now.
        old: What the first predicts, computed from the objects in memory.
        new: What the second predicts, likewise.
        replaced: Ids of the models that were superseded.
    """

    before: int
    old_id: str
    new_id: str
    old: Array
    new: Array
    replaced: list[str]


def register_pipeline(stage: Stage) -> Pipeline:
    """Fit a pipeline, and register all of it in a run."""
    registry = stage.registry
    stage.page.chapter(
        "Register all that a pipeline fits, in one run",
        "Others see nothing of a run until it commits, and then all of it at once.",
    )
    stage.page.code(
        'chain = "s3.StandardScaler[src=0]>s4.PLSRegression[br=0,src=0]"\n'
        "with registry.run():\n"
        '    registry.register_with_chain(model, chain, "model", 4, fold_id=0)'
    )
    pipeline = Pipeline(registry, FIRST, stage.data)
    with registry.run():
        pipeline.fit()
        registry.set_alias("production", pipeline.meta_id)
    records = registry.get_all_records()
    stage.page.table(
        ["type", "class", "artifacts", "bytes"],
        [
            (
                kind.value,
                ", ".join(sorted({each.class_name for each in those})),
                len(those),
                sum(each.size_bytes for each in those),
            )
            for kind in ArtifactType
            if (those := [each for each in records if each.artifact_type is kind])
        ],
    )
    made_from = registry.resolve_dependencies(pipeline.meta_id)
    stage.claim(
        f"The stack {pipeline.meta_id} was made from all {len(made_from)} others, and the alias production "
        f"points to it.",
        holds=len(records) == len(made_from) + 1 == len(pipeline.objects)
        and {each.artifact_type for each in records} == set(ArtifactType)
        and registry.alias("production") == pipeline.meta_id,
    )
    return pipeline


def repeat_pipeline(stage: Stage) -> None:
    """Fit the same pipeline under another id: not a file more."""
    stage.page.chapter(
        "Run the same pipeline again, as another one",
        "Same bytes, one file, whoever registers them: a repeated experiment adds no file.",
    )
    before = stage.registry.get_stats()
    with stage.registry.run():
        Pipeline(stage.registry, AGAIN, stage.data).fit()
    stats = stage.registry.get_stats()
    stage.page.code("registry.get_stats()")
    stage.claim(
        f"{stats['total_artifacts']} artifacts, {stats['unique_files']} files: "
        f"{stats['deduplication_ratio']:.0%} of {stats['total_size_bytes']:,} bytes saved.",
        holds=stats["total_artifacts"] == 2 * before["total_artifacts"]
        and stats["unique_files"] == before["unique_files"] == stats["disk_file_count"]
        and stats["disk_usage_bytes"] == before["disk_usage_bytes"]
        and stats["deduplication_ratio"] == _HALF,
    )


def fail(stage: Stage) -> None:
    """Let scikit-learn refuse data in the middle of a run."""
    registry = stage.registry
    stage.page.chapter(
        "A run that fails leaves nothing behind",
        "A third pipeline, with five folds; but one value of one patient's blood is missing.",
    )
    stage.page.code("with registry.run():  # an exception rolls it back\n    fit_and_register_all()")
    pipeline = Pipeline(registry, BROKEN, stage.data.with_gap(), folds=5)
    counts = [stage.count("before the run")]
    unseen, message = False, ""
    with ArtifactRegistry(registry.workspace, registry.dataset) as reader:
        try:
            with registry.run():
                try:
                    pipeline.fit()
                finally:
                    counts.append(stage.count("in the run, when it fails"))
                    unseen = not any(each in reader for each in pipeline.objects)
        except ValueError as error:
            message = str(error).splitlines()[0]
        counts.append(stage.count("after it"))
        unseen = unseen and not any(each in reader for each in pipeline.objects)
    stage.page.table(["", "artifacts", "files on disk"], counts)
    stage.claim(
        f"scikit-learn refused after {len(pipeline.objects)} artifacts: {message!r} No one else saw them.",
        holds="NaN" in message and unseen and counts[0][1:] == counts[2][1:] != counts[1][1:],
    )
    standings = {item.standing for each in pipeline.objects for item in registry.history(each)}
    (trace,) = [line for line in stage.log_lines() if '"kind":"run-rolled-back"' in line]
    stage.claim(
        "All that is left of it is in the log, which only grows, down to why it ended:",
        holds=standings == {"rolled back"} and message in json.loads(trace)["detail"],
    )
    end = trace.index(json.dumps(message)[1:-1]) + len(message)
    stage.page.raw(trace[:end] + " ...")


def replace_models(stage: Stage, pipeline: Pipeline) -> Change:
    """Fit some models anew under their ids, stack again, and move the alias."""
    registry = stage.registry
    stage.page.chapter(
        "Replace models, and move an alias",
        "The same id with new content supersedes the old one, which stays in the history.",
    )
    stage.page.code(
        "with registry.run():\n"
        '    registry.register_with_chain(better, chain, "model", 4, fold_id=0)\n'
        '    registry.set_alias("production", new_stack.artifact_id)'
    )
    before, old_id, old = registry.position, pipeline.meta_id, pipeline.predict()
    scores = [pipeline.score(0, _SERUM)]
    with registry.run():
        replaced = pipeline.fit_models(0, _SERUM, lambda: PLSRegression(4), {"n_components": 4})
        pipeline.stack(RidgeCV([0.1, 1.0, 10.0, 100.0]))
        registry.set_alias("production", pipeline.meta_id)
    scores.append(pipeline.score(0, _SERUM))
    stage.page.table(
        ["", "before", "now"],
        [
            ["PLS components", "2", "4"],
            ["PLS R2", *(f"{score:.3f}" for score in scores)],
            ["stack", *(_last_operator(stage, each) for each in (old_id, pipeline.meta_id))],
            ["production", old_id, pipeline.meta_id],
        ],
    )
    standings = [[item.standing for item in registry.history(each)] for each in replaced]
    stage.claim(
        f"{len(replaced)} models were superseded: PLS on blood serum, each fold. Production has moved.",
        holds=standings == [["superseded", "live"]] * len(replaced)
        and registry.alias("production") == pipeline.meta_id != old_id,
    )
    return Change(before, old_id, pipeline.meta_id, old, pipeline.predict(), replaced)


def _last_operator(stage: Stage, artifact_id: str) -> str:
    record = stage.registry.resolve(artifact_id)
    chain = OperatorChain.from_path(record.chain_path if record is not None else "")
    return chain.nodes[-1].to_key()
