"""What the command line refuses: names that its files cannot have, damaged logs, streams that are closed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli_running import chainfold, contents, environment, fill

from chainfold import ArtifactRegistry

WRITERS = (
    ("load", "production", "-o"),
    ("export", "--as", "manifest"),
    ("export", "--as", "sqlite"),
    ("checkpoint", "-o"),
    ("prove", "production", "-o"),
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def ids(registry: ArtifactRegistry) -> dict[str, str]:
    return fill(registry)


@pytest.mark.parametrize("command", WRITERS)
class TestOutput:
    @posix
    @pytest.mark.parametrize("make", [os.mkfifo if hasattr(os, "mkfifo") else os.mkdir, os.mkdir])
    @pytest.mark.parametrize("force", [[], ["--force"]])
    def test_what_is_no_file_stays(
        self, command: tuple[str, ...], make: Callable[[str], None], force: list[str]
    ) -> None:
        make("there")
        before = os.lstat("there")
        done = chainfold(*command, "there", *force)
        assert done.exit_code == 65
        assert "use - for stdout" in done.stderr
        assert "--force" not in done.stderr
        assert os.lstat("there").st_mode == before.st_mode
        assert os.lstat("there").st_ino == before.st_ino

    @posix
    def test_a_link_stays(self, command: tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "target").write_text("mine")
        (tmp_path / "link").symlink_to("target")
        done = chainfold(*command, "link", "--force")
        assert done.exit_code == 65
        assert "is a link" in done.stderr
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_text() == "mine"

    @pytest.mark.parametrize(
        "place", ["log/wheat/segments/00000000000000000001.jsonl", "log/x", "binaries/x"]
    )
    def test_the_workspace_is_not_written_into(
        self, command: tuple[str, ...], place: str, workspace: Path
    ) -> None:
        (workspace / "binaries").mkdir(exist_ok=True)
        before = contents(workspace)
        done = chainfold(*command, workspace / place, "--force")
        assert done.exit_code == 65
        assert "only chainfold writes" in done.stderr
        assert contents(workspace) == before

    def test_no_name(self, command: tuple[str, ...]) -> None:
        assert chainfold(*command, "").exit_code == 65

    def test_no_folder(self, command: tuple[str, ...]) -> None:
        done = chainfold(*command, "no/such/folder/x")
        assert done.exit_code == 66
        assert "there is no folder 'no/such/folder'" in done.stderr.replace("\\\\", "/")


@pytest.mark.parametrize("command", [("checkpoint",), ("prove", "production")])
def test_a_dash_is_stdout(command: tuple[str, ...], tmp_path: Path) -> None:
    assert chainfold(*command, "-o", "-").stdout_bytes == chainfold(*command).stdout_bytes
    assert not (tmp_path / "-").exists()


@pytest.mark.damages
class TestDamagedLog:
    COMMANDS = (
        ("export", "x.yaml"),
        ("export", "x.sqlite"),
        ("checkpoint", "-o", "x"),
        ("prove", "--entry", "0"),
        ("prove", "stack:0:all"),
        ("rebuild",),
    )

    @pytest.fixture
    def damaged(self, registry: ArtifactRegistry, workspace: Path) -> int:
        """Position of the entry that is not what was acknowledged."""
        registry.close()
        (segment,) = (workspace / "log" / "wheat" / "segments").iterdir()
        content = segment.read_bytes()
        segment.write_bytes(content.replace(b"retrained", b"Retrained", 1))
        return content[: content.index(b"retrained")].count(b"\n")

    @pytest.mark.parametrize("command", COMMANDS)
    def test_nothing_is_made_of_what_is_left(
        self, command: tuple[str, ...], damaged: int, tmp_path: Path
    ) -> None:
        done = chainfold(*command)
        assert done.exit_code == 74
        assert "chainfold verify" in done.stderr
        assert f"position {damaged}" in done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["workspace"]

    def test_what_is_surely_before_it_is_given(self, damaged: int) -> None:
        assert chainfold("export", "x.yaml", "--at", str(damaged)).exit_code == 0
        assert chainfold("checkpoint", "--at", str(damaged)).exit_code == 0
        assert chainfold("checkpoint", "--at", "2999-01-01").exit_code == 74

    def test_no_file_is_called_an_orphan(self, damaged: int) -> None:
        done = chainfold("verify")
        assert done.exit_code == 1
        assert "orphan" not in done.stdout + done.stderr
        assert "gc" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
class TestStreams:
    @staticmethod
    def shell(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", line.replace("chainfold", f"{sys.executable} -m chainfold")],
            check=False,
            capture_output=True,
            text=True,
            env=environment(),
        )

    @pytest.mark.parametrize("stream", ["> /dev/full", ">&-"])
    @pytest.mark.parametrize(
        "command",
        ["ls", "ls --format csv", "load production -o -", "export - --as prov", "--help", "completion bash"],
    )
    def test_stdout_takes_nothing(self, command: str, stream: str) -> None:
        done = self.shell(f"chainfold {command} {stream}")
        assert done.returncode == 74
        assert done.stderr.startswith("Error: cannot write to stdout")
        assert done.stderr.count("\n") == 1

    def test_what_needs_no_stdout_works_without(self, tmp_path: Path) -> None:
        assert self.shell("chainfold load production -o x >&-").returncode == 0
        assert (tmp_path / "x").exists()

    def test_stdin_is_closed(self) -> None:
        done = self.shell("chainfold show - <&-")
        assert done.returncode == 74
        assert "cannot read ids from stdin" in done.stderr

    @pytest.mark.parametrize("stream", ["2> /dev/full", "2>&-"])
    def test_nobody_can_be_told(self, stream: str) -> None:
        assert self.shell(f"chainfold ls -d nope {stream}").returncode == 66
        assert self.shell(f"chainfold show nope {stream}").returncode == 66
        done = self.shell(f"chainfold ls --at 7 {stream}")
        assert done.returncode == 0
        assert done.stdout


class TestMoments:
    @pytest.mark.parametrize(
        "command",
        ["ls --at", "verify --since", "prove --since", "show production --at", "ls --datasets --at"],
    )
    @pytest.mark.parametrize("content", ["hush\nmore\n", "", "x\n1\nhush\n"])
    def test_a_file_that_is_no_checkpoint(self, command: str, content: str, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(content)
        done = chainfold(*command.split(), "key")
        assert done.exit_code == 65
        assert "the file 'key' is no checkpoint" in done.stderr
        assert "hush" not in done.stderr

    @pytest.mark.parametrize("text", ["nothere.txt", "3.5", "-1", "", "now", "workspace"])
    def test_nothing_that_is_a_moment(self, text: str) -> None:
        done = chainfold("ls", "--at", text)
        assert done.exit_code == 65
        assert all(word in done.stderr for word in (repr(text), "position", "time", "file"))


@pytest.mark.parametrize("command", ["runs", "log"])
def test_none_were_asked_for(command: str) -> None:
    done = chainfold(command, "-n", "0")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("command", ["log --run", "rollback --yes"])
def test_a_run_that_never_was(command: str) -> None:
    done = chainfold(*command.split(), "nope")
    assert done.exit_code == 66
    assert "chainfold runs" in done.stderr


def test_what_history_needs_is_not_called_rubbish(registry: ArtifactRegistry) -> None:
    for value in ("a", "b"):
        registry.register([value], "x:1:all", "model", params={"hush": value}, private=["hush"])
    done = chainfold("verify")
    assert done.exit_code == 0
    assert "Note (unneeded)" in done.stdout
    assert "load --at, show --at and restore still use it" in done.stderr
    assert "gc --all would remove it for good" in done.stderr
    before = registry.position - 1
    assert chainfold("load", "x:1:all", "--at", str(before), "-o", "x").exit_code == 0
    shown = ("show", "x:1:all", "--private", "--at", str(before), "--format", "json")
    assert '"hush": "a"' in chainfold(*shown).stdout
    assert chainfold("gc", "--all", "--yes").exit_code == 0
    assert '"hush": "a"' not in chainfold(*shown).stdout
    assert chainfold("load", "x:1:all", "--at", str(before), "-o", "y").exit_code == 66


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", ""),
        ("show", "production", ""),
        ("load", "", "-o", "out"),
        ("tree", ""),
        ("graph", ""),
        ("log", ""),
        ("log", "--run", ""),
        ("diff", "production", ""),
        ("prove", ""),
        ("verify", ""),
        ("alias", ""),
        ("alias", "stage", ""),
        ("rm", "", "--yes"),
        ("erase", "", "--yes"),
        ("restore", ""),
        ("rollback", "", "--yes"),
        ("export", "x.json", "--as", "in-toto", "--artifact", ""),
    ],
    ids=" ".join,
)
def test_an_empty_name_is_a_mistake_of_the_command_line(
    arguments: tuple[str, ...], workspace: Path, tmp_path: Path
) -> None:
    before = contents(tmp_path)
    done = chainfold(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "it is empty: use" in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("shape", ["--format=json", "--format=csv", "-q"])
@pytest.mark.parametrize(
    "arguments",
    [("load", "production", "-o", "-"), ("export", "-", "--as", "manifest"), ("prove", "production")],
)
def test_what_is_on_stdout_has_but_one_format(arguments: tuple[str, ...], shape: str) -> None:
    done = chainfold(*arguments, shape)
    if arguments[0] == "prove" and shape == "--format=json":  # as it is
        assert done.stdout_bytes == chainfold(*arguments).stdout_bytes != b""
        return
    assert (done.exit_code, done.stdout) == (2, "")
    assert "name a file" in done.stderr


@pytest.mark.parametrize("shape", ["json", "csv", "human"])
def test_two_formats(shape: str) -> None:
    done = chainfold("ls", "--format", shape, "-q")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"--format {shape}" in done.stderr
    assert chainfold("ls", "--format", "quiet", "-q").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "name"),
    [
        (("show", "none"), 66, "NotFoundError"),
        (("load", "none", "-o", "out"), 66, "NotFoundError"),
        (("ls", "-f", "nonsense"), 65, "InvalidInputError"),
        (("ls", "-d", "none"), 66, "NotFoundError"),
        (("ls", "--at", "nonsense"), 65, "NoMomentError"),
        (("verify", "--since", "none"), 66, "NotFoundError"),
        (("rm", "none", "--yes"), 66, "NotFoundError"),
        (("import", "none.yaml"), 66, "NotFoundError"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_debug_says_where_before_and_behind_the_command(
    arguments: tuple[str, ...], exit_code: int, name: str
) -> None:
    plainly = chainfold(*arguments)
    assert (plainly.exit_code, len(plainly.stderr.splitlines())) == (exit_code, 1)
    for done in (chainfold("--debug", *arguments), chainfold(*arguments, "--debug")):
        assert done.exit_code == exit_code
        assert "Traceback" in done.stderr
        assert f".{name}: " in done.stderr


@pytest.mark.parametrize("arguments", [("log", "--run", "none"), ("rollback", "none", "--dry-run")])
def test_an_unknown_run_is_told_with_the_command_that_lists_them(arguments: tuple[str, ...]) -> None:
    done = chainfold(*arguments)
    assert done.exit_code == 66
    assert done.stderr.endswith("has no run 'none'; see chainfold runs\n")
