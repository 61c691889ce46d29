"""A workspace that nirs4all left behind, into the log: all of it or nothing, once, where it lies."""

import hashlib
import json
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli_running import chainfold

from chainfold import ArtifactRegistry, InvalidInputError, ManifestError, StorageError
from chainfold.integrations.nirs4all import import_workspace
from chainfold.integrations.nirs4all import workspace as importing

Item = dict[str, Any]


def stored(workspace: Path, dataset: str, value: Any) -> Item:
    """What a manifest says of a file, which is there."""
    content = pickle.dumps(value)
    digest = hashlib.sha256(content).hexdigest()
    path = f"model_X_{digest[:12]}.pkl"
    folder = workspace / "binaries" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    return {"content_hash": f"sha256:{digest}", "path": path, "format": "pickle", "size_bytes": len(content)}


def listed(artifact_id: str, file: Item, **more: Any) -> Item:
    pipeline = artifact_id.partition("$")[0]
    return {"artifact_id": artifact_id, "pipeline_id": pipeline, "chain_path": "s1.X", **file, **more}


def write_manifest(
    workspace: Path, run: str, dataset: str, items: list[Item], at: str = "2026-01-01"
) -> Path:
    folder = workspace / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "manifest.yaml"
    said = {"dataset": dataset, "pipeline_id": run.rpartition("/")[2], "created_at": at}
    path.write_text(yaml.safe_dump({**said, "artifacts": {"schema_version": "2.0", "items": items}}))
    return path


def files(workspace: Path) -> dict[Path, bytes]:
    """All but the log."""
    every = (path for path in workspace.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in every if not path.is_relative_to(workspace / "log")}


IDS = ["a$0:all", "a$0:1", "b$0:all", "b$1:all"]
MANIFESTS = st.lists(
    st.tuples(
        st.sampled_from(["wheat", "rye"]),
        st.integers(0, 3),
        st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, 2)), max_size=5),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60)
@given(MANIFESTS, MANIFESTS)
def test_the_last_manifest_that_lists_an_id_has_it(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, int, list[tuple[str, int]]]],
    second: list[tuple[str, int, list[tuple[str, int]]]],
) -> None:
    """As if all were read in the order in which they were made; importing again adds what is new alone."""
    workspace = tmp_path_factory.mktemp("w")
    kept: dict[str, set[tuple[str, int]]] = {}
    for number, manifests in enumerate((first, second)):
        made = []
        for place, (dataset, day, items) in enumerate(manifests):
            # A second batch is made later: it has other days.
            at, run = f"202{number}-01-0{day + 1}", f"{dataset}_{number}/{place:04}"
            content = [listed(each, stored(workspace, dataset, [value])) for each, value in items]
            write_manifest(workspace, run, dataset, content, at)
            made.append((at, run, dataset, items))
        before = files(workspace)
        would = import_workspace(workspace, dry_run=True)
        did = import_workspace(workspace)
        assert did == would
        assert files(workspace) == before

        expected: dict[str, dict[str, int]] = {}
        count: dict[str, int] = {}
        for _, _, dataset, items in sorted(made):
            known = kept.setdefault(dataset, set())
            for pair in items:
                if pair not in known:
                    known.add(pair)
                    expected.setdefault(dataset, {})[pair[0]] = pair[1]
                    count[dataset] = count.get(dataset, 0) + 1
        told = {each.dataset: len(each.items) for each in did if each.items}
        assert told == count
        for dataset, values in expected.items():
            with ArtifactRegistry(workspace, dataset) as registry:
                for artifact_id, value in values.items():
                    assert registry.load(artifact_id) == [value]
                assert registry.verify().ok
                assert registry.find_orphaned_artifacts() == []


def two(workspace: Path) -> None:
    write_manifest(workspace, "r/0001", "wheat", [listed("a$0:all", stored(workspace, "wheat", [1]))])
    write_manifest(workspace, "r/0002", "rye", [listed("b$0:all", stored(workspace, "rye", [2]))])


def test_only_what_is_asked_for_is_imported(workspace: Path) -> None:
    two(workspace)
    (done,) = import_workspace(workspace, ["rye"], actor="importer")
    assert str(done) == "rye: 1 new, 0 known, from 1 manifests"
    assert [each.name for each in (workspace / "log").iterdir()] == ["rye"]
    with ArtifactRegistry(workspace, "rye") as registry:
        assert {entry.actor for entry in registry.events()} == {"importer"}
    with pytest.raises(InvalidInputError, match=r"no manifest below .* is of the dataset oats"):
        import_workspace(workspace, ["rye", "oats"])
    with pytest.raises(InvalidInputError, match="it has no folder 'runs'"):
        import_workspace(workspace / "binaries")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text("[1, 2]"), "is no manifest: it is a list"),
        (lambda path: path.write_text("artifacts: [1]"), "does not say which dataset it is of"),
        (lambda path: path.write_text("a: [b"), "cannot read the manifest"),
        (lambda path: path.write_text(path.read_text().replace("X_", "/../../X_")), "item 0 of the manifest"),
        (lambda path: path.write_text(path.read_text().replace("rye", "../rye")), "dataset"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_imported(workspace: Path, spoil: Any, said: str) -> None:
    """Also of the datasets that come before."""
    two(workspace)
    spoil(workspace / "runs" / "r" / "0002" / "manifest.yaml")
    with pytest.raises(ManifestError, match=said) as caught:
        import_workspace(workspace)
    assert str(Path("r", "0002", "manifest.yaml")) in str(caught.value)
    assert not (workspace / "log").exists()


def test_files_that_are_missing_are_named(workspace: Path) -> None:
    lost = {"content_hash": f"sha256:{'0' * 64}", "path": "model_X_abc.pkl"}
    path = write_manifest(workspace, "r/0001", "wheat", [listed("a$0:all", lost)])
    (done,) = import_workspace(workspace)
    assert f"1 files are missing: model_X_abc.pkl of a$0:all ({path})" in str(done)
    with ArtifactRegistry(workspace, "wheat") as registry, pytest.raises(FileNotFoundError):
        registry.load("a$0:all")


def test_the_oldest_manifests_name_no_ids(workspace: Path) -> None:
    """Each item gets one that no other manifest's items have."""
    for run in ("r/0001", "r/0002"):
        items = [{"name": "scaler", "step": 1, **stored(workspace, "wheat", [i])} for i in range(2)]
        path = write_manifest(workspace, run, "wheat", [])
        path.write_text(json.dumps({"dataset": "wheat", "pipeline_id": run[2:], "artifacts": items}))
    import_workspace(workspace)
    assert [len(each.items) for each in import_workspace(workspace)] == [0]
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert len(registry) == 4
        assert {each.pipeline_id for each in registry.get_all_records()} == {"0001", "0002"}


@pytest.mark.parametrize("said", [{"content_hash": None}, {"content_hash": ""}, {}])
def test_what_no_manifest_says_of_a_file_is_computed(workspace: Path, said: Item) -> None:
    """And the record says so; what is not there is missing, until it is there and imported again."""
    files = [stored(workspace, "wheat", [value]) for value in range(2)]
    bare = [{"path": each["path"], "format": "pickle", **said} for each in files]
    items = [listed("a$0:all", bare[0]), listed("b$0:all", bare[1])]
    write_manifest(workspace, "r/0001", "wheat", items)
    file = workspace / "binaries" / "wheat" / files[1]["path"]
    content = file.read_bytes()
    file.unlink()

    (done,) = import_workspace(workspace)
    assert [each.is_missing for each in done.items] == [False, True]
    with ArtifactRegistry(workspace, "wheat") as registry:
        record = registry.resolve("a$0:all")
        assert record is not None
        assert record.content_hash == files[0]["content_hash"]
        assert record.size_bytes == files[0]["size_bytes"]
        assert "computed from the file" in record.params["@digest"]
        assert registry.load("a$0:all") == [0]
    assert import_workspace(workspace)[0].items == []

    file.write_bytes(content)
    (again,) = import_workspace(workspace)
    assert [(each.artifact_id, each.is_missing) for each in again.items] == [("b$0:all", False)]
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.load("b$0:all") == [1]


@pytest.mark.parametrize("wrong", ["sha256:zz", "sha256:abc", "md5:" + "0" * 64, "0" * 63, "sha256:"])
def test_a_digest_that_is_none_is_refused(workspace: Path, wrong: str) -> None:
    file = stored(workspace, "wheat", [1]) | {"content_hash": wrong}
    path = write_manifest(workspace, "r/0001", "wheat", [listed("a$0:all", file)])
    with pytest.raises(
        ManifestError, match=r"item 0 of the manifest, 'a\$0:all', is invalid: content_hash"
    ) as e:
        import_workspace(workspace)
    assert str(path) in str(e.value)
    assert not (workspace / "log").exists()


def test_a_digest_may_be_written_without_its_prefix(workspace: Path) -> None:
    file = stored(workspace, "wheat", [1])
    file["content_hash"] = file["content_hash"].removeprefix("sha256:").upper()
    write_manifest(workspace, "r/0001", "wheat", [listed("a$0:all", file)])
    import_workspace(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.load("a$0:all") == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_out_of_the_folder_is_named_with_its_item(workspace: Path, tmp_path: Path) -> None:
    """Before anything of any dataset is imported."""
    two(workspace)
    items = [
        listed("a$0:1", stored(workspace, "wheat", [3])),
        listed("a$0:2", stored(workspace, "wheat", [4])),
    ]
    path = write_manifest(workspace, "r/0003", "wheat", items)
    blob = workspace / "binaries" / "wheat" / items[1]["path"]
    blob.rename(tmp_path / "outside.pkl")
    blob.symlink_to(tmp_path / "outside.pkl")
    for dry_run in (True, False):
        with pytest.raises(ManifestError, match=r"a link leads out of .*Put the file itself there") as caught:
            import_workspace(workspace, dry_run=dry_run)
        assert f"{path}: item 1 of the manifest, 'a$0:2'" in str(caught.value)
    assert not (workspace / "log").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_the_folder_of_a_dataset_may_be_a_link(workspace: Path, tmp_path: Path) -> None:
    """To a larger disk, say: who keeps the workspace chooses where."""
    two(workspace)
    folder = workspace / "binaries" / "wheat"
    folder.rename(tmp_path / "large")
    folder.symlink_to(tmp_path / "large")
    import_workspace(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.load("a$0:all") == [1]


def old_workspace(workspace: Path, values: list[int]) -> Path:
    """As nirs4all 0.5 and before leave it: the files of a run beside its pipelines."""
    run = workspace / "runs" / "2025-01-01_wheat"
    (run / "_binaries").mkdir(parents=True)
    (run / "0001_pls").mkdir()
    items = []
    for step, value in enumerate(values):
        file = stored(workspace, "wheat", [value])
        (workspace / "binaries" / "wheat" / file["path"]).rename(run / "_binaries" / file["path"])
        items.append(
            {
                "hash": file["content_hash"],
                "name": f"X_{step}",
                "path": file["path"],
                "format": "pickle",
                "nirs4all_version": "0.5.1",
                "size": file["size_bytes"],
                "saved_at": "2025-01-01T10:00:00+00:00",
                "step": step,
            }
        )
    path = run / "0001_pls" / "manifest.yaml"
    path.write_text(yaml.safe_dump({"dataset": "wheat", "pipeline_id": "0001_pls", "artifacts": items}))
    return run / "_binaries"


def test_files_that_lie_beside_their_run_are_copied_in(workspace: Path) -> None:
    beside = old_workspace(workspace, [1, 2, 3])
    files = sorted(beside.iterdir())
    files[0].write_bytes(b"something else")
    before = {each: each.read_bytes() for each in files}
    would = import_workspace(workspace, dry_run=True)
    assert list((workspace / "binaries" / "wheat").iterdir()) == []
    (done,) = import_workspace(workspace)
    assert [done] == would
    assert [each.path for each in done.missing] == [files[0].name]
    assert {each: each.read_bytes() for each in files} == before
    with ArtifactRegistry(workspace, "wheat") as registry:
        for record in registry.get_all_records():
            assert record.class_name == "model_X"
            assert record.created_at == "2025-01-01T10:00:00+00:00"
            if record.path != files[0].name:
                assert registry.load(record.artifact_id) == [record.step_index + 1]


def test_what_is_asked_for_wrongly_is_said(workspace: Path) -> None:
    two(workspace)
    (one,) = import_workspace(workspace, "wheat", dry_run=True)
    assert one.dataset == "wheat"
    for wrong in (None, 3, b"x"):
        with pytest.raises(InvalidInputError, match="a workspace is named by its path"):
            import_workspace(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="datasets are named by texts"):
        import_workspace(workspace, [3])  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="datasets are named by texts"):
        import_workspace(workspace, 3)  # type: ignore[arg-type]


def test_what_was_deleted_is_not_brought_back(workspace: Path) -> None:
    two(workspace)
    import_workspace(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        registry.delete_pipeline_artifacts("a")
    assert [(len(each.items), each.known) for each in import_workspace(workspace)] == [(0, 1), (0, 1)]


def test_an_import_that_fails_leaves_the_files_and_can_be_done_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two(workspace)
    before = files(workspace)

    def fail(*_: Any) -> None:
        raise StorageError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(importing, "commit", fail)
        with pytest.raises(StorageError, match="the disk is gone"):
            import_workspace(workspace, ["wheat"])
    assert files(workspace) == before
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert [run.status for run in registry.runs()] == ["rolled-back"]
    assert [len(each.items) for each in import_workspace(workspace, dry_run=True)] == [1, 1]
    assert [len(each.items) for each in import_workspace(workspace)] == [1, 1]
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.load("a$0:all") == [1]


def test_an_import_that_dies_can_be_done_again(workspace: Path) -> None:
    """Whoever imports next rolls back what it left."""
    two(workspace)
    before = files(workspace)
    code = (
        "import os, sys\n"
        "from chainfold.integrations.nirs4all import import_workspace, workspace\n"
        "workspace.commit = lambda *_: os._exit(7)\n"
        "import_workspace(sys.argv[1], ['wheat'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(workspace)], check=False)
    assert done.returncode == 7
    assert [len(each.items) for each in import_workspace(workspace, ["wheat"], dry_run=True)] == [1]
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert len(registry) == 0
    assert [len(each.items) for each in import_workspace(workspace)] == [1, 1]
    assert files(workspace) == before
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.load("a$0:all") == [1]
        assert [run.status for run in registry.runs()] == ["rolled-back", "committed"]


def test_what_a_failed_run_took_back_stays_so(workspace: Path) -> None:
    """Its manifest goes on listing it."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        kept = registry.register([1], "a$0:all", "model")
        registry.start_run()
        failed = registry.register([1], "b$0:all", "model")
        registry.cleanup_failed_run()
    write_manifest(workspace, "r/0001", "wheat", [kept.to_dict(), failed.to_dict()])
    (done,) = import_workspace(workspace)
    assert (len(done.items), done.known) == (0, 2)


def laughs() -> str:
    """A thousand million values, by aliases of aliases."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 9)]
    return "\n".join(lines)


NASTY = {
    "params: &a\n      {x: 1}\n    more:\n      <<: *a": "it merges mappings, which no manifest does",
    "params: !!python/object/apply:os.system [exit 3]": "could not determine a constructor",
    f"params: {'[' * 300}{']' * 300}": "nested deeper than 200 levels",
    "params: [1]": "params is a list, not a dict",
    "artifact_type: spoon": "spoon",
}


@pytest.mark.parametrize("nasty", NASTY)
def test_a_manifest_can_do_no_harm(workspace: Path, nasty: str) -> None:
    """Whoever wrote it: it is refused, and named, before it costs more than its bytes."""
    path = write_manifest(workspace, "r/0001", "wheat", [])
    path.write_text(
        "dataset: wheat\nartifacts:\n  items:\n  - artifact_id: a$0:all\n    content_hash: sha256:abc\n"
        f"    path: model_X_abc.pkl\n    {nasty}\n"
    )
    with pytest.raises(ManifestError, match=NASTY[nasty]) as caught:
        import_workspace(workspace)
    assert str(path) in str(caught.value)
    assert not (workspace / "log").exists()


@pytest.mark.parametrize(
    "misfit", ["!!bool z", "!!timestamp z", "!!int ''", "!!float ''", "!!int '0b'", "!!int [1]"]
)
def test_a_value_that_is_not_what_its_tag_says_is_refused(workspace: Path, misfit: str) -> None:
    path = write_manifest(workspace, "r/0001", "wheat", [])
    path.write_text(f"dataset: wheat\nartifacts: []\nx: {misfit}\n")
    with pytest.raises(ManifestError, match="cannot read the manifest") as caught:
        import_workspace(workspace)
    assert str(path) in str(caught.value)


def test_what_says_the_same_again_and_again_is_cut_short(workspace: Path) -> None:
    """What parameters may say is bounded, whatever they share."""
    path = write_manifest(workspace, "r/0001", "wheat", [])
    params = laughs().replace("\n", "\n    ")
    path.write_text(
        f"dataset: wheat\nartifacts:\n- artifact_id: a$0:all\n  path: x.pkl\n  params:\n    {params}\n"
    )
    (done,) = import_workspace(workspace)
    assert len(done.items) == 1
    with ArtifactRegistry(workspace, "wheat") as registry:
        record = registry.resolve("a$0:all")
        assert record is not None
        assert record.params["l0"] == ["x"] * 10
        assert len(json.dumps(record.params)) < 10_000_000  # of ten thousand million characters


def test_a_number_to_the_base_of_60_is_a_text(workspace: Path) -> None:
    """YAML 1.1 has such numbers, and reading a long one takes the square of its digits."""
    long = ":".join(["59"] * 100_000)
    path = write_manifest(workspace, "r/0001", "wheat", [])
    path.write_text(
        "dataset: wheat\nartifacts:\n- {artifact_id: 'a$0:all', path: x.pkl, content_hash: null,"
        f" params: {{short: 1:30, long: {long[:50_000]}, ten: 10, real: 1:30.5,"
        f" far: {'1:' * 400}1.5, half: .5}}}}\n"
    )
    import_workspace(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        record = registry.resolve("a$0:all")
        assert record is not None
        assert record.params["short"] == "1:30"
        assert record.params["ten"] == 10
        assert record.params["real"] == "1:30.5"
        assert record.params["far"].endswith(":1.5")
        assert record.params["half"] == 0.5


def test_the_commands_of_the_page_print_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/nirs4all.md: on the workspace that its first example makes, before that imports it."""
    page = (Path(__file__).parents[1] / "docs" / "nirs4all.md").read_text(encoding="utf-8")
    making = page.partition("```python\n")[2].partition("from chainfold import")[0]
    monkeypatch.chdir(tmp_path)
    exec(making, {})  # noqa: S102 - as the test of the examples does
    before = files(tmp_path)
    commands = re.findall(r"^    \$ chainfold (.+)\n((?:    [^$\n].*\n)+)", page, re.MULTILINE)
    assert len(commands) == 4
    for arguments, told in commands:
        done = chainfold(*arguments.split())
        assert (done.exit_code, done.stdout) == (0, textwrap.dedent(told)), arguments
    logged = {path for path in files(tmp_path) if path.is_relative_to(tmp_path / "old" / "log")}
    assert {path: content for path, content in files(tmp_path).items() if path not in logged} == before


def test_a_name_that_cannot_be_printed_stops_nothing(tmp_path: Path) -> None:
    """nirs4all takes any name for a model; whoever registers, or imports from elsewhere, is held to more."""
    file = stored(tmp_path, "wheat", [1])
    items = [
        listed("p$0123456789ab:0", file, custom_name="a\tb\n\x1b[31m"),
        listed("p$0123456789ab:1", file, custom_name=None),
    ]
    path = write_manifest(tmp_path, "wheat/0001", "wheat", items)
    (did,) = import_workspace(tmp_path)
    assert len(did.items) == 2
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        names = [record.custom_name for record in registry.get_all_records()]
    assert names == ["a b  [31m", ""]
    assert import_workspace(tmp_path)[0].known == 2
    assert yaml.safe_load(path.read_text())["artifacts"]["items"] == items
