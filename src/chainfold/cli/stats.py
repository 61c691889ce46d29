"""`chainfold stats`: figures on a dataset."""

from typing import Any, Final

import click

from chainfold.cli.command import Command
from chainfold.cli.opening import Reading, reading
from chainfold.cli.printing import Printer
from chainfold.cli.units import size_text


@click.command(
    cls=Command,
    examples=[
        ("chainfold stats", "Show counts and sizes."),
        ("chainfold stats --format json --at 2026-05-31", "The same at the end of May, for a program."),
    ],
)
@click.option("--no-manifests", is_flag=True, help="Count files as orphans that only a manifest refers to.")
@reading
def stats(reading: Reading, *, no_manifests: bool) -> None:
    """Show counts and sizes of artifacts, files and log.

    What is live is as of --at; what is on disk, and what of it nothing refers to, is as of now.
    """
    figures = reading.view.get_stats(scan_all_manifests=not no_manifests)
    reading.printer.document(
        "stats/1", figures, human=lambda: _tell(reading.printer, figures), ids=[reading.view.dataset]
    )


_WORTH_TELLING: Final = 0.005
"""Of the bytes: less would be told as none."""


def _tell(printer: Printer, figures: dict[str, Any]) -> None:
    artifacts, files = figures["total_artifacts"], figures["unique_files"]
    saved = figures["deduplication_ratio"]
    sharing = f", {saved:.0%} of the bytes saved by sharing"
    printer.heading(f"Dataset {figures['dataset']}")
    printer.pairs(
        [
            ("artifacts", f"{artifacts:,}, {size_text(figures['total_size_bytes'])}"),
            *((f"  {kind}", f"{count:,}") for kind, count in sorted(figures["by_type"].items())),
            ("files they need", f"{files:,}{sharing if saved >= _WORTH_TELLING else ''}"),
            ("files on disk", f"{figures['disk_file_count']:,}, {size_text(figures['disk_usage_bytes'])}"),
            (
                "of those, orphans",
                f"{figures['orphaned_count']:,}, {size_text(figures['orphaned_size_bytes'])}",
            ),
            ("log", f"{figures['log_entries']:,} entries, {size_text(figures['log_bytes'])}"),
            ("files are in", figures["binaries_path"]),
        ]
    )
