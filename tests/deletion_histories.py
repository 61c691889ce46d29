"""Histories of a dataset, drawn: two writers, runs, deletions, aliases, and files that come and go."""

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from chainfold import ArtifactRegistry, BlobNotFoundError, ConflictError, NotFoundError

IDS = [f"p{pipeline}${'0123456789ab'}:{fold}" for pipeline in range(2) for fold in range(3)]
USED = [IDS[0], IDS[1], IDS[3], IDS[4]]
Operation = tuple[Any, ...]
used = st.sampled_from(USED)
sources = st.sampled_from([list(some) for count in range(3) for some in itertools.combinations(USED, count)])
"""Drawn evenly: of lists, short ones come first."""


def registering(ids: st.SearchStrategy[str]) -> st.SearchStrategy[Operation]:
    """Registrations of some ids."""
    return st.tuples(st.just("register"), ids, st.sampled_from([0, 1, 2]), sources, st.booleans())


def aliasing(names: st.SearchStrategy[str]) -> st.SearchStrategy[Operation]:
    """Aliases that are set, where nothing stands in the way."""
    return st.tuples(st.just("alias"), names, used)


registrations = registering(used)
changes = st.one_of(
    registrations,
    registrations,  # most of a history
    registrations,
    st.tuples(st.just("run"), st.booleans()),
    st.tuples(st.just("delete"), st.sampled_from(["p0", "p1"]), st.booleans()),
    aliasing(st.sampled_from(["a", "b"])),
    st.tuples(st.just("stray"), st.integers(0, 3)),
    st.tuples(st.just("lose"), st.integers(0, 9)),
    st.tuples(st.just("manifest"), st.integers(0, 9)),
    st.tuples(st.just("erase"), used),
    st.tuples(st.just("gc")),
    st.tuples(st.just("restore"), used, st.integers(0, 20)),
)
turns = st.tuples(st.sampled_from([0, 0, 0, 1]), changes)
"""Which of two writers does what."""
beginnings = st.permutations(USED).flatmap(
    lambda ids: st.tuples(*[st.tuples(st.just(0), registering(st.just(each))) for each in ids]).map(list)
)
"""All ids are live at first: what is drawn at random seldom gets there."""


def histories(size: int) -> st.SearchStrategy[list[tuple[int, Operation]]]:
    """What was done to a dataset, the beginning by hand or in a run."""
    run = st.sampled_from([[], [(0, ("run", True))]])
    aliases = st.tuples(*[st.tuples(st.just(0), aliasing(st.just(each))) for each in ("a", "b")])
    beside = st.tuples(
        st.just((1, ("run", True))), *[st.tuples(st.just(1), registering(used)) for _ in range(2)]
    ).map(list)
    return st.tuples(run, beginnings, aliases, st.just([]) | beside, st.lists(turns, max_size=size)).map(
        lambda drawn: [step for part in drawn for step in part]
    )


policies = st.sampled_from(["warn", "cascade", "refuse"])
requests = st.one_of(
    st.tuples(
        st.just("delete"),
        st.sampled_from(["p0", "p1"]) | st.lists(used, min_size=1, max_size=2, unique=True).map(tuple),
        st.sampled_from([True, True, False]),
        policies,
    ),
    st.tuples(st.just("collect"), st.booleans()),
    st.just(("purge",)),
    st.tuples(st.just("erase"), used),
    st.tuples(st.just("rollback"), st.integers(0, 3), st.sampled_from(["warn", "refuse"])),
)
ALL = [
    *[
        ("delete", target, True, policy)
        for target in ["p0", "p1", (USED[0], USED[2]), *((each,) for each in USED)]
        for policy in ("warn", "cascade", "refuse")
    ],
    ("delete", "p0", False, "warn"),
    ("collect", True),
    ("collect", False),
    ("purge",),
    *[("erase", each) for each in USED],
    *[("rollback", number, "warn") for number in range(3)],
]
"""Plans change nothing: each of these is made in every state."""


def enact(writers: list[ArtifactRegistry], steps: list[tuple[int, Operation]]) -> None:
    """A history: some of it in runs, some by hand."""
    counter = itertools.count()
    for who, step in steps:
        registry = writers[who]
        in_the_folder(registry, step)
        match step:
            case ("register", artifact_id, content, sources, private):
                params = {"who": f"Grete {next(counter)}", "n": 1} if private else {}
                sources = [each for each in sources if each != artifact_id]
                registry.register(
                    [content], artifact_id, "model", sources, params=params, private=list(params)
                )
            case ("run", commits):
                begin_or_end(registry, commits=commits)
            case ("delete", pipeline_id, files):
                registry.delete_pipeline_artifacts(pipeline_id, delete_files=files)
            case ("alias", name, artifact_id):
                if registry._run is None and artifact_id in registry:
                    registry.set_alias(name, artifact_id)
            case ("erase", artifact_id):
                with suppress(NotFoundError):
                    registry.erase_private(artifact_id)
            case ("gc",):
                registry.delete_orphaned_artifacts(dry_run=False)
            case ("restore", artifact_id, position):
                with suppress(NotFoundError, ConflictError):
                    registry.restore(artifact_id, min(position, registry.position))


def begin_or_end(registry: ArtifactRegistry, *, commits: bool) -> None:
    """A run begins, or the one that is open ends."""
    if registry._run is None:
        registry.start_run()
    elif commits:
        with suppress(BlobNotFoundError):  # it was lost: the run stays open
            registry.end_run()
    else:
        registry.cleanup_failed_run()


def in_the_folder(registry: ArtifactRegistry, step: Operation) -> None:
    """What happens to files behind the back of the log."""
    match step:
        case ("stray", number):
            registry.binaries_dir.mkdir(parents=True, exist_ok=True)
            (registry.binaries_dir / f"stray{number}.bin").write_bytes(b"x" * number)
        case ("lose", number):
            for name in there(registry)[number:][:1]:
                (registry.binaries_dir / name).unlink()
        case ("manifest", number):
            _mention(registry, number)


def there(registry: ArtifactRegistry) -> list[str]:
    """Files of the dataset's folder, if there is one."""
    return names(registry.binaries_dir) if registry.binaries_dir.exists() else []


def _mention(registry: ArtifactRegistry, number: int) -> None:
    """A pipeline's manifest names a file that is there."""
    files = there(registry)
    if files:
        folder = registry.workspace / "runs" / f"run{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.yaml").write_text(f"path: {files[number % len(files)]}\n", encoding="utf-8")


def names(folder: Path) -> list[str]:
    """Files of a folder."""
    return sorted(path.name for path in folder.iterdir())
