"""What all commands share: finding the workspace, formats, errors, help; that reading writes nothing."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_running import chainfold, contents, fill, process
from tests.test_demo import HEAVY, modules_after

from chainfold import ArtifactRegistry, ChainfoldError, CorruptionError, errors
from chainfold.cli import main
from chainfold.cli.command import Command
from chainfold.cli.failing import EXIT_CODES
from chainfold.cli.manual import manual
from chainfold.cli.plain import cut, plain, spreadsheet, width

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = click.Context(main, info_name="chainfold", **main.context_settings)


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in main.list_commands(CONTEXT):
        command = main.get_command(CONTEXT, name)
        assert command is not None
        yield name, command


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_WORKSPACE", raising=False)
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)


class TestFindingTheWorkspace:
    def test_by_option_environment_and_folder(
        self, workspace: Path, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(registry)
        wanted = chainfold("ls", "-w", workspace).stdout
        assert len(wanted.splitlines()) == 6
        assert chainfold("-w", workspace, "ls").stdout == wanted
        monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(workspace))
        assert chainfold("ls").stdout == wanted
        assert chainfold("-w", workspace.parent, "ls").exit_code == 66  # what is typed counts more
        monkeypatch.delenv("CHAINFOLD_WORKSPACE")
        monkeypatch.chdir(workspace / "log" / "wheat")
        assert chainfold("ls").stdout == wanted

    def test_by_a_marker_above(
        self, tmp_path: Path, workspace: Path, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(registry)
        with ArtifactRegistry(workspace, "barley") as other:
            other.register([1], "0001:1:all", "model")
        (tmp_path / "chainfold.toml").write_text('workspace = "workspace"\ndataset = "wheat"\n')
        deep = tmp_path / "a" / "b"
        deep.mkdir(parents=True)
        monkeypatch.chdir(deep)
        assert len(chainfold("ls", "-q").stdout.splitlines()) == 5

    @pytest.mark.parametrize(
        "text",
        [
            "workspace = 7",
            'workspace = "/etc"',
            'workspace = ".."',
            'workspace = "a/../../b"',
            'dataset = ["wheat"]',
            'datasets = "wheat"',
            "not toml",
            "\x00",
            "x = " + "[" * 100_000,
            "#" * 70_000,
        ],
        ids=range(10),
    )
    def test_a_marker_that_is_none_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "chainfold.toml").write_text(text)
        result = chainfold("ls")
        assert result.exit_code == 65
        assert "chainfold.toml" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_none(self) -> None:
        result = chainfold("ls")
        assert result.exit_code == 66
        assert "chainfold init" in result.stderr

    def test_several_datasets_are_named(self, workspace: Path) -> None:
        for name in ("wheat", "barley"):
            with ArtifactRegistry(workspace, name) as registry:
                registry.register([1], "0001:1:all", "model")
        result = chainfold("show", "x", "-w", workspace)
        assert result.exit_code == 66
        assert "2 datasets: barley, wheat; choose one by -d" in result.stderr
        result = chainfold("show", "x", "-w", workspace, "-d", "rye")
        assert result.exit_code == 66
        assert "no dataset 'rye'; it has: barley, wheat" in result.stderr


class TestInit:
    def test_makes_a_workspace_that_is_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        result = chainfold("init", tmp_path / "new", "--default-dataset", "wheat")
        assert (result.exit_code, result.stdout) == (0, "")
        with ArtifactRegistry(tmp_path / "new", "wheat") as registry:
            registry.register([1], "0001:1:all", "model")
        (tmp_path / "new" / "deep").mkdir()
        monkeypatch.chdir(tmp_path / "new" / "deep")
        assert chainfold("ls", "-q").stdout == "0001:1:all\n"

    def test_changes_nothing_that_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "chainfold.toml").write_text("# mine\n")
        assert chainfold("init").exit_code == 0
        assert chainfold("init", "--default-dataset", "wheat").exit_code == 65
        assert (tmp_path / "chainfold.toml").read_text() == "# mine\n"

    def test_refuses_a_name_that_is_none(self, tmp_path: Path) -> None:
        assert chainfold("init", "--default-dataset", 'a"b').exit_code == 65
        assert list(tmp_path.iterdir()) == []


class TestReadingWritesNothing:
    def test_not_a_byte(self, workspace: Path) -> None:
        with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls") as registry:
            ids = fill(registry)
        with ArtifactRegistry(workspace, "wheat") as registry:
            registry.start_run()
            registry.register([1], "0002:1:all", "model")
            registry._data.close()  # as if the process had died: its run stays open
            run = registry._run
            assert run is not None
            run.release()
        before = contents(workspace)
        for arguments in (("ls",), ("ls", "--datasets"), ("show", ids["model"]), ("ls", "--at", "3")):
            assert chainfold(*arguments, "-w", workspace).exit_code == 0
        assert contents(workspace) == before

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_on_a_folder_that_cannot_be_written(self, workspace: Path, registry: ArtifactRegistry) -> None:
        fill(registry)
        folders = [workspace, *(path for path in workspace.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o500)
        try:
            assert chainfold("ls", "-w", workspace).exit_code == 0
        finally:
            for folder in folders:
                folder.chmod(0o700)

    def test_a_workspace_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        assert chainfold("ls", "-w", tmp_path / "none").exit_code == 66
        assert chainfold("ls", "-w", tmp_path, "-d", "wheat").exit_code == 66
        assert list(tmp_path.iterdir()) == []


class TestAt:
    def test_positions_times_and_checkpoints(
        self, workspace: Path, registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        ids = fill(registry)
        (tmp_path / "kept").write_text(registry.checkpoint())
        first = next(registry.events(0, 1)).at
        registry.register([2], "0009:1:all", "model")

        def count(at: str) -> int:
            return len(chainfold("ls", "-q", "-w", workspace, "--at", at).stdout.splitlines())

        assert [count("0"), count(first), count(str(registry.position)), count("kept")] == [0, 0, 6, 5]
        assert count(first[:10]) in {0, 6}  # the test may run over midnight
        assert count("2 days ago") == 0
        old = chainfold("show", ids["model"], "-w", workspace, "--at", "7", "--format", "json")
        assert json.loads(old.stdout)["items"][0]["record"]["params"]["n_components"] == 2

    @pytest.mark.parametrize("at", ["yesterday", "2026-13-01", "-3", "", "\x00", "99999999999 days ago"])
    def test_what_is_none_is_named(self, workspace: Path, registry: ArtifactRegistry, at: str) -> None:
        registry.register([1], "0001:1:all", "model")
        result = chainfold("ls", "-w", workspace, f"--at={at}")
        assert result.exit_code == 65
        assert len(result.stderr.splitlines()) == 1

    def test_a_position_that_is_not_there(self, workspace: Path, registry: ArtifactRegistry) -> None:
        registry.register([1], "0001:1:all", "model")
        assert chainfold("ls", "-w", workspace, "--at", "2").exit_code == 66

    @pytest.mark.damages
    def test_a_checkpoint_of_another_history(
        self, workspace: Path, registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        registry.register([1], "0001:1:all", "model")
        (tmp_path / "kept").write_text(registry.checkpoint())
        registry.close()
        shutil.rmtree(workspace)
        with ArtifactRegistry(workspace, "wheat") as other:
            other.register([2], "0001:1:all", "model")
        result = chainfold("ls", "-w", workspace, "--at", "kept")
        assert result.exit_code == CorruptionError.exit_code
        assert "they were changed since" in result.stderr


class TestErrors:
    def test_unforeseen_ones_are_one_sentence(
        self, workspace: Path, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.register([1], "0001:1:all", "model")

        def fail(*_: object, **__: object) -> None:
            raise ZeroDivisionError("two\nlines \x1b[31m")

        monkeypatch.setattr("chainfold.cli.opening.Place.reading", fail)
        result = chainfold("ls", "-w", workspace)
        assert result.exit_code == 70
        assert len(result.stderr.splitlines()) == 1
        assert "--debug" in result.stderr
        assert "\x1b" not in result.stderr
        result = chainfold("ls", "-w", workspace, "--debug")
        assert result.exit_code == 70
        assert "ZeroDivisionError" in result.stderr
        assert "Traceback" in result.stderr
        assert "\x1b" not in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("ls",), "Interrupted.\n"),
            (("verify",), "Interrupted.\n"),
            (("load", "0001:1:all", "-o", "out"), "Interrupted: nothing was left half done.\n"),
            (("rm", "0001:1:all", "--dry-run"), "Interrupted: nothing was left half done.\n"),
        ],
    )
    def test_an_interrupt(
        self,
        workspace: Path,
        registry: ArtifactRegistry,
        monkeypatch: pytest.MonkeyPatch,
        arguments: tuple[str, ...],
        said: str,
    ) -> None:
        registry.register([1], "0001:1:all", "model")

        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("chainfold.cli.opening.Place.reading", interrupt)
        result = chainfold(*arguments, "-w", workspace)
        assert (result.exit_code, result.stdout, result.stderr) == (130, "", said)

    def test_every_exit_code_is_documented(self) -> None:
        kinds = [each for each in vars(errors).values() if isinstance(each, type)]
        codes = {each.exit_code for each in kinds if issubclass(each, ChainfoldError)}
        assert codes <= EXIT_CODES.keys()


class TestPlain:
    @given(st.text())
    def test_nothing_that_moves_a_cursor_is_left(self, text: str) -> None:
        safe = plain(text)
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", safe)
        safe.encode()
        assert plain(safe) == safe

    @given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
    def test_what_can_be_seen_stays(self, text: str) -> None:
        assert plain(text) == text

    @given(st.text())
    def test_no_cell_is_a_formula(self, text: str) -> None:
        assert not spreadsheet(text).startswith(("=", "+", "-", "@", "\t", "\r"))

    @given(st.text(), st.integers(0, 20))
    def test_a_cut_text_fits(self, text: str, columns: int) -> None:
        assert width(cut(plain(text), columns)) <= max(columns, 0)


class TestHelp:
    @pytest.mark.parametrize(
        ("name", "command"), list(commands()), ids=lambda each: getattr(each, "name", each)
    )
    def test_nothing_lacks_help_or_an_example(self, name: str, command: click.Command) -> None:
        assert isinstance(command, Command)
        assert command.help
        assert command.examples
        for line, what in command.examples:
            assert f"chainfold {name}" in line
            assert what.endswith(".")
        for param in command.get_params(click.Context(command, parent=CONTEXT)):
            if isinstance(param, click.Option):
                assert (param.help or "").endswith("."), param.name
        text = chainfold(name, "--help").output
        assert "Examples:" in text
        for line, _ in command.examples:
            assert f"$ {line}\n" in text

    def test_the_manual_is_in_step(self) -> None:
        """`python -m chainfold.cli.manual > docs/cli.md` makes it so again."""
        assert (ROOT / "docs" / "cli.md").read_text("utf-8") == manual()

    def test_help_imports_little(self) -> None:
        """A count of what `chainfold --help` imports: none of it is of the library but its errors."""
        heavy = {*HEAVY, "msgspec", "xxhash", "filelock", "sortedcontainers", "cryptography"}
        assert modules_after("-m", "chainfold", "--help").isdisjoint(heavy)
        done = process("--help")
        assert done.returncode == 0
