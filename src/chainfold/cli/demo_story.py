"""The chapters of the demo. Whatever they claim is checked where it is claimed. It needs scikit-learn."""

import json
import shlex
import time
from collections import defaultdict
from pathlib import Path

from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import RidgeCV

from chainfold.cli.demo_page import Page
from chainfold.cli.demo_pipeline import Array, Data, Pipeline, predict
from chainfold.errors import BlobNotFoundError, ChainfoldError
from chainfold.records import ArtifactRecord
from chainfold.registry import ArtifactRegistry

_SERUM = 1
_PREFIX = "s3.StandardScaler[src=1]>s4.PLSRegression"


class Story:
    """The demo, told on a page, in one dataset of a workspace."""

    def __init__(self, page: Page, workspace: Path, dataset: str) -> None:
        self._page = page
        self._workspace = workspace
        self._dataset = dataset
        self._data = Data.load()

    def tell(self) -> None:
        """All chapters, in order; the workspace stays.

        Raises:
            ChainfoldError: If something is not as claimed.
        """
        self._page.title(
            "A pipeline leaves many fitted things behind: scalers, a model for each fold and branch, a stack on "
            "top. chainfold keeps them, knows what was made from what, and forgets nothing. Real data: "
            f"{len(self._data.target)} patients, four measures of the body and six of the blood serum. "
            f"Workspace {self._workspace}, dataset {self._dataset}."
        )
        with ArtifactRegistry(self._workspace, self._dataset, pipeline_id="0001_stack") as self._registry:
            self._register()
            self._repeat()
            self._fail()
            self._replace()
            self._find_and_load()
            self._look_back()
            self._delete_and_collect()
            self._replay_and_verify()
        self._look_around()

    def _claim(self, text: str, *, holds: bool) -> None:
        """Say something, provided that it is true."""
        if not holds:
            raise ChainfoldError(f"the demo found this not to be true: {text}")
        self._page.say(text)

    # chapters

    def _register(self) -> None:
        self._page.chapter(
            "Register all that a pipeline fits, in one run",
            "Others see nothing of a run until it commits, and then all of it at once.",
        )
        self._page.code(
            'registry = ArtifactRegistry("demo-workspace", "diabetes", pipeline_id="0001_stack")\n'
            "with registry.run():\n"
            '    registry.register_with_chain(model, chain, "model", step_index=4, fold_id=0)'
        )
        self._first = Pipeline(self._registry, "0001_stack", self._data)
        with self._registry.run():
            self._first.fit()
            self._registry.set_alias("production", self._first.meta_id)
        kinds: defaultdict[str, list[ArtifactRecord]] = defaultdict(list)
        for record in self._registry.iter_records():
            kinds[record.artifact_type].append(record)
        self._page.table(
            ["type", "class", "artifacts", "bytes"],
            [
                [
                    kind,
                    ", ".join(sorted({record.class_name for record in records})),
                    len(records),
                    sum(record.size_bytes for record in records),
                ]
                for kind, records in kinds.items()
            ],
        )
        made_from = self._registry.resolve_dependencies(self._first.meta_id)
        self._claim(
            f"The meta-model {self._first.meta_id} was made from all {len(made_from)} others, and is called "
            f"production from now on.",
            holds=len(self._registry) == len(made_from) + 1 == len(self._first.objects)
            and self._registry.alias("production") == self._first.meta_id,
        )

    def _repeat(self) -> None:
        self._page.chapter(
            "Run the same pipeline again",
            "Same bytes, one file, whoever registers them: repeating an experiment costs no room.",
        )
        before = self._registry.get_stats()
        with self._registry.run():
            Pipeline(self._registry, "0002_again", self._data).fit()
        stats = self._registry.get_stats()
        self._page.code("registry.get_stats()")
        self._claim(
            f"{stats['total_artifacts']} artifacts, {stats['unique_files']} files, "
            f"{stats['deduplication_ratio']:.0%} of {stats['total_size_bytes']:,} bytes saved.",
            holds=stats["total_artifacts"] == 2 * before["total_artifacts"]
            and stats["unique_files"] == before["unique_files"] == stats["disk_file_count"]
            and stats["disk_usage_bytes"] == before["disk_usage_bytes"],
        )

    def _fail(self) -> None:
        self._page.chapter(
            "A run that fails leaves nothing behind",
            "Another pipeline, with five folds; but one value of one patient's blood is missing.",
        )
        self._page.code(
            "with registry.run():  # an exception rolls it back\n    fit_and_register_everything()"
        )
        broken = Pipeline(self._registry, "0003_broken", self._data.with_gap(), folds=5)
        counts = [self._count("before the run")]
        message = ""
        with ArtifactRegistry(self._workspace, self._dataset) as reader:
            try:
                with self._registry.run():
                    try:
                        broken.fit()
                    finally:
                        counts.append(self._count("inside it, when it fails"))
                        unseen = len(reader) == counts[0][1]
            except ValueError as error:
                message = str(error).splitlines()[0]
            counts.append(self._count("after it"))
        self._page.table(["", "artifacts", "files on disk"], counts)
        self._claim(
            f"scikit-learn said {message!r} after {len(broken.objects)} artifacts; no other reader saw any of them.",
            holds="NaN" in message and unseen and counts[0][1:] == counts[2][1:] != counts[1][1:],
        )
        history = self._registry.history(next(iter(broken.objects)))
        (trace,) = [line for line in self._log_lines() if '"kind":"run-rolled-back"' in line]
        self._claim(
            "Its only trace is in the log, which never shrinks:",
            holds=[item.standing for item in history] == ["rolled back"]
            and message in json.loads(trace)["detail"],
        )
        self._page.raw(trace)

    def _replace(self) -> None:
        self._page.chapter(
            "Replace models, and move an alias",
            "The same id with new content supersedes, and is never silent; an alias is a name that moves.",
        )
        self._page.code(
            "with registry.run():\n"
            '    registry.register_with_chain(better, chain, "model", step_index=4, fold_id=0)\n'
            '    registry.set_alias("production", better_stack.artifact_id)'
        )
        old_id, self._old = self._first.meta_id, self._first.predict()
        old_score = self._first.score(0, _SERUM)
        self._before = self._registry.position
        with self._registry.run():
            self._replaced = self._first.fit_models(0, _SERUM, lambda: PLSRegression(4), {"n_components": 4})
            self._first.stack(RidgeCV([0.1, 1.0, 10.0, 100.0]))
            self._registry.set_alias("production", self._first.meta_id)
        self._new = self._first.predict()
        self._page.table(
            ["", "before", "now"],
            [
                ["PLS components, serum", 2, 4],
                ["R2 of it, out of fold", f"{old_score:.3f}", f"{self._first.score(0, _SERUM):.3f}"],
                ["production", old_id, self._first.meta_id],
            ],
        )
        standings = [[item.standing for item in self._registry.history(each)] for each in self._replaced]
        self._claim(
            f"{len(self._replaced)} models were superseded, and production has moved.",
            holds=standings == [["superseded", "live"]] * len(self._replaced)
            and self._registry.alias("production") == self._first.meta_id != old_id,
        )

    def _find_and_load(self) -> None:
        self._page.chapter(
            "Find models by their chain, load them, predict",
            "A chain path says which operators led to a model; any beginning of it finds what follows.",
        )
        self._page.code(f'registry.get_chain_prefix("{_PREFIX}")')
        found = self._registry.get_chain_prefix(_PREFIX)
        self._page.table(
            ["pipeline", "fold", "components", "artifact", "sha256"],
            [
                [each.pipeline_id, each.get_fold_str(), each.params["n_components"], each.artifact_id]
                + [each.short_hash]
                for each in found
            ],
        )
        self._claim(
            f"{len(found)} models; those of 0002_again are as they were.",
            holds={(each.pipeline_id, each.params["n_components"]) for each in found}
            == {("0001_stack", 4), ("0002_again", 2)}
            and {each.artifact_id for each in found} > set(self._replaced),
        )
        self._page.code('stack = registry.load(registry.alias("production"))')
        with ArtifactRegistry(self._workspace, self._dataset) as reader:
            loaded = predict(reader, str(reader.alias("production")), self._data)
        self._page.table(
            ["predicted by", "patient 1", "patient 2", "patient 3"],
            [_shown("what was fitted", self._new), _shown("what was loaded", loaded)],
        )
        self._claim(
            f"{len(loaded)} predictions from loaded models equal those from memory, to the last bit.",
            holds=loaded.tobytes() == self._new.tobytes(),
        )

    def _look_back(self) -> None:
        self._page.chapter(
            "Look at the workspace as it was",
            "Every query works as of any moment of the past, and costs what it costs now: nothing is replayed.",
        )
        self._page.code(f'then = registry.as_of({self._before})  # or a datetime\nthen.alias("production")')
        then = self._registry.as_of(self._before)
        old_id = str(then.alias("production"))
        self._claim(f"production was {old_id}.", holds=old_id != self._first.meta_id and old_id in then)
        self._claim(
            f"Its {len(self._old)} predictions, from what was live then, are still the same to the last bit.",
            holds=predict(then, old_id, self._data).tobytes() == self._old.tobytes() != self._new.tobytes(),
        )
        self._page.say("")
        self._page.code(f'registry.history("{self._replaced[0]}")')
        history = self._registry.history(self._replaced[0])
        self._page.table(
            ["position", "standing", "components", "sha256", "removed by"],
            [
                [item.position, item.standing, item.record.params["n_components"], item.record.short_hash]
                + [f"{item.removed_by} at {item.removed_at - 1}" if item.removed_at else ""]
                for item in history
            ],
        )
        self._superseded = history[0].record

    def _delete_and_collect(self) -> None:
        self._page.chapter(
            "Delete a pipeline, collect the orphans",
            "Deleting leaves other pipelines as they are; a file goes only when nothing refers to it any more.",
        )
        self._page.code(
            'registry.delete_pipeline_artifacts("0002_again")\n'
            "registry.delete_orphaned_artifacts(dry_run=False)"
        )
        kept = [each for each in self._registry.iter_records() if each.pipeline_id == "0001_stack"]
        counts = [self._count("before")]
        deleted = self._registry.delete_pipeline_artifacts("0002_again")
        counts.append(self._count("pipeline deleted"))
        paths, size_bytes = self._registry.delete_orphaned_artifacts(dry_run=False)
        counts.append(self._count("orphans collected"))
        self._page.table(["", "artifacts", "files on disk"], counts)
        same = predict(self._registry, self._first.meta_id, self._data).tobytes() == self._new.tobytes()
        self._claim(
            f"{deleted} artifacts deleted. Their files served 0001_stack too, but for {len(paths)} old models "
            f"({size_bytes:,} bytes). 0001_stack is as it was, and predicts the same.",
            holds=same and kept == self._registry.get_all_records() and len(paths) == len(self._replaced),
        )
        try:
            self._registry.load_artifact(self._superseded)
        except BlobNotFoundError as error:
            self._page.say("")
            self._page.say("Records outlive their files, so loading an old model says what became of it:")
            self._page.raw(str(error))
        else:
            raise ChainfoldError("the demo could load a file that had been collected")

    def _replay_and_verify(self) -> None:
        self._page.chapter(
            "Replay the log, verify everything",
            "The log is the only truth: all indexes are folds of it, and come back the same from nothing.",
        )
        self._page.code("registry.rebuild()\nregistry.verify()")
        records, aliases = self._registry.get_all_records(), self._registry.aliases()
        started = time.perf_counter()
        same = self._registry.rebuild()
        took = time.perf_counter() - started
        same = same and (records, aliases) == (self._registry.get_all_records(), self._registry.aliases())
        self._claim(
            f"{self._registry.position} entries replayed in {took * 1000:.1f} ms: every index is the same.",
            holds=same,
        )
        report = self._registry.verify()
        self._claim(
            f"{report.entries} entries with right sums, {report.files} files with right digests, "
            f"{report.artifacts} artifacts live, {len(report.findings)} findings; Merkle root {report.root[:16]}...",
            holds=report.ok and not report.findings and report.artifacts == len(records),
        )
        self._page.say("")
        last = self._log_lines()[-1]
        self._claim(
            "And the log is plain JSON Lines: tail -1 shows why the last files went, and by which event.",
            holds=json.loads(last)["position"] == self._registry.position - 1,
        )
        self._page.raw(last)

    def _look_around(self) -> None:
        self._page.chapter("Look around", "The workspace stays. To see the log and the files:")
        folder, dataset = shlex.quote(str(self._workspace)), shlex.quote(self._dataset)
        self._page.command(f"cd {folder}")
        self._page.command(f"ls binaries/{dataset}")
        self._page.command(f"tail -1 log/{dataset}/segments/*.jsonl | python -m json.tool")
        self._page.say("")
        self._page.say("and in python:")
        self._page.say("")
        self._page.code(
            "from chainfold import ArtifactRegistry\n"
            f'registry = ArtifactRegistry(".", "{self._dataset}")\n'
            'registry.load(registry.alias("production"))'
        )

    # figures

    def _count(self, when: str) -> list[str | int]:
        """How many artifacts and files there are, as a row of a table."""
        return [when, len(self._registry), self._registry.get_stats()["disk_file_count"]]

    def _log_lines(self) -> list[str]:
        segments = sorted((self._workspace / "log" / self._dataset / "segments").glob("*.jsonl"))
        return [line for segment in segments for line in segment.read_text("utf-8").splitlines()]


def _shown(what: str, predictions: Array) -> list[str]:
    return [what, *(repr(float(each)) for each in predictions[:3])]
