"""Results as a page: for each question a table, a side in each line, a size in each column."""

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import UNITS, Cell, Results, duration, paired
from benchmarks.questions import BY_KEY, QUESTIONS, Question
from benchmarks.store import Facts

_INTRODUCTION = """\
# Measured

{date}, Python {python}, {cores} cores, {system}; {versions}. Took {minutes:.0f} minutes.{quick}

All sides were measured in one run, in turn, in another order each time. A figure is the median of up to
{repetitions} repetitions, with the smallest and the largest in brackets; where there were fewer, how
many. **Bold** is the ratio to chainfold: the median of the ratios of paired repetitions; for times and
bytes less is better, for what is done a second more is. *10 ×* says by how much a figure grows from each
size to the next that is ten times as large. Absolute times are this machine's, and whatever else it was
doing; ratios and growth are the result.

What would have taken longer than {limit} was not begun, or was stopped; the table says so. Sides differ
in what they do for the same call: the notes say how. Those that keep one state only have it easier than a
log that forgets nothing; those that sync nothing have it easier than those that do.

Creating an empty file took {before:.0f} µs at the start and {after:.0f} µs at the end. Some 15 to 30 µs
is a good sign: on ext4 it takes many times as long where thousands of files were removed in the last
minutes.

![Time against size, for chainfold and its peers]({figure}.svg)
"""
_SUMMARY = {
    "register": "register, durable when it returns",
    "whole-run": "register in a run, its commit included",
    "slowdown": "the last 1,000 of those against the first",
    "rollback": "roll a run back",
    "open": "open, first lookup, in a fresh process",
    "id": "id to record, the first time",
    "id-again": "id to record, again",
    "prefix": "the 17 records below a chain's prefix",
    "step": "the 10 records of a pipeline's step",
    "past": "id to record, as of the middle of the past",
    "replay-1": "replay the log on one core, events",
    "memory": "resident memory after 10,000 lookups",
    "orphans": "find orphaned files, by manifests",
    "orphans-again": "find them again",
    "verify-1": "verify the log, for each entry",
    "writers": "four processes at once, each synced, objects",
    "disk": "bytes on disk for each record",
    "import": "import",
    "help": "`--help`",
}
"""Questions of the README's table, and what they are called there."""
_CAVEAT = (
    "Sides that promise less have it easier: nirs4all and joblib.Memory sync nothing, SQLite and diskcache\n"
    "keep the last state alone, nirs4all finds 9 of the 17."
)
_BEGIN, _END = (
    "<!-- measured: made by `make bench-large`, not by hand -->",
    "<!-- end of what was measured -->",
)


def page(facts: Facts, results: Results, figure: str) -> str:
    before, after = facts["creating"][0], facts["creating"][-1]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    head = _INTRODUCTION.format(
        **{name: facts[name] for name in ("date", "python", "cores", "system", "minutes", "repetitions")},
        versions=versions,
        quick=" **A trial with small sizes and few repetitions: not a result.**" if facts["quick"] else "",
        limit=duration(facts["limit"]),
        before=before,
        after=after,
        figure=figure,
    )
    asked = {cell.question for cell in results.cells}
    tables = [_table(facts, results, question) for question in QUESTIONS if question.key in asked]
    return "\n".join([head, *tables])


def summary(facts: Facts, results: Results) -> str:
    """One line a question, at the largest size that chainfold was asked at."""
    lines = [
        "| | records | chainfold | floor | SQLite | the best of the others |",
        "|---|---|---|---|---|---|",
    ]
    ours = facts["ours"]
    for key, label in _SUMMARY.items():
        answered = [cell for cell in results.cells if cell.question == key and cell.values]
        sizes = [cell.size for cell in answered if cell.side == ours]
        if not sizes:
            continue
        here = {cell.side: cell for cell in answered if cell.size == max(sizes)}
        rest = here.keys() - {ours, "floor", "sqlite"}
        others = [here[side] for side in rest & facts["titles"].keys() or rest]
        best = min(others, key=lambda cell: cell.median, default=None)
        shown = [_short_cell(key, here.get(side)) for side in (ours, "floor", "sqlite")]
        named = (
            f"{_short_cell(key, best)} {facts['titles'].get(best.side, best.side)}"
            if best is not None
            else ""
        )
        size = f"{max(sizes):,}" if max(sizes) else ""
        lines.append(f"| {label} | {size} | {' | '.join(shown)} | {named} |")
    return "\n".join(lines) + "\n"


def into_readme(facts: Facts, results: Results, figure: str, readme: Path) -> None:
    """Put the summary where the README has the marks for it."""
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{readme} has no lines {_BEGIN!r} and {_END!r} to put the summary between")
    image = f"![Time against size, for chainfold and its peers](benchmarks/results/{figure}.svg)"
    address = f"benchmarks/results/{figure}.md"
    link = f"All figures, and how the sides differ in what they do: [{address}]({address})."
    shown = "\n".join([_BEGIN, summary(facts, results), _CAVEAT, link, "", image, _END])
    readme.write_text(before + shown + after, encoding="utf-8")


def _table(facts: Facts, results: Results, question: Question) -> str:
    sizes = results.sizes(question.key)
    cells = [cell for cell in results.cells if cell.question == question.key]
    sides = list(dict.fromkeys([*facts["titles"], *(cell.side for cell in cells)]))
    shown_sizes = [f"{size:,}" if size else "" for size in sizes]
    head = ["", *shown_sizes, *(["10 ×"] if len(sizes) > 1 else []), "note"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for side in sides:
        own = {cell.size: cell for cell in cells if cell.side == side}
        if not own:
            continue
        row = [_shown(facts, question, own.get(size), results) for size in sizes]
        if len(sizes) > 1:
            row.append(_growth(question, own))
        known = facts["notes"].get(side, {})
        notes = [*(known.get(name, "") for name in question.differs.split()), *_refusals(own)]
        row.append("; ".join(filter(None, notes)))
        lines.append(f"| {facts['titles'].get(side, side)} | {' | '.join(row)} |")
    note = f"{question.note[0].upper()}{question.note[1:]}.\n\n" if question.note else ""
    level = "###" if question.title.startswith("…") else "##"
    return f"{level} {question.title}\n\n{note}" + "\n".join(lines) + "\n"


def _shown(facts: Facts, question: Question, cell: Cell | None, results: Results) -> str:
    if cell is None or not cell.values:
        return "no" if cell is not None else ""
    ours, repetitions = facts["ours"], facts["repetitions"]
    values = _in_unit(question, list(cell.values.values()))
    middle = _in_unit(question, [cell.median])[0]
    text = _with_unit(question, middle)
    if len(values) > 1 and max(values) > min(values):
        text += f" ({_short(min(values))} to {_short(max(values))}"
        text += f", {len(values)} times)" if len(values) < repetitions else ")"
    elif len(values) == 1:
        text += " (once)"
    reference = results.find(question.key, ours, cell.size)
    if reference is not None and reference.values and cell.side != ours and question.unit:
        ratios = paired(reference, cell) if question.rate else paired(cell, reference)
        if ratios:
            text += f" **{_short(statistics.median(ratios))} ×**"
    return text


def _refusals(own: dict[int, Cell]) -> list[str]:
    """Why there are no figures: once where it is the same at all sizes."""
    told = {size: cell.refusal for size, cell in own.items() if cell.refusal}
    if len(own) == len(told) and len(set(told.values())) == 1:
        return list(told.values())[:1]
    return [f"{size:,}: {reason}" for size, reason in told.items()]


def _growth(question: Question, own: dict[int, Cell]) -> str:
    answered = sorted(size for size, cell in own.items() if cell.values)
    pairs = [
        (own[low].median, own[high].median) for low, high in itertools.pairwise(answered) if high == 10 * low
    ]
    steps = [low / high if question.rate else high / low for low, high in pairs if low]
    return ", ".join(map(_short, steps))


def _short_cell(key: str, cell: Cell | None) -> str:
    if cell is None or not cell.values:
        return ""
    question = BY_KEY[key]
    return _with_unit(question, _in_unit(question, [cell.median])[0])


def _with_unit(question: Question, value: float) -> str:
    return f"{_short(value)}/s" if question.rate else f"{_short(value)} {question.unit}".strip()


def _in_unit(question: Question, values: Sequence[float]) -> list[float]:
    return [1 / value if question.rate else value * UNITS[question.unit] for value in values]


def _short(value: float) -> str:
    """Three digits that count."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"
