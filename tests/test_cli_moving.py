"""Commands that move a dataset: import and export, and what an interrupt leaves of them."""

import io
import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_running import as_json, chainfold, contents, environment, fill, process

from chainfold import ArtifactRegistry, ManifestError
from chainfold.cli import manifests
from chainfold.cli.progress import Step
from chainfold.integrations import intoto, openlineage

DOCUMENTED = (Path(__file__).resolve().parents[1] / "docs" / "cli-json.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ids(registry: ArtifactRegistry) -> dict[str, str]:
    return fill(registry)


def other(tmp_path: Path) -> Path:
    chainfold("init", tmp_path / "other")
    return tmp_path / "other"


class TestExport:
    def test_a_manifest_comes_back_the_same(
        self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        registry.register(
            [3], "0009:1:all", "model", params={"secret": 7, "seed": 1 << 70}, private=["secret"]
        )
        assert chainfold("export", "wheat.yaml").exit_code == 0
        assert yaml.safe_load((tmp_path / "wheat.yaml").read_text("utf-8")) == registry.export_to_manifest()
        elsewhere = other(tmp_path)
        done = chainfold(
            "import", "wheat.yaml", "-w", elsewhere, "-d", "rye", "--files", registry.binaries_dir
        )
        assert (done.exit_code, done.stderr) == (0, "")
        with ArtifactRegistry(elsewhere, "rye") as imported:
            theirs, ours = imported.export_to_manifest(), registry.export_to_manifest()
            for each in (*theirs["items"], *ours["items"]):
                each.pop("private", None)
            assert theirs == ours
            assert [imported.load_bytes(each) for each in imported.iter_records()] == [
                registry.load_bytes(each) for each in registry.iter_records()
            ]
            assert len(list(imported.runs())) == 1

    def test_a_manifest_of_the_past_and_of_nothing(self, ids: dict[str, str], tmp_path: Path) -> None:
        for name in ("none.yaml", "none.json"):
            assert chainfold("export", name, "--as", "manifest", "--at", "0").exit_code == 0
            found = yaml.safe_load((tmp_path / name).read_text("utf-8"))
            assert found == {"schema_version": "3.0", "items": []}
        assert chainfold("export", "-", "--as", "manifest", "--at", "2").stdout.count("artifact_id") == 0
        assert chainfold("import", "-d", "new", "none.yaml").exit_code == 0

    def test_json_has_no_infinity(self, ids: dict[str, str], tmp_path: Path) -> None:
        done = chainfold("export", "wheat.json", "--as", "manifest")
        assert done.exit_code == 65
        assert ".yaml" in done.stderr
        assert not (tmp_path / "wheat.json").exists()

    def test_a_manifest_that_may_be_too_large(
        self, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "Warning" not in chainfold("export", "a.yaml").stderr
        monkeypatch.setattr(manifests, "MANY", 4)
        assert "--as manifest" in chainfold("export", "b.yaml").stderr

    def test_tables(self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path) -> None:
        assert chainfold("export", "a.sqlite").exit_code == 0
        with closing(sqlite3.connect(tmp_path / "a.sqlite")) as database:
            assert database.execute("SELECT count(*) FROM events").fetchone() == (registry.position,)
        assert chainfold("export", "a.parquet", "--table", "history", "--at", "3").exit_code == 0
        assert (
            pq.read_table(tmp_path / "a.parquet").num_rows == registry.as_of(3).to_arrow("history").num_rows
        )
        (tmp_path / "a.parquet").write_text("mine")
        done = chainfold("export", "a.parquet")
        assert (done.exit_code, (tmp_path / "a.parquet").read_text()) == (65, "mine")
        assert "--force" in done.stderr
        assert as_json("export", "a.parquet", "--force")["as"] == "parquet"
        assert pq.read_table(tmp_path / "a.parquet").num_rows == 5

    def test_for_other_tools(self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path) -> None:
        lines = chainfold("export", "-", "--as", "openlineage").stdout.splitlines()
        assert list(map(json.loads, lines)) == list(openlineage.events(registry))
        chainfold("export", "s.json", "--as", "in-toto", "--artifact", "production")
        assert json.loads((tmp_path / "s.json").read_text()) == intoto.statement(registry, ids["model"])
        chainfold("export", "p.provn")
        assert (tmp_path / "p.provn").read_text().startswith("document")
        assert "entity" in json.loads(chainfold("export", "-", "--as", "prov").stdout)

    @pytest.mark.parametrize(
        "line",
        [
            "x.json",
            "-",
            "- --as sqlite",
            "x.yaml --table runs",
            "x.json --as in-toto",
            "x.yaml --artifact production",
        ],
    )
    def test_what_does_not_go_together(self, ids: dict[str, str], line: str) -> None:
        assert chainfold("export", *line.split()).exit_code == 2

    def test_a_folder_that_is_not_there(self, ids: dict[str, str]) -> None:
        for name in ("none/x.yaml", "none/x.sqlite"):
            done = chainfold("export", name)
            assert done.exit_code == 66
            assert "none" in done.stderr


class TestImport:
    def test_without_files(self, ids: dict[str, str], tmp_path: Path) -> None:
        chainfold("export", "wheat.yaml")
        elsewhere = other(tmp_path)
        done = chainfold("import", "wheat.yaml", "-w", elsewhere, "-d", "rye")
        assert done.exit_code == 0
        assert "5 of them came without a file" in done.stderr
        found = json.loads(
            chainfold("import", "wheat.yaml", "-w", elsewhere, "-d", "rye", "--format", "json").stdout
        )
        assert found["artifacts"] == found["without_file"]

    def test_all_or_nothing(self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path) -> None:
        chainfold("export", "good.yaml")
        (tmp_path / "bad.yaml").write_text("items: [{artifact_id: 7}]")
        before = set(registry.export_to_manifest())
        done = chainfold("import", "good.yaml", "bad.yaml")
        assert done.exit_code == 65
        assert "item 0" in done.stderr
        assert set(registry.export_to_manifest()) == before
        assert chainfold("import", "good.yaml", "none.yaml").exit_code == 66
        assert chainfold("import").exit_code == 2

    def test_a_pipelines_own(self, registry: ArtifactRegistry, tmp_path: Path) -> None:
        registry.register([1], "0001:1:all", "model")
        item = "{name: scaler, path: a.pkl, step: 1, created_at: '2026-01-31T12:00:00Z'}"
        (tmp_path / "manifest.yaml").write_text(f"dataset: wheat\nartifacts:\n- {item}\n")
        told = as_json("import", "manifest.yaml")
        documented = DOCUMENTED.split("## chainfold/imported/1\n")[1].split("\n## ")[0]
        fields = set(re.findall(r"^\| `(\w+)` \|", documented, re.MULTILINE))
        assert told.keys() - {"schema", "dataset"} == fields
        (found,) = told["artifacts"]
        assert found.startswith("imported:1:scaler")
        record = registry.resolve(found)
        assert record is not None
        assert record.created_at

    @pytest.mark.parametrize(
        ("content", "word"),
        [
            (b"a: [" * 300, "nested"),
            (b"a: &a {x: 1}\nb: {<<: [*a, *a]}", "merges"),
            (b"a: " + b"1:" * 600 + b"1", "not a manifest"),
            (b"a: " + b"9" * 5_000, "digits"),
            (b"%TAG ! tag:x,2000:\n" * 200 + b"---\na", "directives"),
            (b"!!python/object/apply:os.system [echo]", "python/object"),
            (b"\xff\xfe\x00", "cannot read the manifest"),
            (b"a: b: c", "cannot read the manifest"),
            (b"{", "cannot read the manifest"),
        ],
        ids=range(9),
    )
    def test_what_is_made_to_hurt(
        self, registry: ArtifactRegistry, tmp_path: Path, content: bytes, word: str
    ) -> None:
        registry.register([1], "0001:1:all", "model")
        (tmp_path / "bad.yaml").write_bytes(content)
        done = chainfold("import", "bad.yaml")
        assert done.exit_code == 65
        assert word in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert len(registry) == 1

    def test_what_nirs4all_left(self, tmp_path: Path) -> None:
        run = tmp_path / "old" / "runs" / "one"
        run.mkdir(parents=True)
        digest = "sha256:" + "0" * 64
        item = f"{{artifact_id: 'p$0123456789ab:0', content_hash: '{digest}', path: model_A_abc.joblib}}"
        (run / "manifest.yaml").write_text(f"dataset: wheat\nartifacts:\n  items: [{item}]\n")
        would = as_json("import", "--nirs4all", "old", "--dry-run")
        assert not (tmp_path / "old" / "log").exists()
        done = chainfold("import", "--nirs4all", "old", "-d", "wheat")
        assert done.exit_code == 0, done.stderr
        assert "wheat: 1 artifact imported, 0 known already, from 1 manifest" in done.stdout
        assert "not there" in done.stderr
        assert chainfold("ls", "-q", "-w", "old").stdout == "p$0123456789ab:0\n"
        again = as_json("import", "--nirs4all", "old")
        assert again["datasets"][0] == would["datasets"][0] | {
            "artifacts": [],
            "without_file": [],
            "known": 1,
        }
        assert would["datasets"][0]["artifacts"] == ["p$0123456789ab:0"]
        for line in ("--nirs4all old x.yaml", "--dry-run", "--nirs4all old --files x"):
            assert chainfold("import", *line.split()).exit_code == 2
        assert chainfold("import", "--nirs4all", "none").exit_code == 65

    def test_what_is_wrong_is_said_of_the_file_and_leaves_nothing(
        self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        chainfold("export", "good.yaml")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "manifest.yaml").write_text("items: []")
        bad = {"text.yaml": "just text", "old.yaml": "{schema_version: '9.9', items: []}"}
        bad["item.yaml"] = "items: [{artifact_id: 'a:1:all', path: a.pkl, size_bytes: x}]"
        for name, content in bad.items():
            (tmp_path / name).write_text(content)
            for line in (name, f"good.yaml {name}", f"--dry-run {name}"):
                done = chainfold("import", "-d", "fresh", *line.split())
                assert done.exit_code == 65
                assert f"{name!r}: " in done.stderr
        assert "item 0" in done.stderr
        assert "size_bytes must be a whole number" in done.stderr
        done = chainfold("import", "-d", "fresh", "folder")
        assert done.exit_code == 65
        assert "is a folder: name the manifest: " in done.stderr
        assert str(Path("folder") / "manifest.yaml") in done.stderr
        done = chainfold("import", "-d", "fresh", "good.yaml", "--files", "nowhere")
        assert done.exit_code == 66
        assert "there is no folder 'nowhere'" in done.stderr
        assert not (registry.workspace / "log" / "fresh").exists()

    def test_a_refusal_by_what_the_dataset_has_leaves_no_dataset(
        self, registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        registry.register([1], "p:1:all", "model")
        (tmp_path / "secret").mkdir()
        folder = registry.workspace / "binaries" / "fresh"
        folder.mkdir()
        (folder / "out").symlink_to(tmp_path / "secret")
        (tmp_path / "bad.yaml").write_text("items: [{artifact_id: 'a:1:all', path: out/a.pkl}]")
        done = chainfold("import", "-d", "fresh", "bad.yaml")
        assert done.exit_code == 65
        assert chainfold("ls", "--datasets", "-q").stdout == "wheat\n"

    def test_what_it_would_bring(
        self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        chainfold("export", "wheat.yaml")
        manifest = yaml.safe_load((tmp_path / "wheat.yaml").read_text())
        first, second, *_ = manifest["items"]
        second |= {"content_hash": "sha256:" + "0" * 64, "path": "elsewhere.pkl"}
        manifest["items"].append({**first, "artifact_id": "new:1:all"})
        (tmp_path / "wheat.yaml").write_text(yaml.safe_dump(manifest))
        before = contents(registry.workspace)
        would = as_json("import", "wheat.yaml", "--dry-run")
        assert contents(registry.workspace) == before
        assert would["new"] == ["new:1:all"]
        assert would["superseding"] == [second["artifact_id"]]
        assert set(would["same"]) == set(would["artifacts"]) - {"new:1:all", second["artifact_id"]}
        told = chainfold("import", "wheat.yaml")
        assert "1 new, 4 the same as before, 1 superseding" in told.stdout
        assert "4 of them were there already with the same bytes" in told.stderr
        fresh = as_json("import", "-d", "fresh", "wheat.yaml", "--dry-run", "--files", registry.binaries_dir)
        assert fresh["new"] == would["artifacts"]
        assert fresh["without_file"] == [second["artifact_id"]]
        assert not (registry.workspace / "log" / "fresh").exists()
        assert as_json("import", "-d", "fresh", "wheat.yaml", "--files", registry.binaries_dir) == {
            **fresh,
            "dry_run": False,
        }

    def test_a_file_of_another_size_is_said_to_be_one(
        self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        chainfold("export", "wheat.yaml")
        manifest = yaml.safe_load((tmp_path / "wheat.yaml").read_text())
        item = manifest["items"][0]
        size = item["size_bytes"]
        item["size_bytes"] = 5
        (tmp_path / "wheat.yaml").write_text(yaml.safe_dump([item]))
        done = chainfold("import", "-d", "fresh", "wheat.yaml", "--files", registry.binaries_dir)
        assert done.exit_code == 0
        assert f"{item['path']!r} has {size:,} bytes, not 5" in " ".join(done.stderr.split())
        item |= {"size_bytes": size, "content_hash": "sha256:zz"}
        (tmp_path / "wheat.yaml").write_text(yaml.safe_dump([item]))
        done = chainfold("import", "-d", "fresh", "wheat.yaml", "--files", registry.binaries_dir)
        assert done.exit_code == 0
        assert "has no whole sha256 digest" in done.stderr

    def test_json_that_is_made_to_hurt(self, tmp_path: Path) -> None:
        for content in (b"[" * 200_000, b"9" * 5_000, b"\xff", b"nothing"):
            (tmp_path / "bad.json").write_bytes(content)
            with pytest.raises(ManifestError):
                manifests.read_manifest(tmp_path / "bad.json")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4), max_size=4))
def test_yaml_is_what_a_safe_loader_reads_and_what_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]
) -> None:
    """Whatever records say: written item by item, it is the one document that others read."""

    records: list[Any] = [SimpleNamespace(to_dict=partial(dict, each)) for each in items]
    target = io.BytesIO()
    manifests.write_yaml(target, iter(records))
    wanted = {"schema_version": "3.0", "items": items}
    try:
        assert yaml.load(target.getvalue(), Loader=yaml.CSafeLoader) == wanted
    except yaml.YAMLError:  # YAML has no way to say every text
        return
    path = tmp_path_factory.mktemp("manifest") / "manifest.yaml"
    path.write_bytes(target.getvalue())
    assert manifests.read_manifest(path) == wanted


INTERRUPTED = """
import os, signal, sys
from chainfold.cli import main
from chainfold.records import ArtifactRecord

count, real = 0, ArtifactRecord.to_dict

def slow(self):
    global count
    count += 1
    if count == 3:
        print("amid", file=sys.stderr, flush=True)
        sys.stdin.read(1)
    return real(self)

ArtifactRecord.to_dict = slow
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="another way to interrupt")
class TestInterrupts:
    def interrupted(self, script: str, *arguments: str) -> None:
        """Run a command, and send it a real SIGINT when it says that it is amid its work."""
        command = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert command.stderr is not None
        assert command.stdin is not None
        assert command.stderr.readline() == "amid\n"
        command.send_signal(signal.SIGINT)
        told = command.stderr.read()
        assert command.wait() == 130
        assert "Traceback" not in told
        command.stdin.close()
        command.stderr.close()

    def test_an_export_leaves_nothing_and_what_was_there(self, ids: dict[str, str], tmp_path: Path) -> None:
        self.interrupted(INTERRUPTED, "export", "wheat.yaml")
        assert [each.name for each in tmp_path.iterdir()] == ["workspace"]
        (tmp_path / "wheat.yaml").write_text("mine")
        self.interrupted(INTERRUPTED, "export", "wheat.yaml", "--force")
        assert (tmp_path / "wheat.yaml").read_text() == "mine"
        assert sorted(each.name for each in tmp_path.iterdir()) == ["wheat.yaml", "workspace"]
        assert chainfold("export", "wheat.yaml", "--force").exit_code == 0

    def test_so_does_one_of_tables(self, ids: dict[str, str], tmp_path: Path) -> None:
        script = (
            INTERRUPTED.replace("ArtifactRecord, ", "")
            .replace(
                "count, real = 0, ArtifactRecord.to_dict",
                "from chainfold.tables import sqlite\ncount, real = 2, sqlite._bound",
            )
            .replace("ArtifactRecord.to_dict = slow", "sqlite._bound = slow")
        )
        self.interrupted(script, "export", "a.sqlite")
        assert [each.name for each in tmp_path.iterdir()] == ["workspace"]

    def test_a_rebuild_and_a_check_leave_all_as_it_was(self, ids: dict[str, str], workspace: Path) -> None:
        before = contents(workspace)
        for line, entries in (
            ("rebuild", 9),
            ("verify", 9),
            ("verify", 0),
        ):  # amid what is folded behind those
            script = (
                INTERRUPTED.replace(
                    "chainfold.records import ArtifactRecord", "chainfold.projections import Projections"
                )
                .replace(
                    "count, real = 0, ArtifactRecord.to_dict", f"count, real = {-entries}, Projections.apply"
                )
                .replace("def slow(self)", "def slow(*self)")
                .replace("real(self)", "real(*self)")
                .replace("ArtifactRecord.to_dict = slow", "Projections.apply = slow")
            )
            self.interrupted(script, line)
            assert contents(workspace) == before
            assert chainfold(line).exit_code == 0

    def test_an_import_brings_nothing(self, ids: dict[str, str], tmp_path: Path) -> None:
        chainfold("export", "wheat.yaml")
        elsewhere = other(tmp_path)
        script = (
            INTERRUPTED.replace(
                "count, real = 0, ArtifactRecord.to_dict",
                "from chainfold.commands import importing\ncount, real = 1, importing._bring_file",
            )
            .replace("def slow(self)", "def slow(*self)")
            .replace("real(self)", "real(*self)")
        )
        script = script.replace("ArtifactRecord.to_dict = slow", "importing._bring_file = slow")
        arguments = (
            "import",
            "wheat.yaml",
            "-w",
            str(elsewhere),
            "-d",
            "rye",
            "--files",
            "workspace/binaries/wheat",
        )
        self.interrupted(script, *arguments)
        assert chainfold("ls", "-q", "-w", elsewhere).stdout == ""
        assert chainfold(*arguments).exit_code == 0
        assert len(chainfold("ls", "-q", "-w", elsewhere).stdout.splitlines()) == 5
        assert chainfold("verify", "-w", elsewhere).exit_code == 0


@pytest.mark.parametrize(
    "line", ["verify", "verify --no-blobs", "rebuild", "export a.sqlite", "export a.yaml"]
)
def test_nothing_of_it_is_in_a_pipe(
    registry: ArtifactRegistry, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(registry)
    monkeypatch.chdir(registry.workspace.parent)
    done = process(*line.split(), "-w", registry.workspace)
    assert done.returncode == 0
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


def test_each_is_told_how_far_it_has_come(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By count: each command calls, never with more than there is, and never goes back."""
    with registry.run():
        for number in range(1_100):
            registry.register(number, f"0001:{number}:all", "model")
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(Step, "at", lambda _, done, total: calls.append((done, total)))
    monkeypatch.chdir(registry.workspace.parent)
    for line in (
        "verify",
        "verify --no-blobs",
        "rebuild",
        "export a.sqlite",
        "export a.parquet",
        "export a.yaml",
        "export - --as openlineage",
        "import a.yaml",
    ):
        calls.clear()
        assert chainfold(*line.split(), "-w", registry.workspace).exit_code == 0, line
        assert calls, line
        assert all(0 <= done <= total for done, total in calls), line
        assert calls == sorted(calls), line
