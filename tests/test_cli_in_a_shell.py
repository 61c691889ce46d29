"""The command line in a shell: pipes, Ctrl-C, completion, and names that are meant to hurt."""

import csv
import io
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_running import as_json, chainfold, contents, environment, fill, process

from chainfold import ArtifactRegistry
from chainfold.cli import main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ids(registry: ArtifactRegistry) -> dict[str, str]:
    return fill(registry)


class TestPipes:
    @pytest.mark.skipif(not Path("/bin/bash").exists(), reason="it is asked of bash")
    def test_a_reader_that_stops_is_nothing_to_complain_of(self, registry: ArtifactRegistry) -> None:
        with registry.run():
            for number in range(3_000):
                registry.register(number, f"{'x' * 60}:{number}:all", "model")
        command = f"{sys.executable} -m chainfold ls --format json | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["/bin/bash", "-c", command], capture_output=True, text=True, env=environment(), check=True
        )
        assert done.stdout.splitlines()[1] == "141"
        assert done.stderr == ""

    @pytest.mark.skipif(not Path("/bin/bash").exists(), reason="it is asked of bash")
    def test_following_ends_with_its_reader(self, ids: dict[str, str]) -> None:
        command = f"{sys.executable} -m chainfold log --follow | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            capture_output=True,
            text=True,
            env=environment(),
            check=True,
            timeout=60,  # without an end of its own it follows for ever: no event comes
        )
        assert done.stdout.splitlines()[1] == "141"
        assert done.stderr == ""

    def test_notes_are_not_in_the_pipe(self, ids: dict[str, str]) -> None:
        done = process("ls", "--at", "0", "--format", "human")
        assert (done.returncode, done.stdout) == (0, "")
        assert "as of position 0" in done.stderr
        assert "\x1b" not in done.stderr


class TestHostileNames:
    NAMES = (
        "=1+1:0:all",
        "-rf:0:all",
        "a\u202eb:0:all",
        "'; touch x; ':0:all",
        "日本:0:all",
        "[bold]x[/bold]:0:all",
    )

    def test_ids(self, registry: ArtifactRegistry) -> None:
        for name in self.NAMES:
            registry.register([name], name, "model", params={"x": "\x1b[31mred\r\n"}, custom_name="b\u202ead")
        for arguments in (("ls", "-l"), ("log", "-l"), ("du",)):
            text = chainfold(*arguments).stdout
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
        for shape in ("quiet", "csv"):
            text = chainfold("ls", "--format", shape).stdout
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
        assert [each["artifact_id"] for each in as_json("ls")["items"]] == list(self.NAMES)
        assert chainfold("ls", "--format", "json").stdout.isascii()
        for name in self.NAMES:
            result = chainfold("show", "--", name)
            assert result.exit_code == 0
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", result.stdout)
        rows = list(csv.reader(io.StringIO(chainfold("ls", "--format", "csv").stdout)))
        assert [row[0][0] for row in rows[1:3]] == ["'", "'"]

    def test_ids_in_a_pipe_are_taken_back(self, registry: ArtifactRegistry) -> None:
        for name in self.NAMES:
            registry.register([name], name, "model")
        ids = chainfold("ls", "-q").stdout
        assert ids.split("\n") == [*self.NAMES, ""]
        assert chainfold("show", "-q", "-", text=ids).stdout == ids
        rows = list(csv.reader(io.StringIO(chainfold("ls", "--format", "csv").stdout)))
        assert [row[0].removeprefix("'") for row in rows[1:]] == [
            name.removeprefix("'") for name in self.NAMES
        ]

    @pytest.mark.parametrize("shape", ["quiet", "csv"])
    def test_ids_on_a_terminal_are_escaped(
        self, shape: str, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.register([1], "a\u202eb:0:all", "model")
        monkeypatch.setattr("chainfold.cli.printing.is_terminal", lambda: True)
        assert "\na\\u202eb:0:all" in "\n" + chainfold("ls", "--format", shape).stdout

    @given(name=st.text(max_size=20))
    def test_any_text_is_a_name_that_may_not_be_there(
        self, name: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.getbasetemp() / "hostile"
        with ArtifactRegistry(folder, "wheat") as registry:
            if not len(registry):
                registry.register([1], "0001:1:all", "model")
        result = chainfold("show", "-w", folder, "--", name)
        if not name:
            assert result.exit_code == 2
            return
        assert result.exit_code in {0, 66} or name == "-"
        assert len(result.stderr.splitlines()) <= 1


class TestCompletion:
    def complete(self, *words: str) -> list[str]:
        *before, incomplete = words
        found = ShellComplete(main, {}, "chainfold", "_CHAINFOLD_COMPLETE").get_completions(
            before, incomplete
        )
        return [each.value for each in found]

    def test_names(self, workspace: Path, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        before = contents(workspace)
        assert self.complete("show", "prod") == ["production"]
        assert set(self.complete("tree", "0001_pls$d")) == {
            ids["model"],
            ids["other"],
            ids["model"][:-1] + "2",
        }
        assert self.complete("find", "--chain", "s1") == ["s1.MinMaxScaler", "s1.MinMaxScaler>s3.PLS"]
        assert self.complete("ls", "-d", "w") == ["wheat"]
        assert self.complete("ls", "-w", str(workspace.parent / "none"), "-d", "w") == []
        assert self.complete("s") == ["show", "stats"]
        assert contents(workspace) == before

    def test_is_bounded(self, registry: ArtifactRegistry) -> None:
        with registry.run():
            for number in range(2_500):
                registry.register(number, f"0001:{number}:all", "model", chain_path=f"s1.X{number}")
        assert len(self.complete("show", "0001")) == 100
        assert self.complete("show", "0001:3:")[:1] in (
            [],
            ["0001:3:all"],
        )  # it is older than what is looked at
        assert len(self.complete("find", "--prefix", "s1.X2")) == 100


def test_ctrl_c_while_listing(registry: ArtifactRegistry) -> None:
    registry.register([1], "0001:1:all", "model")
    child = subprocess.Popen(
        [sys.executable, "-m", "chainfold", "log", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130
    assert errors == "Interrupted.\n"


def test_ctrl_c_while_the_command_is_imported() -> None:
    program = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "chainfold.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from chainfold.__main__ import run
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
