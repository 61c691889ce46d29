"""Results as a figure: a panel for each question, time against size, both logarithmic.

Its colours stand out on white as on black, and nothing is drawn behind it: so it is read on either.
"""

from pathlib import Path
from typing import Any, Final

from benchmarks.measuring import Results
from benchmarks.questions import QUESTIONS, Question
from benchmarks.store import Facts

_INK: Final = "#7b848f"
_STYLES: Final = {
    "chainfold": ("#e5534b", "o"),
    "floor": ("#7b848f", "D"),
    "sqlite": ("#3f87d9", "s"),
    "nirs4all": ("#b07cd8", "^"),
    "diskcache": ("#2f9e6e", "v"),
    "joblib": ("#c98a1b", "P"),
    "optuna": ("#1aa0b0", "X"),
    "mlflow": ("#d4689a", "<"),
    "eventsourcing": ("#8f9a2b", ">"),
}
_UNITS: Final = {"MB": "B", "/s": "/s", "bytes": "B"}
_COLUMNS: Final = 4
_SETTINGS: Final[dict[str, Any]] = {
    "svg.hashsalt": "chainfold",  # else names inside differ each time
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.titlecolor": _INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(facts: Facts, results: Results, path: Path) -> None:
    """Draw it, the same each time from the same results; not at all where matplotlib is missing."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("no figure: matplotlib is not installed")
        return
    mpl.use("svg")
    from matplotlib import pyplot as plt

    panels = [question for question in QUESTIONS if question.drawn and _lines(results, question)]
    if not panels:
        return
    rows = -(-(len(panels) + 1) // _COLUMNS)
    with mpl.rc_context(_SETTINGS):
        figure, grid = plt.subplots(
            rows, _COLUMNS, figsize=(12.5, 2.9 * rows), layout="constrained", squeeze=False
        )
        axes = list(grid.flat)
        for question, axis in zip(panels, axes, strict=False):
            _panel(axis, question, results)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        _legend(axes[len(panels)], facts, results, panels)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _lines(results: Results, question: Question) -> dict[str, list[tuple[int, float]]]:
    """Of each side, size and median."""
    found: dict[str, list[tuple[int, float]]] = {}
    for cell in results.cells:
        if cell.question == question.key and cell.values and cell.size:
            value = 1 / cell.median if question.rate else cell.median
            found.setdefault(cell.side, []).append((cell.size, value))
    return {side: sorted(points) for side, points in found.items() if side in _STYLES}


def _panel(axis: Any, question: Question, results: Results) -> None:
    from matplotlib.ticker import EngFormatter, NullLocator

    for side, points in _lines(results, question).items():
        colour, marker = _STYLES[side]
        ours = side == "chainfold"
        axis.plot(
            *zip(*points, strict=True),
            color=colour, marker=marker, markersize=6 if ours else 4.5, linewidth=2.6 if ours else 1.3,
            zorder=3 if ours else 2,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    sizes = results.sizes(question.key)
    axis.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
    low, high = axis.get_ylim()
    if high < 20 * low:  # a panel of one decade would make noise look like a trend
        axis.set_ylim(low / 3, high * 3)
    axis.set_xticks(sizes)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.yaxis.set_major_formatter(EngFormatter(unit=_UNITS.get(question.unit, "s")))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_locator(NullLocator())
    axis.grid(visible=True, color=_INK, alpha=0.25, linewidth=0.6)
    axis.set_title(question.drawn)
    axis.set_xlabel("objects in the run" if question.key == "whole-run" else "records")


def _legend(axis: Any, facts: Facts, results: Results, panels: list[Question]) -> None:
    from matplotlib.lines import Line2D

    drawn = {side for question in panels for side in _lines(results, question)}
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=6 if side == "chainfold" else 4.5,
            linewidth=2.6 if side == "chainfold" else 1.3, label=facts["titles"].get(side, side),
        )
        for side, (colour, marker) in _STYLES.items()
        if side in drawn
    ]  # fmt: skip
    axis.legend(handles=handles, loc="center left", frameon=False, fontsize=10, labelspacing=0.7)
