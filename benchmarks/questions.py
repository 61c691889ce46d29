"""Every question that is asked of all sides: in the order of the page."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Question:
    """A row of the result.

    Attributes:
        key: Its name in the results.
        title: What is measured.
        unit: Of the figures, a key of `UNITS`.
        note: How it is measured, for all sides; with `rate` shown as so many a second.
        differs: Which of a side's notes, by their names, say how it differs.
        rate: Whether figures are shown as how many a second.
        drawn: Title of the panel of the figure that shows it; "" if none does.
    """

    key: str
    title: str
    unit: str
    note: str = ""
    differs: str = ""
    rate: bool = False
    drawn: str = ""


_READ = "in a fresh process, the files in the page cache, after importing what is needed"

QUESTIONS: Final = (
    Question(
        "register",
        "Register one object, durable when it returns",
        "µs",
        "objects of 2 to 32 KB, one after the other; all sides write the same pickle (protocol 5) "
        "and digest by SHA-256, unless a note says otherwise",
        "register",
    ),
    Question(
        "run",
        "Register in a run",
        "µs",
        "for each object, without the commit, which makes all durable",
        "run",
    ),
    Question("commit", "… the commit", "µs", "for each object of the run", "run"),
    Question(
        "whole-run",
        "… both together",
        "µs",
        "for each object",
        "run",
        drawn="Register in a run, with its commit",
    ),
    Question("slowdown", "… the last 1,000 against the first 1,000", "", "1 is flat", "run"),
    Question("rollback", "Roll a run back", "ms", "the whole run, its files included", "rollback"),
    Question(
        "fill",
        "Load many records",
        "µs",
        "for each record; records alone, without objects",
        "fill",
    ),
    Question("disk", "Bytes on disk for each record", "bytes", "after that, and closing", "fill"),
    Question("disk-log", "… the log alone", "bytes", "", "fill"),
    Question("disk-snapshots", "… what can be made again: snapshots", "bytes", "", "fill"),
    Question(
        "open", "Open, to the answer to the first lookup", "ms", _READ, "open", drawn="Open, first lookup"
    ),
    Question(
        "id",
        "Id to record, asked for the first time",
        "µs",
        "up to 10,000 random ids, none asked for before",
        "id",
        drawn="Id to record",
    ),
    Question("id-again", "… the same ids again", "µs", "", "id"),
    Question(
        "prefix",
        "What is below a chain's prefix: 17 records",
        "µs",
        "random pipelines",
        "prefix",
        drawn="Prefix of a chain, 17 records",
    ),
    Question(
        "step",
        "What is of a step of a pipeline: 10 records",
        "µs",
        "random pipelines",
        "step",
        drawn="Step of a pipeline, 10 records",
    ),
    Question("folds", "The fold models of a step, in order: 10 records", "µs", "random pipelines", "step"),
    Question(
        "memory",
        "Resident memory after opening and up to 10,000 lookups",
        "MB",
        "of the process, with Python and all that is imported",
        "open",
        drawn="Resident memory",
    ),
    Question("memory-grown", "… what it grew by", "MB", "since after the imports", "open"),
    Question(
        "past",
        "Id to record, as of the middle of the past",
        "µs",
        "beside the same of the present, in one process, in changing order",
        "past",
    ),
    Question("past-first", "… taking that view, and its first lookup", "µs", "", "past"),
    Question(
        "replay-1",
        "Replay everything, on one core: events",
        "/s",
        "from the files to all that answers questions",
        "replay",
        rate=True,
        drawn="Replay, one core (more is better)",
    ),
    Question("replay-all", "… on all cores: events", "/s", "", "replay", rate=True),
    Question(
        "replay-opening",
        "… by opening a workspace whose snapshots are gone: events",
        "/s",
        "to the answer to the first lookup",
        rate=True,
    ),
    Question(
        "verify-1",
        "Verify the whole log, on one core",
        "µs",
        "for each entry: sums, order, Merkle root, lineage; no blobs are there, each is looked for",
        "verify",
    ),
    Question("verify-all", "… on all cores", "µs", "", "verify"),
    Question(
        "orphans",
        "Find files that nothing refers to",
        "ms",
        "by the number of manifests, each of 20 artifacts",
        "orphans",
    ),
    Question("orphans-again", "… again, nothing changed", "ms", "", "orphans"),
    Question(
        "writers",
        "Four processes register at once: objects",
        "/s",
        "each synced, all of them together; counted afterwards: none is lost",
        "register writers",
        rate=True,
    ),
    Question("unfair", "… the slowest process's time against the fastest's", "", "", "writers"),
    Question("import", "Import", "ms", "in a fresh interpreter, without its own start", "import"),
    Question("help", "`--help`", "ms", "of the whole process", "import"),
    *(
        Question(f"{doing}-{key}", f"{title}, {name}", unit, note)
        for key, name in (("pls", "PLSRegression"), ("forest", "RandomForest(100)"))
        for doing, title, unit, note in (
            ("write", "Serialise to a file, not synced", "ms", "fitted on 400 samples"),
            ("size", "… its size", "bytes", ""),
            ("load", "… load it", "ms", ""),
        )
    ),
)
BY_KEY: Final = {question.key: question for question in QUESTIONS}
