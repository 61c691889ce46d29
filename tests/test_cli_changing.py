"""The verbs that change a dataset: what they do, what they refuse, and how they ask."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.cli_running import as_json, chainfold, contents, environment, fill

from chainfold import ArtifactRegistry
from chainfold.events import BlobsSwept

TEXT = "Grete Hopper"


@pytest.fixture
def ids(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A dataset that is filled, and is the one that commands mean; its ids by name."""
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(workspace))
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls") as registry:
        found = fill(registry)
        registry.register([5], "0002:1:all", "model", params={"operator": TEXT, "n": 1}, private=["operator"])
        return found | {"private": "0002:1:all"}


@pytest.fixture
def now(workspace: Path, ids: dict[str, str]) -> Iterator[ArtifactRegistry]:
    """The same dataset, to be looked at."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert ids
        yield registry


def answer(monkeypatch: pytest.MonkeyPatch, *arguments: str, text: str) -> Result:
    """A command at a terminal, where a person types something."""
    monkeypatch.setattr("chainfold.cli.deleting._is_asked", lambda: True)
    return chainfold(*arguments, text=text)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestDryRun:
    def test_it_writes_nothing_and_names_what_then_goes(
        self, workspace: Path, ids: dict[str, str], now: ArtifactRegistry
    ) -> None:
        (now.binaries_dir / "stray.bin").write_bytes(b"x" * 2_000)
        run = next(now.runs()).run_id
        for words in (
            ["gc", "--all"],
            ["erase", ids["private"]],
            ["rm", ids["stack"]],
            ["rollback", run, "--keep-dependents"],
            ["purge"],
        ):
            before = contents(workspace)
            planned = as_json(*words, "--dry-run")
            assert contents(workspace) == before
            assert planned["done"] is False
            files = names(now.binaries_dir)
            live = {record.artifact_id: record.created_at for record in now.get_all_records()}
            done = as_json(*words, "--yes")
            assert done.pop("done") is True
            assert {**planned, "done": True} == {**done, "done": True}
            gone = {item["name"] for item in planned["items"] if item["kind"] == "file"}
            assert gone == files - names(now.binaries_dir)
            left = {record.artifact_id: record.created_at for record in now.get_all_records()}
            ended = {item["name"] for item in planned["items"] if item["kind"] == "artifact"}
            assert ended == {each for each, at in live.items() if left.get(each) != at}
            assert planned["items"]

    def test_the_formats(self, ids: dict[str, str]) -> None:
        words = ("rm", ids["stack"], ids["private"], "--dry-run")
        assert chainfold(*words, "-q").stdout.split() == [ids["stack"], ids["private"]]
        rows = list(csv.DictReader(io.StringIO(chainfold(*words, "--format", "csv").stdout)))
        assert [row["kind"] for row in rows] == ["artifact", "artifact", "file", "file", "private"]
        assert rows[-1]["field"] == "operator"
        told = chainfold(*words).stdout
        assert told.endswith(
            f"Would delete 2 artifacts, 2 files and 1 private value ({as_json(*words)['size_bytes']} B).\n"
        )
        assert TEXT not in told

    def test_many_things_are_cut_short_unless_asked_for(self, now: ArtifactRegistry) -> None:
        for number in range(14):
            (now.binaries_dir / f"stray{number:02}.bin").write_bytes(b"x")
        shown = chainfold("gc", "--all", "--dry-run").stdout
        assert "stray08.bin" in shown
        assert "stray13.bin" not in shown
        assert "and 5 more: --long shows all" in shown
        assert "stray13.bin" in chainfold("gc", "--all", "--dry-run", "--long").stdout
        assert chainfold("gc", "--all", "--yes").exit_code == 0


class TestAsking:
    @pytest.mark.parametrize(
        "words", [["rm", "0002:1:all"], ["gc", "--all"], ["purge"], ["erase", "0002:1:all"]], ids=str
    )
    def test_without_a_terminal_it_refuses(
        self, workspace: Path, now: ArtifactRegistry, words: list[str]
    ) -> None:
        (now.binaries_dir / "stray.bin").write_bytes(b"x")
        before = now.position, names(now.binaries_dir)
        result = chainfold(*words, text="y\nwheat\n")
        assert result.exit_code == 2
        assert "stdin is not a terminal" in result.stderr
        assert "--yes" in result.stderr
        assert (now.position, names(now.binaries_dir)) == before
        assert (workspace / "binaries" / "wheat" / "stray.bin").exists()
        (now.binaries_dir / "stray.bin").unlink()

    def test_yes_and_no(
        self, ids: dict[str, str], now: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = answer(monkeypatch, "rm", ids["stack"], text="n\n")
        assert result.exit_code == 1
        assert "nothing was done" in result.stderr
        assert ids["stack"] in now
        result = answer(monkeypatch, "rm", ids["stack"], text="y\n")
        assert result.exit_code == 0
        assert ids["stack"] in result.stdout
        assert "Deleted 1 artifact and 1 file" in result.stdout
        assert ids["stack"] not in now

    def test_a_purge_wants_the_name(self, now: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
        assert answer(monkeypatch, "purge", text="y\n").exit_code == 1
        assert len(now) == 6
        assert answer(monkeypatch, "purge", text="wheat\n").exit_code == 0
        assert len(now) == 0
        assert names(now.binaries_dir) == set()

    def test_an_end_of_input_is_no_answer(
        self, ids: dict[str, str], now: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert answer(monkeypatch, "rm", ids["stack"], text="").exit_code == 130
        assert ids["stack"] in now

    def test_what_changed_while_it_asked_is_told(
        self, ids: dict[str, str], now: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def meanwhile(*_: object, **__: object) -> bool:
            now.register([1], "0003:1:all", "model", [ids["stack"]])
            return True

        monkeypatch.setattr("click.confirm", meanwhile)
        result = answer(monkeypatch, "rm", ids["stack"], text="")
        assert result.exit_code == 75
        assert "1 more dependent (0003:1:all)" in result.stderr
        assert ids["stack"] in now


class TestRm:
    def test_dependents_are_named_and_the_ways_out(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        result = chainfold("rm", ids["other"], "--yes")
        assert result.exit_code == 65
        assert ids["stack"] in result.stderr
        assert "--cascade" in result.stderr
        assert "--keep-dependents" in result.stderr
        assert ids["other"] in now
        assert chainfold("rm", ids["other"], "--yes", "--keep-dependents").exit_code == 0
        assert ids["stack"] in now
        assert chainfold("rm", ids["scaler"], "--yes", "--cascade").exit_code == 0
        assert [record.artifact_id for record in now.get_all_records()] == [ids["private"]]

    def test_all_or_none(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        position = now.position
        assert chainfold("rm", ids["stack"], "nothing", "--yes").exit_code == 66
        assert now.position == position
        result = chainfold("rm", "-", "--yes", "-q", text=f"{ids['stack']}\n{ids['private']}\n")
        assert result.stdout.split() == [ids["stack"], ids["private"]]

    def test_by_pipeline_or_id(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        assert chainfold("rm", "--yes").exit_code == 2
        assert chainfold("rm", ids["stack"], "--pipeline", "0002", "--yes").exit_code == 2
        assert chainfold("rm", ids["stack"], "--cascade", "--keep-dependents").exit_code == 2
        assert chainfold("rm", "--pipeline", "0002", "--yes").exit_code == 0
        assert ids["private"] not in now
        result = chainfold("rm", "--pipeline", "0002", "--yes")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "nothing to delete" in result.stderr


class TestGc:
    def test_nothing_without_a_scope(self, now: ArtifactRegistry) -> None:
        (now.binaries_dir / "stray.bin").write_bytes(b"x")
        result = chainfold("gc", "--yes")
        assert result.exit_code == 2
        assert "without a scope" in result.stderr
        assert chainfold("gc", "--older-than", "1d", "--yes").exit_code == 0
        assert (now.binaries_dir / "stray.bin").exists()
        assert chainfold("gc", "--all", "--yes").exit_code == 0
        assert not (now.binaries_dir / "stray.bin").exists()

    def test_what_a_manifest_refers_to_stays(self, workspace: Path, now: ArtifactRegistry) -> None:
        (now.binaries_dir / "kept.bin").write_bytes(b"x")
        folder = workspace / "runs" / "r1"
        folder.mkdir(parents=True)
        (folder / "manifest.yaml").write_text("artifacts: [kept.bin]\n")
        assert chainfold("gc", "--all", "--yes").exit_code == 0
        assert (now.binaries_dir / "kept.bin").exists()
        assert chainfold("gc", "--all", "--ignore-manifests", "--yes").exit_code == 0
        assert not (now.binaries_dir / "kept.bin").exists()

    def test_an_unreadable_manifest_stops_it(self, workspace: Path, now: ArtifactRegistry) -> None:
        (now.binaries_dir / "kept.bin").write_bytes(b"x")
        folder = workspace / "runs" / "r1"
        folder.mkdir(parents=True)
        (folder / "manifest.yaml").write_text("a: [")
        result = chainfold("gc", "--all", "--yes")
        assert result.exit_code == 65
        assert "manifest.yaml" in result.stderr
        assert "leave manifests out with --ignore-manifests" in result.stderr
        assert "=False" not in result.stderr
        (now.binaries_dir / "kept.bin").unlink()


class TestPurge:
    def test_open_runs_stand_in_the_way(self, workspace: Path, now: ArtifactRegistry) -> None:
        with ArtifactRegistry(workspace, "wheat") as other:
            other.start_run()
            other.register([1], "0009:1:all", "model")
            result = chainfold("purge", "--yes")
            assert result.exit_code == 75
            assert "--force" in result.stderr
            assert len(now) == 6
            assert chainfold("purge", "--yes", "--force").exit_code == 0
        assert len(now) == 0
        assert names(now.binaries_dir) == set()


class TestErase:
    def test_all_or_a_field(self, ids: dict[str, str], now: ArtifactRegistry, workspace: Path) -> None:
        assert chainfold("erase", ids["private"], "n", "--yes").exit_code == 66
        assert chainfold("erase", ids["private"], "operator", "--yes").exit_code == 0
        assert "operator" not in now.require(ids["private"]).params
        files = [path for path in workspace.rglob("*") if path.is_file()]
        assert not any(TEXT.encode() in path.read_bytes() for path in files)
        again = chainfold("erase", ids["private"], "--yes")
        assert (again.exit_code, again.stdout) == (0, "")
        assert "erased before" in again.stderr


class TestRollback:
    def test_a_committed_run(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        run = next(now.runs()).run_id
        result = chainfold("rollback", run, "--yes")
        assert result.exit_code == 65
        assert "--keep-dependents" in result.stderr
        assert chainfold("rollback", run, "--yes", "--keep-dependents").exit_code == 0
        assert ids["scaler"] not in now
        assert ids["stack"] in now
        assert "nothing of that run is left" in chainfold("rollback", run, "--yes").stderr
        assert chainfold("rollback", "none", "--yes").exit_code == 66

    def test_an_open_run_of_a_living_process(self, workspace: Path, now: ArtifactRegistry) -> None:
        with ArtifactRegistry(workspace, "wheat") as other:
            other.start_run()
            other.register([1], "0009:1:all", "model")
            run = list(now.runs())[-1].run_id
            result = chainfold("rollback", run, "--yes")
            assert result.exit_code == 75
            assert "--force" in result.stderr
            assert chainfold("rollback", run, "--yes", "--force", "-q").stdout == "0009:1:all\n"
        assert now.run_info(run).status == "rolled-back"


class TestRestore:
    def test_the_same_bytes_lineage_and_chain(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        before, position = now.require(ids["stack"]), now.position
        assert chainfold("rm", ids["stack"], "--keep-files", "--yes").exit_code == 0
        told = as_json("restore", ids["stack"], "--at", str(position))["items"]
        after = now.require(ids["stack"])
        assert told[0]["content_hash"] == after.content_hash == before.content_hash
        assert (after.chain_path, after.depends_on) == (before.chain_path, before.depends_on)
        assert after.params == before.params
        assert told[0]["position"] == now.history(ids["stack"])[-1].position

    def test_an_earlier_version_by_alias(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        """At position 7 the model that `production` names was the one that was replaced."""
        was = now.as_of(8).require(ids["model"])
        assert was.content_hash != now.require(ids["model"]).content_hash
        told = as_json("restore", "production", "--at", "8")["items"][0]
        assert now.require(ids["model"]).content_hash == was.content_hash
        assert told["superseded"] is not None
        position = now.position
        assert "nothing to do" in chainfold("restore", ids["scaler"], "--at", "8").stderr
        assert now.position == position

    def test_what_was_live_last(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        result = chainfold("restore", ids["stack"])
        assert result.exit_code == 65
        assert "--at" in result.stderr
        chainfold("rm", ids["stack"], ids["private"], "--keep-files", "--yes")
        assert chainfold("restore", ids["stack"], ids["private"], "-q").stdout.split() == [
            ids["stack"],
            ids["private"],
        ]
        assert ids["stack"] in now

    def test_all_or_none_and_it_is_said_who_took_the_file(
        self, ids: dict[str, str], now: ArtifactRegistry
    ) -> None:
        chainfold("rm", ids["stack"], "--keep-files", "--yes")
        chainfold("rm", ids["private"], "--yes")
        swept = now.position - 2
        result = chainfold("restore", ids["stack"], ids["private"])
        assert result.exit_code == 66
        assert "artifacts-deleted" in result.stderr
        assert f"position {swept - 1}" in result.stderr or f"position {swept}" in result.stderr
        assert ids["stack"] not in now
        assert chainfold("restore", ids["stack"], "--at", "2").exit_code == 66


class TestRollbackWithoutFiles:
    @pytest.mark.parametrize("count", [1, 5])
    def test_what_is_not_back_is_one_warning(self, now: ArtifactRegistry, count: int) -> None:
        ids = [f"0007:{number}:all" for number in range(count)]
        paths = [now.register([number], each, "model").path for number, each in enumerate(ids)]
        with now.run() as run:
            for each in ids:
                now.register([each], each, "model")
        for path in paths:
            (now.binaries_dir / path).unlink()
        done = chainfold("rollback", run.run_id, "--yes")
        assert done.exit_code == 0, done.stderr
        warned = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
        assert len(warned) == 1
        assert f"artifact {ids[0]!r} cannot be restored" in warned[0]
        if count > 1:
            assert "of 5 artifacts: 0007:0:all, 0007:1:all, 0007:2:all and 2 more" in warned[0]


class TestAlias:
    def test_setting_moving_and_removing(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        position = now.position
        assert as_json("alias", "best", ids["stack"])["items"] == [
            {"alias": "best", "artifact_id": ids["stack"], "live": True, "before": None}
        ]
        chainfold("alias", "production", "best")
        assert now.aliases() == {"best": ids["stack"], "production": ids["stack"]}
        assert chainfold("alias", "production", "-q").stdout == f"{ids['stack']}\n"
        assert chainfold("alias", "production", "-q", "--at", str(position)).stdout == f"{ids['model']}\n"
        assert chainfold("alias", "best", "--remove").exit_code == 0
        assert chainfold("alias", "best").exit_code == 66
        assert chainfold("alias", "best", "--remove").exit_code == 66
        assert chainfold("alias", "-q").stdout == f"{ids['stack']}\n"

    def test_what_cannot_be(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        position = now.position
        for words in (["x", ids["stack"], "--at", "3"], ["--remove"], ["x", ids["stack"], "--remove"]):
            assert chainfold("alias", *words).exit_code == 2
        assert chainfold("alias", "x", "nothing").exit_code == 66
        assert now.position == position
        assert "points there already" in chainfold("alias", "production", ids["model"]).stderr
        assert now.position == position

    @pytest.mark.parametrize(
        "name", ["5", " 5 ", "2026-05-31", "2026-05-31T12:00:00Z", "2 days ago", "-", "-x", "ID"]
    )
    def test_what_would_be_taken_for_something_else(
        self, ids: dict[str, str], now: ArtifactRegistry, name: str
    ) -> None:
        name, position = ids["other"] if name == "ID" else name, now.position
        done = chainfold("alias", "--", name, ids["model"])
        assert (done.exit_code, done.stdout) == (65, "")
        assert f"alias {name!r} was not set" in done.stderr
        assert now.position == position
        now.set_alias(name, ids["model"])  # the library takes it: it is shown, and can be taken away
        assert chainfold("alias", "-q", "--", name).stdout == f"{ids['model']}\n"
        assert chainfold("alias", "--remove", "--", name).exit_code == 0
        assert name not in now.aliases()

    def test_it_says_what_points_to_nothing(self, ids: dict[str, str]) -> None:
        chainfold("rm", ids["model"], "--keep-dependents", "--yes")
        assert "not live" in chainfold("alias").stdout


CHILD = """
    import sys
    from chainfold import dataset
    from chainfold.blobs import BlobStore
    from chainfold.cli import main

    dataset._SWEEP_BYTES = 60
    remove, count = BlobStore.remove, 0

    def slowly(store, path):
        global count
        count += 1
        if count == 2:
            print("amid the work", flush=True)
            sys.stdin.readline()
        return remove(store, path)

    BlobStore.remove = slowly
    main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT that a process sends to one other")
class TestCtrlC:
    def interrupted(self, *arguments: str) -> tuple[int, str, str]:
        """A command that gets a real SIGINT while it removes its second file."""
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "amid the work\n"
        os.kill(child.pid, signal.SIGINT)
        out, err = child.communicate("go on\n")
        return child.returncode, out, err

    def test_gc_ends_between_two_files_and_goes_on(self, now: ArtifactRegistry) -> None:
        strays = {f"stray{number:02}.bin" for number in range(30)}
        needed = names(now.binaries_dir)
        for name in strays:
            (now.binaries_dir / name).write_bytes(b"x")
        collectable = set(chainfold("gc", "--all", "--dry-run", "-q").stdout.split())
        code, _, err = self.interrupted("gc", "--all", "--yes")
        assert code == 130
        assert "the same command goes on" in err
        left = names(now.binaries_dir)
        events = [entry.event for entry in now.events(kinds="blobs-swept")]
        swept = {path for event in events if isinstance(event, BlobsSwept) for path in event.paths}
        assert swept
        assert swept.isdisjoint(left)
        assert swept | left == strays | needed
        assert now.verify().ok
        rest = chainfold("gc", "--all", "--yes", "-q").stdout.split()
        assert set(rest) == collectable - swept
        assert strays.isdisjoint(names(now.binaries_dir))

    def test_rm_finishes_what_it_began(self, ids: dict[str, str], now: ArtifactRegistry) -> None:
        code, out, err = self.interrupted("rm", "--pipeline", "0001_pls", "--yes", "--format", "json")
        assert code == 0
        assert "what was begun has been finished" in err
        files = {item["name"] for item in json.loads(out)["items"] if item["kind"] == "file"}
        assert len(files) == 5
        assert files.isdisjoint(names(now.binaries_dir))
        assert [record.artifact_id for record in now.get_all_records()] == [ids["private"]]
        assert now.verify().ok


def test_every_shape_of_json_is_documented(ids: dict[str, str]) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "cli-json.md").read_text("utf-8")

    def check(document: dict[str, Any]) -> None:
        part = page.partition(f"## {document['schema']}\n")[2].partition("\n## ")[0]
        assert part
        for name in {*document, *document["items"][0]} - {"schema", "dataset", "position", "items"}:
            assert f"`{name}`" in part

    check(as_json("rm", ids["stack"], "--keep-files", "--yes"))
    check(as_json("restore", ids["stack"]))
    check(as_json("alias"))
