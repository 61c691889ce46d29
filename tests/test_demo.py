import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chainfold import ArtifactRegistry, ArtifactType, ChainfoldError, __version__
from chainfold.cli import main

HEAVY = {"sklearn", "scipy", "numpy", "joblib", "rich", "yaml", "cloudpickle"}
CHAPTERS = 10
WIDEST = 100
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def chainfold(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def unfilled(text: str) -> str:
    """The text in one line, so that it does not matter where lines were broken."""
    return " ".join(text.split())


def chapters(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^([0-9]+)\. [A-Z]", text, re.MULTILINE)]


def modules_after(*arguments: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported after `python` with these arguments."""
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


class TestDemo:
    def test_tells_what_it_has_checked(self, workspace: Path) -> None:
        result = chainfold("demo", workspace)
        assert result.exit_code == 0
        assert chapters(result.output) == list(range(1, CHAPTERS + 1))
        text = unfilled(result.output)
        for sentence in [
            "was made from all 20 others",
            "42 artifacts, 21 files: 50% of",
            "after it 42 21",
            "'Input X contains NaN.'",
            '"kind":"run-rolled-back"',
            "4 models were superseded",
            "All 442 are equal, to the last bit.",
            "442 values, equal to the last bit.",
            "it was taken by the event 'blobs-swept'",
            "all indexes are the same.",
            "findings: none.",
            '"kind":"blobs-swept"',
            "All of it took",
        ]:
            assert sentence in text

    def test_leaves_a_workspace_to_be_looked_at(self, workspace: Path) -> None:
        chainfold("demo", workspace)
        with ArtifactRegistry(workspace, "diabetes") as registry:
            report = registry.verify()
            assert report.ok
            assert report.findings == []
            records = registry.get_all_records()
            assert {record.artifact_type for record in records} == set(ArtifactType)
            assert {record.pipeline_id for record in records} == {"0001_stack"}
            assert len({record.path for record in records}) == report.files
            production = registry.resolve(registry.alias("production") or "")
            assert production is not None
            assert production.is_meta_model
            assert production.depends_on == [
                record.artifact_id
                for branch, source in [(0, 0), (0, 1), (1, 0), (1, 1)]
                for record in registry.get_fold_models("0001_stack", 4, [branch])
                if record.source_index == source
            ]
        (segment,) = (workspace / "log" / "diabetes" / "segments").iterdir()
        entries = [json.loads(line) for line in segment.read_text("utf-8").splitlines()]
        assert [entry["position"] for entry in entries] == list(range(report.entries))

    def test_can_be_run_again_in_the_same_workspace(self, workspace: Path) -> None:
        chainfold("demo", workspace)
        before = sorted(path for path in workspace.rglob("*") if path.is_file())
        contents = [path.read_bytes() for path in before]
        result = chainfold("demo", workspace)
        assert result.exit_code == 0
        assert "dataset: diabetes-2" in unfilled(result.output)
        assert [path.read_bytes() for path in before] == contents
        figures = []
        for dataset in ["diabetes", "diabetes-2"]:
            with ArtifactRegistry(workspace, dataset) as registry:
                assert registry.verify().findings == []
                figures.append([record.content_hash for record in registry.iter_records()])
        assert figures[0] == figures[1]

    @pytest.mark.parametrize("columns", [80, 120])
    def test_in_a_terminal_it_fits_and_says_the_same(
        self, workspace: Path, columns: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from chainfold.cli import demo_page

        plain = chainfold("demo", workspace)
        monkeypatch.setattr(demo_page, "is_terminal", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("FORCE_COLOR", "1")
        rich = chainfold("demo", workspace)
        assert rich.exit_code == 0
        assert ANSI.search(rich.output) is not None
        text = ANSI.sub("", rich.output)
        assert chapters(text) == chapters(plain.output)
        for page in (text, plain.output):
            # Commands that name the workspace are never broken.
            lines = [line for line in page.splitlines() if str(workspace) not in line]
            assert max(map(len, lines)) <= min(columns, WIDEST)

    def test_plain_output_is_ascii(self, workspace: Path) -> None:
        assert chainfold("demo", workspace).output.isascii()

    def test_leaves_a_folder_alone_that_is_no_workspace(self, tmp_path: Path) -> None:
        (tmp_path / "log").mkdir()
        (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
        result = chainfold("demo", tmp_path)
        assert result.exit_code == 65
        assert "is not empty and no chainfold workspace" in result.stderr
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["log", "notes.txt"]

    def test_leaves_the_datasets_of_others_alone(self, workspace: Path, registry: ArtifactRegistry) -> None:
        record = registry.register({"mine": 1}, "0001:1:all", "model")
        (workspace / "exports").mkdir()
        assert chainfold("demo", workspace).exit_code == 0
        assert registry.get_all_records() == [record]
        assert registry.load(record.artifact_id) == {"mine": 1}

    @pytest.mark.parametrize("missing", ["sklearn", "numpy", "rich"])
    def test_says_what_to_install(
        self, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from chainfold.cli import demo_page

        for name in list(sys.modules):
            if name.startswith("chainfold.cli.demo_") and name != demo_page.__name__:
                monkeypatch.delitem(sys.modules, name)
                monkeypatch.delattr(sys.modules["chainfold.cli"], name.rpartition(".")[2])
        for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, missing, None)
        monkeypatch.setattr(demo_page, "is_terminal", lambda: True)
        result = chainfold("demo", tmp_path / "workspace")
        assert result.exit_code == 1
        assert result.stderr == (
            f"Error: the demo needs scikit-learn and rich, and {missing} is missing: "
            f'pip install "chainfold[demo]"\n'
        )
        assert not (tmp_path / "workspace").exists()

    def test_fails_when_a_claim_is_not_true(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ArtifactRegistry, "rebuild", lambda _: False)
        result = chainfold("demo", workspace)
        assert result.exit_code == 1
        assert "the demo found that this does not hold" in result.stderr
        assert "all indexes are the same" not in result.stdout


class TestCommandLine:
    def test_help(self) -> None:
        result = chainfold("--help")
        assert result.exit_code == 0
        assert re.search(r"^  demo +Show what chainfold does", result.output, re.MULTILINE)
        result = chainfold("demo", "--help")
        assert result.exit_code == 0
        assert "[WORKSPACE]" in result.output

    def test_version(self) -> None:
        assert chainfold("--version").output == f"chainfold, version {__version__}\n"

    def test_unknown_command(self) -> None:
        result = chainfold("demonstrate")
        assert result.exit_code == 2
        assert "No such command" in result.stderr

    def test_debug_shows_where_an_error_comes_from(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        quiet, loud = chainfold("demo", tmp_path), chainfold("--debug", "demo", tmp_path)
        assert quiet.exit_code == loud.exit_code == 65
        assert quiet.stderr.startswith("Error: ")
        assert len(quiet.stderr.splitlines()) == 1
        assert loud.stderr.startswith("Traceback")
        assert "_check_folder" in loud.stderr

    def test_error_without_words_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise ChainfoldError

        from chainfold.cli.demo import demo

        monkeypatch.setattr(demo, "callback", lambda **_: fail())
        assert chainfold("demo", tmp_path).stderr == "Error: ChainfoldError\n"

    def test_is_a_module_too(self) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "chainfold", "--version"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert finished.stdout == f"chainfold, version {__version__}\n"


class TestImports:
    @pytest.mark.parametrize(
        "arguments",
        [("-c", "import chainfold"), ("-m", "chainfold", "--help"), ("-m", "chainfold", "demo", "--help")],
        ids=" ".join,
    )
    def test_nothing_heavy_is_imported_before_it_is_needed(self, arguments: tuple[str, ...]) -> None:
        modules = modules_after(*arguments)
        assert "chainfold" in modules
        assert modules.isdisjoint(HEAVY), modules & HEAVY
