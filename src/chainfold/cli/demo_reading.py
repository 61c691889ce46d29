"""The demo's chapters that look: at chains, at the past, at what deleting leaves, at the log itself."""

import json
import time

from chainfold.cli.demo_pipeline import Array, predict
from chainfold.cli.demo_stage import AGAIN, FIRST, Stage
from chainfold.cli.demo_writing import Change
from chainfold.errors import BlobNotFoundError, ChainfoldError
from chainfold.registry import ArtifactRegistry

_PREFIX = "s3.StandardScaler[src=1]>s4.PLSRegression"


def find_models(stage: Stage, change: Change) -> None:
    """Find what a chain leads to, by how the chain begins."""
    stage.page.chapter(
        "Find models by their chain",
        "Its path says which operators led to a model, of which branch (br) and source (src). "
        "Any beginning of a path finds all that follows.",
    )
    stage.page.code(f'registry.get_chain_prefix("{_PREFIX}")')
    found = stage.registry.get_chain_prefix(_PREFIX)
    stage.page.table(
        ["pipeline", "fold", "components", "artifact", "sha256"],
        [
            (
                each.pipeline_id,
                each.get_fold_str(),
                each.params["n_components"],
                each.artifact_id,
                each.short_hash,
            )
            for each in found
        ],
    )
    stage.claim(
        f"{len(found)} models, by fold. Those of {AGAIN} still have 2 components: its ids are its own.",
        holds={(each.pipeline_id, each.params["n_components"]) for each in found} == {(FIRST, 4), (AGAIN, 2)}
        and [each.artifact_id for each in found if each.pipeline_id == FIRST] == change.replaced,
    )


def load_models(stage: Stage, change: Change) -> None:
    """Predict from what a registry that knows nothing but the folder can load."""
    stage.page.chapter(
        "Load them, and predict",
        "Bytes are checked against the whole sha256 before anything is made of them.",
    )
    stage.page.code(
        'production = registry.resolve(registry.alias("production"))\n'
        "stack = registry.load_artifact(production)\n"
        "models = list(map(registry.load, production.meta_config.source_ids))"
    )
    with ArtifactRegistry(stage.registry.workspace, stage.registry.dataset) as reader:
        loaded = predict(reader, reader.alias("production") or "", stage.data)
    stage.page.table(
        ["predictions", "patient 1", "patient 2", "patient 3"],
        [_shown("as fitted", change.new), _shown("as loaded", loaded)],
    )
    stage.claim(
        f"All {len(loaded)} are equal, to the last bit.",
        holds=loaded.tobytes() == change.new.tobytes(),
    )


def look_back(stage: Stage, change: Change) -> None:
    """Ask the past: the alias, the predictions, the life of one id."""
    model_id = change.replaced[0]
    stage.page.chapter(
        "Look at the workspace as it was",
        "Every query works as of any moment of the past, and nothing is replayed for it.",
    )
    stage.page.code(
        f"then = registry.as_of({change.before})  # before models were replaced; or a datetime\n"
        'then.alias("production")\n'
        f'registry.history("{model_id}")'
    )
    then = stage.registry.as_of(change.before)
    old_id = then.alias("production") or ""
    stage.claim(f"Production was {old_id} then.", holds=old_id == change.old_id != change.new_id)
    old = predict(then, old_id, stage.data)
    stage.claim(
        f"It still predicts what it did, from the models of then: {len(old)} values, equal to the last bit.",
        holds=old.tobytes() == change.old.tobytes() != change.new.tobytes(),
    )
    stage.page.table(
        ["entry", "model of fold 0", "components", "sha256", "ended by entry"],
        [
            (
                item.position,
                item.standing,
                item.record.params["n_components"],
                item.record.short_hash,
                "" if item.removed_at is None else f"{item.removed_at - 1} {item.removed_by}",
            )
            for item in stage.registry.history(model_id)
        ],
    )


def delete_and_collect(stage: Stage, change: Change) -> None:
    """Delete a pipeline, then the files that nobody needs any more."""
    registry = stage.registry
    stage.page.chapter(
        "Delete a pipeline, collect the orphans",
        "Deleting leaves other pipelines as they are; a file goes only when nothing refers to it.",
    )
    stage.page.code(
        f'registry.delete_pipeline_artifacts("{AGAIN}")\nregistry.delete_orphaned_artifacts(dry_run=False)'
    )
    kept = [each for each in registry.iter_records() if each.pipeline_id == FIRST]
    counts = [stage.count("before")]
    deleted = registry.delete_pipeline_artifacts(AGAIN)
    counts.append(stage.count("pipeline deleted"))
    paths, size_bytes = registry.delete_orphaned_artifacts(dry_run=False)
    counts.append(stage.count("orphans collected"))
    stage.page.table(["", "artifacts", "files on disk"], counts)
    same = predict(registry, change.new_id, stage.data).tobytes() == change.new.tobytes()
    stage.claim(
        f"{deleted} artifacts deleted; {FIRST} needs their files too, but for those of {len(paths)} "
        f"superseded models ({size_bytes:,} bytes). It is as it was, and predicts the same.",
        holds=same and kept == registry.get_all_records() and len(paths) == len(change.replaced),
    )
    superseded = registry.history(change.replaced[0])[0].record
    try:
        registry.load_artifact(superseded)
    except BlobNotFoundError as error:
        stage.page.say(f"Records stay, so loading one of those says where its file is: {error}.")
    else:
        raise ChainfoldError(f"the demo could load {superseded.path}, which had been collected")


def replay_and_verify(stage: Stage) -> None:
    """Throw all indexes away and fold the log again; check every byte."""
    registry = stage.registry
    stage.page.chapter(
        "Replay the log, verify everything",
        "The log is the only truth: all indexes are folds of it.",
    )
    stage.page.code("registry.rebuild()\nregistry.verify()")
    held = registry.get_all_records(), registry.aliases()
    started = time.perf_counter()
    same = registry.rebuild()
    took = time.perf_counter() - started
    entries = registry.position
    stage.claim(
        f"{entries} entries replayed from nothing in {took * 1000:.1f} ms: all indexes are the same.",
        holds=same and held == (registry.get_all_records(), registry.aliases()),
    )
    report = registry.verify()
    stage.claim(
        f"{report.entries} entries have the right sums, {report.files} files the right sha256; "
        f"{report.artifacts} artifacts are live; findings: {len(report.findings) or 'none'}. "
        f"Merkle root: {report.root[:16]}...",
        holds=report.ok and not report.findings and report.artifacts == len(registry),
    )
    last = stage.log_lines()[-1]
    stage.claim(
        "And the log is plain JSON Lines. tail -1 has the files that were collected:",
        holds=json.loads(last)["position"] == registry.position - 1 and "blobs-swept" in last,
    )
    stage.page.raw(last)


def _shown(what: str, predictions: Array) -> list[str]:
    return [what, *(repr(float(each)) for each in predictions[:3])]
