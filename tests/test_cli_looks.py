"""What people see fits into their terminal, whatever others have named things; in a pipe nothing is cut."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_running import chainfold

from chainfold import ArtifactRegistry
from chainfold.cli.columns import Column, fitted
from chainfold.cli.failing import tell
from chainfold.cli.plain import cut_middle, hung, plain, quoted, width

LONG = "p" * 100
texts = st.text(max_size=60) | st.text(alphabet="ab> /+模m\u0301", max_size=200)


class TestCutting:
    @given(texts, st.integers(0, 90))
    def test_a_text_cut_in_its_middle_fits(self, text: str, columns: int) -> None:
        safe = plain(text)
        shown = cut_middle(safe, columns)
        assert width(shown) <= columns
        if width(safe) <= columns:
            assert shown == safe
        elif columns:
            before, _, after = shown.partition("…") if "…" not in safe else ("", "", "")
            assert safe.startswith(before)
            assert safe.endswith(after)

    def test_the_end_of_an_id_stays(self) -> None:
        assert cut_middle(f"{LONG}$4ebb5f7a7015:all", 30) == "ppppppppppp…p$4ebb5f7a7015:all"

    @given(texts, st.integers(2, 90))
    def test_a_hung_text_fits_and_is_whole(self, text: str, columns: int) -> None:
        safe = plain(text)
        lines = hung(safe, columns)
        assert all(width(line) <= columns for line in lines)
        assert "".join("".join(lines).split()) == "".join(safe.split())

    def test_it_breaks_behind_steps(self) -> None:
        assert hung("s1.Scaler>s2.PLS[br=0,src=1]>s3.Ridge", 20) == [
            "s1.Scaler>",
            "s2.PLS[br=0,src=1]>",
            "s3.Ridge",
        ]

    @given(st.text(max_size=20))
    def test_what_is_quoted_is_known_from_words(self, name: str) -> None:
        shown = quoted(name)
        assert shown.isprintable()
        assert shown == name or shown[0] in "'\""
        assert " " not in shown or shown[0] in "'\""


class TestFitting:
    @given(
        st.lists(st.tuples(*[st.integers(0, 120)] * 4), min_size=1, max_size=8),
        st.tuples(*[st.sampled_from(["", "end", "middle"])] * 4),
        st.tuples(*[st.integers(0, 3)] * 4),
        st.integers(1, 200),
    )
    def test_what_is_shown_fits_if_it_can(
        self, rows: list[tuple[int, ...]], cuts: tuple[str, ...], spares: tuple[int, ...], room: int
    ) -> None:
        columns = [
            Column(str(each), str, spare=spare, cut=cut)  # type: ignore[arg-type] # sampled from what it takes
            for each, (cut, spare) in enumerate(zip(cuts, spares, strict=True))
        ]
        cells = [["x" * each for each in row] for row in rows]
        kept, widths = fitted(columns, ["h"] * 4, cells, room)
        widest = [max(1, *(row[each] for row in rows)) for each in range(4)]
        taken = sum(widths[each] for each in kept) + 2 * (len(kept) - 1)
        if sum(widest) + 6 <= room:
            assert (kept, widths) == ([0, 1, 2, 3], widest)
        least = sum(min(widest[each], 8) if columns[each].cut else widest[each] for each in kept) + 2 * (
            len(kept) - 1
        )
        assert taken <= max(room, least)
        assert {each for each in range(4) if not spares[each]} <= set(kept)
        assert all(columns[each].cut or widths[each] == widest[each] for each in kept)


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "registry" in request.fixturenames:
        monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(request.getfixturevalue("workspace")))


@pytest.fixture
def odd(registry: ArtifactRegistry) -> str:
    """One id that is wider than terminals among twenty that are not."""
    for number in range(20):
        registry.register([number], f"0001_pls$4ebb5f7a7015:{number}", "model", params={"n": number})
    wide = registry.register([-1], f"{LONG}$4ebb5f7a7015:all", "model", params={"text": "y" * 3_000})
    return wide.artifact_id


@pytest.fixture
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainfold.cli.printing.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.usefixtures("_terminal")
class TestOnATerminal:
    def test_only_the_row_of_a_wide_id_suffers(self, odd: str) -> None:
        lines = chainfold("ls").stdout.splitlines()
        assert lines[0].split()[:3] == ["ID", "TYPE", "CLASS"]
        assert "SIZE" in lines[0]
        assert all(len(line) <= 80 for line in lines)
        assert sum("…" in line for line in lines) == 1
        assert re.match(r"p+…p*\$4ebb5f7a7015:all +model", lines[-1])
        assert odd in chainfold("ls", "-l").stdout

    @pytest.mark.parametrize("line", ["du", "log", "find --type model", "alias", "diff 0", "tree wide"])
    def test_no_line_wraps(self, line: str, odd: str, registry: ArtifactRegistry) -> None:
        registry.set_alias("wide", odd)
        registry.set_alias(LONG, odd)
        registry.set_alias(LONG, registry.register([0], "0001_pls$4ebb5f7a7015:0", "model").artifact_id)
        lines = chainfold(*line.split()).stdout.splitlines()
        assert lines
        assert [each for each in lines if len(each) > 80] == []
        assert any("…" in each for each in lines)

    def test_a_long_value_is_counted(self, odd: str) -> None:
        shown = chainfold("show", odd).stdout
        assert "… and 2,600 characters more: --long shows all" in " ".join(shown.split())
        assert all(len(line) <= 80 for line in shown.splitlines()[1:])
        assert "y" * 3_000 in chainfold("show", odd, "--long").stdout

    def test_what_goes_on_in_the_next_line_stays_in_its_column(self, odd: str) -> None:
        lines = chainfold("show", odd).stdout.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("  digest"))
        assert re.fullmatch(r"  digest +sha256:", lines[at])
        assert lines[at + 1].index(lines[at + 1].strip()) == lines[at].index("sha256:")
        assert re.fullmatch(r" +[0-9a-f]{64}", lines[at + 1])

    def test_a_note_has_no_stray_escapes(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setattr("chainfold.cli.failing._shows_colours", lambda: True)
        tell("Note", "x")
        assert capsys.readouterr().err == "Note: x\n"


class TestInAPipe:
    @pytest.mark.parametrize("line", ["ls", "find --type model", "du --by step", "log", "diff 0"])
    def test_nothing_is_cut(self, line: str, odd: str) -> None:
        shown = chainfold(*line.split()).stdout
        assert LONG in shown
        assert "…" not in shown
        assert f"\n{odd}  (" in f"\n{chainfold('tree', odd).stdout}"

    def test_nor_is_a_value(self, odd: str) -> None:
        assert "y" * 3_000 in chainfold("show", odd).stdout


class TestTree:
    def test_a_straight_chain_is_not_indented(self, registry: ArtifactRegistry) -> None:
        ids = [registry.register([0], "0001:0:all", "model").artifact_id]
        for number in range(1, 40):
            made = registry.register([number], f"0001:{number}:all", "model", depends_on=ids[-1:])
            ids.append(made.artifact_id)
        lines = chainfold("tree", ids[-1]).stdout.splitlines()
        assert [line.split()[-3] for line in lines] == ids[::-1]
        assert max(map(len, lines)) <= 40
        assert len({line.index("0001") for line in lines}) <= 3

    def test_a_deep_lineage_says_how_deep_it_is(self, registry: ArtifactRegistry) -> None:
        last = registry.register([0], "0001:0:all", "model").artifact_id
        for number in range(1, 60):
            beside = registry.register([number], f"skip:{number}:all", "model").artifact_id
            made = registry.register([number], f"0001:{number}:all", "model", depends_on=[last, beside])
            last = made.artifact_id
        lines = chainfold("tree", last).stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert json.loads(chainfold("tree", last, "--format", "json").stdout)["items"][-1]["depth"] == 59
        deep = [line for line in lines if line.startswith("…")]
        assert any(line.startswith("…59 ") and "0001:0:all" in line for line in deep)
        assert len(lines) == 60 + 59


def test_names_in_a_diff_are_told_from_words(registry: ArtifactRegistry, workspace: Path) -> None:
    made = registry.register([0], "0001:0:all", "model").artifact_id
    for alias in ("2 days ago", "-", "a\u202eb", "plain"):
        registry.set_alias(alias, made)
    shown = chainfold("diff", "0", "-w", workspace).stdout
    for name in ("'2 days ago'", "'-'", r"'a\u202eb'", "plain"):
        assert f"> {name}  nothing -> 0001:0:all" in shown
