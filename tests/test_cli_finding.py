"""Finding artifacts, and what differs between moments or artifacts, as the API has it."""

from pathlib import Path

import pytest
from tests.cli_running import as_json, chainfold, fill

from chainfold import ArtifactRecord, ArtifactRegistry


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ids(registry: ArtifactRegistry) -> dict[str, str]:
    return fill(registry)


def quiet(*arguments: str) -> list[str]:
    result = chainfold(*arguments, "-q")
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


class TestDatasets:
    def test_of_a_position_lists_those_that_go_so_far(
        self, registry: ArtifactRegistry, ids: dict[str, str], workspace: Path
    ) -> None:
        for name in ("barley", "rye"):
            with ArtifactRegistry(workspace, name) as other:
                other.register([1], "0001:1:all", "model")
        done = chainfold("ls", "--datasets", "--at", "5", "-q")
        assert (done.exit_code, done.stdout) == (0, "wheat\n")
        left_out = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
        assert ["'barley'" in each or "'rye'" in each for each in left_out] == [True, True]
        assert all("positions go from 0 to 1" in each for each in left_out)
        assert quiet("ls", "--at", "1") == ["barley", "rye", "wheat"]

    def test_of_a_position_that_none_has(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        done = chainfold("ls", "--datasets", "--at", str(registry.position + 1), "--format", "json")
        assert done.exit_code == 66
        assert "Warning" not in done.stderr


class TestFind:
    def test_by_each_index(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        chain = "s1.MinMaxScaler>s3.PLS"

        def named(records: list[ArtifactRecord]) -> list[str]:
            return [each.artifact_id for each in records]

        assert quiet("find", "--prefix", "s1.Min") == named(registry.get_chain_prefix("s1.Min"))
        assert quiet("find", "--chain", chain) == named(registry.get_chain_prefix(chain))
        assert quiet("find", "--operators", "s1.MinMaxScaler") == named(registry.get_chain_prefix("s1"))
        assert quiet("find", "--operators", "s1.MinMax") == []
        steps = named(registry.get_artifacts_for_step("0001_pls", 3))
        assert quiet("find", "--pipeline", "0001_pls", "--step", "3") == steps
        assert sorted(quiet("find", "--step", "3", "--type", "model")) == sorted(steps)
        digest = registry.require(ids["model"]).content_hash
        for text in (digest, digest[7:], digest[:20], digest[7:19]):
            assert quiet("find", "--digest", text) == [ids["model"]]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("find", "--type", "nonsense"), ("nonsense", "model", "meta_model")),
            (("find", "--digest", "zz"), ("'zz'", "hexadecimal")),
            (("find", "--digest", ""), ("''", "hexadecimal")),
            (("find", "--step", "-1"), ("-1", "x>=0")),
            (("log", "--since", "8", "--until", "3"), ("--since 8", "--until 3")),
            (("log", "--since", "2026-05-02", "--until", "2026-05-01"), ("2026-05-02", "2026-05-01")),
            (("log", "--since", "4", "--until", "2020-05-01"), ("--since 4", "2020-05-01")),
        ],
    )
    def test_what_can_never_fit_is_refused(
        self, ids: dict[str, str], arguments: tuple[str, ...], said: tuple[str, ...]
    ) -> None:
        done = chainfold(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert all(each in done.stderr for each in said)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("find", "--type", "splitter"),
            ("find", "--digest", "0" * 64),
            ("find", "--step", "99"),
            ("find", "-f", "type=*encoder"),
            ("log", "--since", "5", "--until", "5"),
            ("log", "--pipeline", "none"),
        ],
    )
    def test_what_might_fit_and_does_not_is_an_empty_answer(
        self, ids: dict[str, str], arguments: tuple[str, ...]
    ) -> None:
        done = chainfold(*arguments)
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr.startswith("Note: ")

    def test_a_digest_may_have_capitals(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        digest = registry.require(ids["model"]).content_hash[7:].upper()
        assert quiet("find", "--digest", digest) == quiet("find", "--digest", digest[:9]) == [ids["model"]]
        assert quiet("ls", "-f", f"digest={digest[:9]}*") == [ids["model"]]

    def test_says_what_is_wrong_with_a_chain(self, ids: dict[str, str]) -> None:
        assert chainfold("find", "--operators", "s1.[").exit_code == 65
        assert chainfold("find", "--chain", "a", "--prefix", "b").exit_code == 2


class TestDiff:
    def test_moments(self, registry: ArtifactRegistry, ids: dict[str, str]) -> None:
        for first in range(registry.position):
            wanted = registry.diff(first)
            found = as_json("diff", str(first))
            assert [each["artifact_id"] for each in found["changes"]] == [
                each.artifact_id for each in wanted.changes
            ]
            assert [each["alias"] for each in found["aliases"]] == [each.alias for each in wanted.aliases]
        text = chainfold("diff", "7", "9").stdout
        model = ids["model"]
        assert text.splitlines() == [
            f"~ {model}  registered at 2, again at 8",
            f"> production  nothing -> {model}, set at 7",
        ]
        assert chainfold("diff", "3", "3", "--exit-code").exit_code == 0
        assert chainfold("diff", "3", "--exit-code").exit_code == 1
        assert chainfold("diff", "4", "3").exit_code == 65

    def test_an_alias_that_came_and_went_is_no_difference(
        self, registry: ArtifactRegistry, ids: dict[str, str]
    ) -> None:
        size = registry.position
        registry.set_alias("stage", ids["model"])
        registry.set_alias("stage", None)
        done = chainfold("diff", str(size), "--exit-code")
        assert (done.exit_code, done.stdout) == (0, "")
        assert as_json("diff", str(size))["aliases"] == []
        registry.set_alias("production", None)
        (move,) = as_json("diff", str(size))["aliases"]
        assert (move["alias"], move["after"]) == ("production", None)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("production",), "'production' is no moment: name a position or a time, or two artifacts"),
            (("2", "production"), "'2' is a moment, and 'production' is none: name two moments"),
            (("production", "2026-05-31"), "--at 2026-05-31 compares artifacts"),
        ],
    )
    def test_what_cannot_be_compared(
        self, ids: dict[str, str], arguments: tuple[str, ...], said: str
    ) -> None:
        done = chainfold("diff", *arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert said in " ".join(done.stderr.split())

    def test_an_artifact_may_be_called_as_a_moment(
        self, registry: ArtifactRegistry, ids: dict[str, str]
    ) -> None:
        registry.register([7], "2", "model")
        assert "artifact_id" in chainfold("diff", "production", "2").stdout

    def test_artifacts(self, ids: dict[str, str]) -> None:
        found = {each["field"]: each for each in as_json("diff", "production", ids["other"])["items"]}
        assert (found["params.n_components"]["first"], found["params.n_components"]["second"]) == (12, 3)
        assert "class_name" not in found
