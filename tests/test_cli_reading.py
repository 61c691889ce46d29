"""The verbs that read say what the API says, in each format, whatever artifacts are called."""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from tests.cli_running import as_json, chainfold, environment, fill

from chainfold import ArtifactRecord, ArtifactRegistry, ArtifactType
from chainfold.cli.filters import TYPES
from chainfold.cli.log import _KINDS
from chainfold.events import KINDS
from chainfold.params import to_wire


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ids(registry: ArtifactRegistry) -> dict[str, str]:
    return fill(registry)


def told(record: ArtifactRecord) -> Any:
    return record.to_dict() | {"params": to_wire(record.params)}


def quiet(*arguments: str) -> list[str]:
    result = chainfold(*arguments, "-q")
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


class TestLs:
    def test_is_what_the_api_says(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        for at in range(registry.position + 1):
            found = as_json("ls", "--at", str(at))
            view = registry.as_of(at)
            assert found["schema"] == "chainfold/artifacts/1"
            assert (found["dataset"], found["position"]) == ("wheat", at)
            assert found["items"] == list(map(told, view.get_all_records()))
            assert quiet("ls", "--at", str(at)) == [each.artifact_id for each in view.get_all_records()]

    def test_quiet_composes(self, ids: dict[str, str]) -> None:
        names = chainfold("ls", "-q").stdout
        shown = chainfold("show", "-", "--format", "json", text=names)
        assert [each["artifact_id"] for each in json.loads(shown.stdout)["items"]] == names.splitlines()

    def test_csv_has_all_rows(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        rows = list(csv.DictReader(io.StringIO(chainfold("ls", "--format", "csv").stdout)))
        assert [row["id"] for row in rows] == [each.artifact_id for each in registry.iter_records()]
        assert [int(row["size"]) for row in rows] == [each.size_bytes for each in registry.iter_records()]

    @pytest.mark.parametrize(
        ("text", "fits"),
        [
            ("type=model", lambda each: each.artifact_type == "model"),
            ("type!=model", lambda each: each.artifact_type != "model"),
            ("size>1kB", lambda each: each.size_bytes > 1000),
            ("size <= 1 kB", lambda each: each.size_bytes <= 1000),
            ("fold=0", lambda each: each.fold_id == 0),
            ("fold=all", lambda each: each.fold_id is None),
            ("fold>0", lambda each: each.fold_id is not None and each.fold_id > 0),
            ("step=3", lambda each: each.step_index == 3),
            ("pipeline=0001_pls", lambda _: True),
            ("pipeline=0002", lambda _: False),
            ("chain=*PLS", lambda each: each.chain_path.endswith("PLS")),
            ("name=retr*", lambda each: each.custom_name == "retrained"),
            ("age>1h", lambda _: False),
            ("age<1h", lambda _: True),
            ("created>2020-01-01", lambda _: True),
            ("refers=sklearn.cross_decomposition", lambda each: each.class_name == "PLSRegression"),
            ("refers!=*.PLSRegression", lambda each: each.class_name != "PLSRegression"),
            ("refers=sklearn.cross", lambda _: False),
            ("params.n_components=3", lambda each: each.params.get("n_components") == 3),
            ("params.n_components>3", lambda each: each.params.get("n_components", 0) > 3),
            ("params.n_components!=3", lambda each: each.params.get("n_components") != 3),
        ],
        ids=lambda each: each if isinstance(each, str) else "",
    )
    def test_filters(self, registry: ArtifactRegistry, ids: dict[str, str], text: str, fits: Any) -> None:
        wanted = [each.artifact_id for each in registry.iter_records() if fits(each)]
        assert quiet("ls", "-f", text) == wanted
        assert quiet("find", "-f", text) == wanted

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "size",
            "size>",
            "size>big",
            "age>old",
            "refers>x",
            "colour=red",
            "step=one",
            "created=x",
            "=3",
            "\x1b=1",
            "type=nonsense",
            "type!=modle",
            "type=x*",
            "digest=zz",
            f"digest={'0' * 65}",
            "digest=",
            "step=-1",
            "substep<-2",
        ],
    )
    def test_a_filter_that_is_none_is_named(self, ids: dict[str, str], text: str) -> None:
        result = chainfold("ls", "-f", text)
        assert result.exit_code == 65
        assert len(result.stderr.splitlines()) == 1
        assert "\x1b" not in result.stderr

    @pytest.mark.parametrize("limit", [None, 0, 2, 100])
    @pytest.mark.parametrize("field", ["size", "step", "created", "id", "fold"])
    def test_sorting_with_and_without_a_limit(
        self, registry: ArtifactRegistry, ids: dict[str, str], field: str, limit: int | None
    ) -> None:
        keys = {
            "size": lambda each: each.size_bytes,
            "step": lambda each: each.step_index,
            "created": lambda each: each.created_at,
            "id": lambda each: each.artifact_id,
            "fold": lambda each: -1 if each.fold_id is None else each.fold_id,
        }
        at_most = [] if limit is None else ["-n", str(limit)]
        for falling in (False, True):
            found = as_json("ls", f"--sort={'-' if falling else ''}{field}", *at_most)["items"]
            records = [registry.resolve(each["artifact_id"]) for each in found]
            wanted = sorted(map(keys[field], registry.iter_records()), reverse=falling)[:limit]
            assert [keys[field](each) for each in records] == wanted  # type: ignore[no-untyped-call] # of lambdas

    def test_datasets(self, workspace: Path, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        with ArtifactRegistry(workspace, "barley") as other:
            other.register([1], "0001:1:all", "model")
        assert quiet("ls") == quiet("ls", "--datasets") == ["barley", "wheat"]
        found = as_json("ls")["items"]
        assert [each["artifacts"] for each in found] == [1, len(registry)]
        assert [each["position"] for each in found] == [1, registry.position]
        assert chainfold("ls", "-n", "1").exit_code == 2
        assert len(quiet("ls", "-d", "wheat")) == 5


class TestShow:
    def test_is_what_the_api_says(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        (found,) = as_json("show", "production")["items"]
        record = registry.require(ids["model"])
        assert found["record"] == told(record)
        assert found["standing"] == "live"
        assert found["aliases"] == ["production"]
        assert found["sources"] == [{"artifact_id": ids["scaler"], "live": True}]
        assert found["dependent_count"] == 1
        assert [each["standing"] for each in found["history"]] == ["superseded", "live"]
        assert found["file"]["there"]

    def test_by_digest_and_of_what_was_deleted(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        record = registry.require(ids["model"])
        assert quiet("show", record.content_hash) == quiet("show", record.content_hash[7:]) == [ids["model"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            registry.delete_pipeline_artifacts("0001_pls", delete_files=True)
        (found,) = as_json("show", ids["model"])["items"]
        assert (found["standing"], found["file"]["there"]) == ("deleted", False)
        assert "not there" in chainfold("show", ids["model"]).stdout

    def test_goes_on_after_one_that_is_not_there(self, ids: dict[str, str]) -> None:
        result = chainfold("show", ids["model"][:-3], ids["stack"], "-q")
        assert result.exit_code == 66
        assert result.stdout.splitlines() == [ids["stack"]]
        assert f"there is {ids['model'][:-2]}" in result.stderr


def test_what_is_private_is_not_printed(registry: ArtifactRegistry) -> None:
    for number in range(2):
        registry.register(
            [1],
            f"0001:{number}:all",
            "model",
            params={"patient": "Ada Secret", "alpha": number},
            custom_name="Ada Secret",
            private=["patient", "custom_name"],
        )
    for shape in ("human", "json", "csv", "quiet"):
        for line in (
            "ls -l",
            "show 0001:1:all",
            "log",
            "find",
            "tree 0001:1:all",
            "diff 0001:0:all 0001:1:all",
        ):
            result = chainfold(*line.split(), "--format", shape)
            assert result.exit_code == 0
            assert "Secret" not in result.output
    assert "Ada Secret" in chainfold("show", "0001:1:all", "--private").stdout
    assert (
        as_json("show", "0001:1:all", "--private")["items"][0]["record"]["params"]["patient"] == "Ada Secret"
    )
    assert "Secret" not in registry.require("0001:1:all")._repr_html_()


def test_log_knows_every_kind() -> None:
    assert set(_KINDS) == KINDS


def test_filters_know_every_type() -> None:
    assert list(TYPES) == [each.value for each in ArtifactType]


class TestLog:
    def test_is_what_the_api_says(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        entries = list(registry.events())
        positions = [str(each.position) for each in entries]
        assert quiet("log") == positions[::-1]
        assert quiet("log", "--reverse") == positions
        assert quiet("log", "-n", "2") == positions[:-3:-1]
        assert quiet("log", "-n", "2", "--reverse") == positions[-2:]
        assert quiet("log", "--at", "3") == positions[2::-1]
        assert quiet("log", "--since", "3", "--until", "5") == ["4", "3"]
        found = as_json("log", "--reverse")["items"]
        assert [each["kind"] for each in found] == [each.event.kind for each in entries]
        assert [each["at"] for each in found] == [each.at for each in entries]
        run = next(registry.runs()).run_id
        for name, value in (("run", run), ("pipeline", "0001_pls"), ("kinds", "alias-set")):
            wanted = [str(each.position) for each in registry.events(**{name: value})]  # type: ignore[arg-type] # one of several
            assert quiet("log", f"--{name.rstrip('s')}", value, "--reverse") == wanted
        wanted = [str(each.position) for each in registry.events(artifact=ids["model"])]
        assert quiet("log", "production", "--reverse") == wanted

    def test_of_an_artifact_has_its_aliases(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        registry.set_alias("stage", ids["model"])
        registry.set_alias("stage", ids["other"])
        registry.set_alias("stage", None)
        for name, wanted in (("model", ["production", "stage", "stage"]), ("other", ["stage", "stage"])):
            items = as_json("log", ids[name], "--reverse", "--kind", "alias-set")["items"]
            assert [each["alias"] for each in items] == wanted

    def test_follow(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        arguments = ["-m", "chainfold", "log", "--follow", "-n", "1", "--format", "json"]
        child = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert child.stdout is not None
        try:
            first = json.loads(child.stdout.readline())
            registry.register([1], "0007:1:all", "model")
            second = json.loads(child.stdout.readline())
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 130
            child.stdout.close()
        assert first["position"] + 1 == second["position"] == registry.position - 1
        assert second["record"]["artifact_id"] == "0007:1:all"


class TestLineage:
    def test_is_what_the_api_says(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        for name in ids.values():
            assert quiet("tree", name) == [each.artifact_id for each in registry.lineage(name)]
            down = [each.artifact_id for each in registry.descendants(name)]
            assert quiet("tree", name, "--down") == quiet("graph", name, "--down") == down
        assert quiet("tree", ids["stack"], "--depth", "0") == [ids["stack"]]

    def test_tree(self, ids: dict[str, str]) -> None:
        lines = chainfold("tree", ids["stack"]).stdout.splitlines()
        assert lines[0] == f"{ids['stack']}  (meta_model, dict)"
        assert lines[1] == f"├── {ids['model']}  (model, list, superseded at 8)"
        assert lines[2] == f"│   └── {ids['scaler']}  (transformer, dict)"
        assert lines[-1] == f"    └── {ids['scaler']}  (transformer, dict)"

    def test_a_long_row_is_no_recursion(self, registry: ArtifactRegistry) -> None:
        for number in range(1_500):
            before = [f"0001:{number - 1}:all"] if number else []
            registry.register(number, f"0001:{number}:all", "model", before)
        assert len(chainfold("tree", "0001:1499:all").stdout.splitlines()) == 1_500

    def test_what_is_used_twice_is_unfolded_once(self, registry: ArtifactRegistry) -> None:
        """Forty layers of two, each made from both below, have 2**40 paths."""
        for layer in range(40):
            sources = [f"0001:{layer - 1}{side}:all" for side in "ab"] if layer else []
            for side in "ab":
                registry.register([layer, side], f"0001:{layer}{side}:all", "model", sources)
        text = chainfold("tree", "0001:39a:all").stdout
        assert len(text.splitlines()) < 200
        assert "see above" in text

    def test_drawings_hold_what_names_say(self, registry: ArtifactRegistry) -> None:
        registry.register([1], 'a"]; x [label="\\', "model")
        registry.register([2], "<script>alert(1)</script>:1:#quot;`", "model", ['a"]; x [label="\\'])
        name = "<script>alert(1)</script>:1:#quot;`"
        assert r'label="a\"]; x [label=\"\\\nmodel, list"' in chainfold("graph", name).stdout
        mermaid = chainfold("graph", name, "--as", "mermaid").stdout
        assert "<script" not in mermaid
        assert mermaid.count('"') == 4

    @pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
    def test_svg(self, ids: dict[str, str]) -> None:
        assert "<svg" in chainfold("graph", ids["stack"], "--as", "svg").stdout

    def test_svg_says_what_it_needs(self, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        result = chainfold("graph", ids["stack"], "--as", "svg")
        assert result.exit_code == 66
        assert "Graphviz" in result.stderr


class TestFigures:
    def test_stats(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        found = as_json("stats", "--at", "6")
        assert found.items() >= registry.as_of(6).get_stats().items()
        assert "artifacts          5, " in chainfold("stats").stdout

    @pytest.mark.parametrize("by", ["pipeline", "type", "step", "class"])
    def test_du_adds_up(self, registry: ArtifactRegistry, ids: dict[str, str], by: str) -> None:
        registry.register({"mean": 1}, "0002:1:all", "model")  # the scaler's bytes
        *groups, total = as_json("du", "--by", by)["items"]
        figures = registry.get_stats()
        assert total["size_bytes"] == sum(each["size_bytes"] for each in groups)
        assert total["size_bytes"] == sum(
            {each.path: each.size_bytes for each in registry.iter_records()}.values()
        )
        assert total["artifacts"] == figures["total_artifacts"]
        assert total["files"] == figures["unique_files"] == sum(each["files"] for each in groups)
        assert [each["kind"] for each in groups].count("shared") == (0 if by == "class" else 1)

    def test_runs(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        with pytest.raises(ZeroDivisionError), registry.run():
            registry.register([1], "0005:1:all", "model")
            raise ZeroDivisionError
        wanted = [each.run_id for each in registry.runs()]
        assert quiet("runs") == wanted
        assert quiet("runs", "-n", "1") == quiet("runs", "--status", "rolled-back") == wanted[1:]
        assert as_json("runs")["items"][1]["reason"] == "exception"
        assert as_json("runs", "--at", "2")["items"][0]["status"] == "open"


class TestLoad:
    def test_writes_what_was_stored(
        self, workspace: Path, registry: ArtifactRegistry, ids: dict[str, str], tmp_path: Path
    ) -> None:
        record = registry.require(ids["model"])
        stored = (workspace / "binaries" / "wheat" / record.path).read_bytes()
        assert chainfold("load", "production", "-o", "out").exit_code == 0
        assert (tmp_path / "out").read_bytes() == stored
        assert chainfold("load", "production", "-o", "-").stdout_bytes == stored
        assert chainfold("load", ids["model"], "-o", "old", "--at", "7").exit_code == 0
        old = registry.as_of(7).require(ids["model"])
        assert (tmp_path / "old").stat().st_size == old.size_bytes

    def test_leaves_files_that_are_there(self, ids: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        assert chainfold("load", "production", "-o", "out").exit_code == 65
        assert (tmp_path / "out").read_text() == "mine"
        assert chainfold("load", "production", "-o", "out", "--force").exit_code == 0
        assert (tmp_path / "out").read_bytes() != b"mine"
        assert chainfold("load", "production", "-o", "none/out").exit_code in {66, 74}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "workspace"]

    @pytest.mark.damages
    def test_refuses_bytes_that_have_changed(
        self, workspace: Path, registry: ArtifactRegistry, ids: dict[str, str], tmp_path: Path
    ) -> None:
        path = workspace / "binaries" / "wheat" / registry.require(ids["model"]).path
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        result = chainfold("load", "production", "-o", "out")
        assert result.exit_code == 74
        assert "has changed" in result.stderr
        assert not (tmp_path / "out").exists()
        path.unlink()
        result = chainfold("load", "production", "-o", "out")
        assert result.exit_code == 66
        assert "removed by hand" in result.stderr


DOCUMENTED = (Path(__file__).resolve().parents[1] / "docs" / "cli-json.md").read_text("utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "ls",
        "ls --datasets",
        "find",
        "show production",
        "log",
        "diff 3",
        "diff production 0001_pls$abcdef012345:all",
        "tree production",
        "graph production",
        "runs",
        "stats",
        "du",
        "load production -o out",
        "verify",
        "checkpoint",
        "checkpoint --make-key a --key-file key",
        "prove production -o proof",
        "prove --entry 2",
        "prove --since 3",
        "rebuild",
        "doctor",
        "export out.yaml",
    ],
)
def test_json_has_the_fields_that_are_documented(ids: dict[str, str], line: str) -> None:
    found = as_json(*line.split())
    part = DOCUMENTED.split(f"## {found['schema']}\n")[1].split("\n## ")[0]
    assert f"`{line.split(maxsplit=1)[0]}" in part
    documented = set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) or set(re.findall(r"`(\w+)`", part))
    assert found.get("items", True)
    for item in found.get("items", [found]):
        own = item.keys() - {"schema", "dataset", "position"}
        assert own <= documented or line == "log"
        assert documented - {"position", "meta_config", "private", "refers_to", "ls", "find"} <= own
