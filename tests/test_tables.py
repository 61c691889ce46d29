"""Tables say what a loop over records and entries says, in every output, as of any size of the past."""

import contextlib
import json
import os
import sqlite3
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.snapshotting import save_often

from chainfold import (
    ArtifactRecord,
    ArtifactRegistry,
    CorruptionError,
    InvalidInputError,
    NotFoundError,
    RegistryView,
    StorageError,
)
from chainfold.commands.importing import import_items
from chainfold.commands.items import Item
from chainfold.events import AliasSet, ArtifactRegistered, ArtifactsDeleted, DatasetPurged, Entry
from chainfold.params import from_wire
from chainfold.serializers.protocol import MissingLibraryError
from chainfold.tables.schema import FIELDS, TABLES, TableName

IDS: Final = ("p:1:all", "p:2:3", "q'); DROP TABLE artifacts; --:1:avg", 'q"é模\u202e:7:all')
TEXTS: Final = ("", "x", "'; DELETE FROM history; --", '"`%s{}[?]:1', "=1+1", "NULL", "é\u202e模\U0001f600")
TIMES: Final = {
    "": None,
    "yesterday": None,
    "2024-02-30T00:00:00Z": None,
    "0001-01-01T00:00:00+05:00": None,
    "2024-02-03T04:05:06.789Z": datetime(2024, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC),
    "2024-02-03T04:05:06+02:00": datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC),
    "2024-02-03T04:05:06": datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC),
}
NUMBERS: Final = (0, 7, 2**63 - 1, 2**63, 10**40)
json_values: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(NUMBERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
params: Final = st.dictionaries(st.text(max_size=4) | st.just("$float"), json_values, max_size=3)
commands: Final = st.lists(
    st.tuples(
        st.sampled_from(("register", "register", "import", "run", "fail", "alias", "delete", "purge")),
        st.integers(0, 3),
        st.integers(0, 6),
        params,
    ),
    max_size=7,
)
Command = tuple[str, int, int, dict[str, Any]]


class Author:
    """Does what commands say; each registration has a number of its own in its params."""

    def __init__(self, registry: ArtifactRegistry) -> None:
        self.registry = registry
        self.serial = 0

    def act(self, command: Command, *, in_run: bool = False) -> None:
        verb, which, how, values = command
        others = [each for each in IDS if each != IDS[which]][: how % 3]
        match verb:
            case "register":
                self.registry.register(
                    [how],
                    IDS[which],
                    "model",
                    depends_on=others,
                    params=self._numbered(values),
                    custom_name=TEXTS[how],
                    chain_path=("s1.A", "s1.A>s2.B[br=0.1,src=2]", TEXTS[2])[how % 3],
                )
            case "import":
                self._import(which, how, values)
            case "alias":
                with contextlib.suppress(NotFoundError):
                    self.registry.set_alias(TEXTS[1 + how % 3], IDS[which] if how % 4 else None)
            case "delete":
                self.registry.delete_pipeline_artifacts("p" if which < 2 else IDS[which].split(":")[0])
            case "purge" if how < 3:
                self.registry.purge_dataset_artifacts(confirm=True)
            case "run" | "fail" if not in_run:
                with contextlib.suppress(ZeroDivisionError), self.registry.run():
                    for at, inner in enumerate(
                        ("register", "alias", "register", "delete", "alias", "register", "import")[: how + 1]
                    ):
                        self.act((inner, (which + at) % 4, (how + at) % 7, values), in_run=True)
                    if verb == "fail":
                        raise ZeroDivisionError

    def _import(self, which: int, how: int, values: dict[str, Any]) -> None:
        number = NUMBERS[how % 5]
        item = {
            "artifact_id": IDS[which],
            "content_hash": "sha256:" + "0" * 64,
            "path": "a.pkl",
            "created_at": list(TIMES)[how],
            "step_index": number,
            "fold_id": TEXTS[how] if how % 2 else number,
            "branch_path": [number, 1][: how % 3],
            "source_index": number,
            "version": number,
            "format": "\0'" + TEXTS[how],
            "params": self._numbered(values),
        }
        if how == 0:
            sources = [{"artifact_id": "x", "feature_index": number}]
            item["meta_config"] = {"source_models": sources, "feature_columns": list(TEXTS)}
        # Not as imports do now, which would refuse most of it: logs of before have such records.
        items = {0: Item(ArtifactRecord.from_dict(item), ())}
        import_items(self.registry._data, items, Path("nowhere"), self.registry._run_id)

    def _numbered(self, values: dict[str, Any]) -> dict[str, Any]:
        self.serial += 1
        return {**values, "serial": self.serial}


@contextlib.contextmanager
def lived(history: list[Command]) -> Iterator[ArtifactRegistry]:
    with TemporaryDirectory() as folder, warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        save_often(patch, 7, 1_000)
        patch.setattr("chainfold.tables.frames.BATCH_ROWS", 3)
        patch.setattr("chainfold.tables.parquet.GROUP_ROWS", 4)
        with ArtifactRegistry(Path(folder), "wheat", actor=TEXTS[2]) as registry:
            author = Author(registry)
            for command in history:
                author.act(command)
            yield registry


# what a loop says


def serial(record: ArtifactRecord) -> int:
    number = record.params["serial"]
    assert isinstance(number, int)
    return number


def registrations(entries: list[Entry]) -> dict[int, Entry]:
    return {serial(each.event.record): each for each in entries if isinstance(each.event, ArtifactRegistered)}


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def fitting(number: int | None) -> int | None:
    return number if number is None or number < 2**63 else None


def told(record: ArtifactRecord, entry: Entry) -> dict[str, Any]:
    assert isinstance(entry.event, ArtifactRegistered)
    fold = record.fold_id
    created = TIMES[record.created_at] if record.created_at in TIMES else at(record.created_at)
    same = ("artifact_id", "pipeline_id", "class_name", "custom_name", "chain_path", "content_hash", "path")
    more = ("size_bytes", "format", "format_version", "nirs4all_version", "depends_on", "refers_to")
    return {
        **{name: getattr(record, name) for name in same + more},
        "position": entry.position,
        "registered_at": at(entry.at),
        "actor": entry.actor,
        "run_id": entry.run,
        "artifact_type": str(record.artifact_type),
        "step_index": fitting(record.step_index),
        "substep_index": record.substep_index,
        "source_index": fitting(record.source_index),
        "branch_path": ".".join(str(each) for each in record.branch_path),
        "fold_id": None if fold is None else str(fold),
        "fold_number": fitting(fold) if isinstance(fold, int) else None,
        "record_version": fitting(record.version),
        "created_at": created,
        "params": record.params,
        "meta_config": None if record.meta_config is None else record.meta_config.to_dict(),
        "imported": entry.event.imported,
        "restored_from": entry.event.restored_from,
    }


def raw_lines(registry: ArtifactRegistry) -> list[dict[str, Any]]:
    """The events of the log, as its files have them."""
    files = sorted((registry.workspace / "log" / "wheat" / "segments").glob("*"))
    lines = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    around = {"position", "at", "actor", "run", "durable", "sum"}
    return [{name: line[name] for name in line if name not in around} for line in lines]


def artifacts(_: ArtifactRegistry, view: RegistryView, entries: list[Entry]) -> list[dict[str, Any]]:
    known = registrations(entries)
    return [told(record, known[serial(record)]) for record in view.get_all_records()]


def history(_: ArtifactRegistry, view: RegistryView, entries: list[Entry]) -> list[dict[str, Any]]:
    known = registrations(entries)
    items = [each for artifact_id in IDS for each in view.history(artifact_id)]
    return [
        {
            **told(each.record, known[serial(each.record)]),
            **{
                name: getattr(each, name) for name in ("standing", "visible_from", "removed_at", "removed_by")
            },
        }
        for each in sorted(items, key=lambda each: each.position)
    ]


def events(registry: ArtifactRegistry, _: RegistryView, entries: list[Entry]) -> list[dict[str, Any]]:
    found, lines = [], raw_lines(registry)
    for each in entries:
        event: Any = each.event
        of = event.record if isinstance(event, ArtifactRegistered) else event
        found.append(
            {
                "position": each.position,
                "at": at(each.at),
                "kind": event.kind,
                "actor": each.actor,
                "run_id": each.run,
                "durable": each.durable,
                "alias": getattr(event, "alias", None),
                "artifact_id": getattr(of, "artifact_id", None),
                "reason": getattr(event, "reason", None),
                "pipeline_id": getattr(of, "pipeline_id", None),
                "event": lines[each.position],
            }
        )
    return found


def runs(_: ArtifactRegistry, view: RegistryView, entries: list[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "run_id": each.run_id,
            "started": each.started,
            "started_at": at(each.at),
            "actor": each.actor,
            "owner": each.owner,
            "status": each.status,
            "closed": each.closed,
            "reason": each.reason,
            "closed_at": None if each.closed is None else at(entries[each.closed].at),
        }
        for each in view.runs()
    ]


def aliases(_: ArtifactRegistry, __: RegistryView, entries: list[Entry]) -> list[dict[str, Any]]:
    moves: dict[str, list[dict[str, Any]]] = {}
    pending: dict[str | None, list[Entry]] = {}
    for each in entries:
        if isinstance(each.event, AliasSet):
            pending.setdefault(each.run, []).append(each)
        if each.event.kind == "run-committed" or each.run is None:
            for move in pending.pop(each.run, []):
                assert isinstance(move.event, AliasSet)
                so_far = moves.setdefault(move.event.alias, [])
                if so_far:
                    so_far[-1]["holds_until"] = each.position + 1
                so_far.append(
                    {
                        "alias": move.event.alias,
                        "artifact_id": move.event.artifact_id,
                        "holds_until": None,
                        "holds_from": each.position + 1,
                        "position": move.position,
                        "at": at(move.at),
                        "actor": move.actor,
                        "run_id": move.run,
                    }
                )
    return [each for alias in sorted(moves) for each in moves[alias]]


def lineage(registry: ArtifactRegistry, _: RegistryView, entries: list[Entry]) -> list[dict[str, Any]]:
    known, states = (
        registrations(entries),
        [
            {record.artifact_id: serial(record) for record in registry.as_of(size).get_all_records()}
            for size in range(len(entries) + 1)
        ],
    )
    found = []
    for product in entries:
        if not isinstance(product.event, ArtifactRegistered):
            continue
        record = product.event.record
        shown = next((state for state in states if state.get(record.artifact_id) == serial(record)), {})
        mates = {
            serial(each.event.record)
            for each in entries
            if isinstance(each.event, ArtifactRegistered) and each.run == product.run is not None
        }
        imported = {
            serial(each.event.record)
            for each in entries
            if isinstance(each.event, ArtifactRegistered) and each.event.imported
        }
        for ordinal, source in enumerate(record.depends_on):
            own = own_then(entries, product, source)
            later = shown.get(source)
            later = later if later in mates else None
            by_manifest = later if product.event.imported and later in imported else None
            used = own or by_manifest or states[product.position].get(source) or later
            found.append(
                {
                    "position": product.position,
                    "artifact_id": record.artifact_id,
                    "ordinal": ordinal,
                    "source_id": source,
                    "source_position": None if used is None else known[used].position,
                }
            )
    return found


def own_then(entries: list[Entry], product: Entry, source: str) -> int | None:
    """What the run of a product had registered itself under an id by then."""
    own = None
    for each in entries[: product.position] if product.run is not None else ():
        if each.run == product.run:
            event = each.event
            if isinstance(event, ArtifactRegistered) and event.record.artifact_id == source:
                own = serial(event.record), event.record.pipeline_id
            purged = isinstance(event, DatasetPurged)
            if own and (purged or (isinstance(event, ArtifactsDeleted) and event.pipeline_id == own[1])):
                own = None
    return own and own[0]


Loop = Callable[[ArtifactRegistry, RegistryView, list[Entry]], list[dict[str, Any]]]
LOOPS: Final[dict[TableName, Loop]] = {
    "artifacts": artifacts,
    "history": history,
    "events": events,
    "runs": runs,
    "aliases": aliases,
    "lineage": lineage,
}


# what the outputs say


def from_pandas(view: RegistryView, what: TableName, _: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = view.to_pandas(what).to_dict("records")
    for row in rows:
        for name, value in row.items():
            if isinstance(value, pd.Timestamp):
                assert value.nanosecond == 0
                row[name] = value.to_pydatetime()
            elif hasattr(value, "tolist"):
                row[name] = value.tolist()
            elif value is pd.NA or value is pd.NaT or value is None or value != value:  # noqa: PLR0124 - NaN is the nothing of text
                row[name] = None
    return rows


def from_polars(view: RegistryView, what: TableName, _: Path) -> list[dict[str, Any]]:
    return view.to_polars(what).to_dicts()


def from_arrow(view: RegistryView, what: TableName, _: Path) -> list[dict[str, Any]]:
    return list(view.to_arrow(what).to_pylist())


def from_parquet(view: RegistryView, what: TableName, folder: Path) -> list[dict[str, Any]]:
    file = view.export(folder / "x.parquet", what=what, overwrite=True)
    return list(pq.read_table(file).to_pylist())


def from_sqlite(view: RegistryView, what: TableName, folder: Path) -> list[dict[str, Any]]:
    """All its tables are of one file, which is made for the first of them."""
    file = folder / "x.db"
    if what == TABLES[0]:
        view.export(file, overwrite=True)
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {*TABLES, "about"}
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute(f"SELECT * FROM {what} ORDER BY rowid")]  # noqa: S608 - a name of ours
    for row in rows:
        for field in FIELDS[what]:
            value = row[field.name]
            if value is not None and field.kind in ("time", "boolean", "texts"):
                read: dict[str, Callable[[Any], Any]] = {"time": at, "boolean": bool, "texts": json.loads}
                row[field.name] = read[field.kind](value)
    return rows


OUTPUTS: Final = (from_pandas, from_polars, from_arrow, from_parquet, from_sqlite)


def comparable(rows: list[dict[str, Any]], what: TableName) -> list[str]:
    """As texts, so that NaN equals itself; and JSON columns read."""
    found = []
    for row in rows:
        assert list(row) == [field.name for field in FIELDS[what]]
        for field in FIELDS[what]:
            assert field.may_be_null or row[field.name] is not None
            if isinstance(row[field.name], datetime):
                assert row[field.name].utcoffset() == timedelta(0)
                row[field.name] = row[field.name].astimezone(UTC)
            if field.kind == "json" and row[field.name] is not None:
                row[field.name] = json.loads(row[field.name])
        if "params" in row:
            row["params"] = from_wire(row["params"])
        found.append(repr(row))
    return found


def expected(rows: list[dict[str, Any]], what: TableName) -> list[str]:
    return [repr({field.name: row[field.name] for field in FIELDS[what]}) for row in rows]


def check_outputs(registry: ArtifactRegistry, view: RegistryView, folder: Path) -> None:
    entries = list(view.events())
    for what, loop in LOOPS.items():
        right = expected(loop(registry, view, entries), what)
        for output in OUTPUTS:
            assert comparable(output(view, what, folder), what) == right, (what, output.__name__)


@settings(max_examples=40)
@given(commands, st.data())
def test_every_output_says_what_a_loop_says(history: list[Command], data: st.DataObject) -> None:
    """As of any size, the present and the middle of a run included."""
    with lived(history) as registry, TemporaryDirectory() as folder:
        size = data.draw(st.integers(0, registry.position))
        check_outputs(registry, registry.as_of(size), Path(folder))
        check_outputs(registry, registry, Path(folder))


def test_an_open_run_sees_its_own(registry: ArtifactRegistry, tmp_path: Path) -> None:
    registry.register([1], IDS[0], "model", params={"serial": 1})
    with registry.run(), ArtifactRegistry(registry.workspace, "wheat") as other:
        registry.register([2], IDS[0], "model", params={"serial": 2})
        check_outputs(registry, registry, tmp_path)
        assert registry.to_arrow().column("position").to_pylist() == [2]
        assert other.to_arrow().column("position").to_pylist() == [0]
        assert other.to_arrow("history").column("standing").to_pylist() == ["live", "in open run"]


def test_what_a_view_does_not_know_is_not_told(registry: ArtifactRegistry, tmp_path: Path) -> None:
    """A product of a run that had not committed was not made from what was shown only later."""
    with ArtifactRegistry(registry.workspace, "wheat") as other, registry.run():
        registry.register([1], IDS[0], "model", params={"serial": 1}, depends_on=[IDS[1], IDS[2]])
        registry.register([2], IDS[1], "model", params={"serial": 2})
        other.register([3], IDS[2], "model", params={"serial": 3})  # which this run knew nothing of
        then = registry.position
    view = registry.as_of(then)
    assert view.to_arrow("lineage").column("source_position").to_pylist() == [None, None]
    assert view.lineage(IDS[0])[0].sources == [None, None]
    assert registry.to_arrow("lineage").column("source_position").to_pylist() == [2, None]
    check_outputs(registry, registry, tmp_path)


def test_large_params_and_restored_records(registry: ArtifactRegistry, tmp_path: Path) -> None:
    registry.register([1], IDS[0], "model", params={"text": "x" * 200_000})
    registry.register([2], IDS[0], "model")
    registry.restore(IDS[0], 1)
    for output in OUTPUTS:
        rows = output(registry, "artifacts", tmp_path)
        assert [json.loads(row["params"]) for row in rows] == [{"text": "x" * 200_000}]
        assert [row["restored_from"] for row in rows] == [0]


def fill(registry: ArtifactRegistry, count: int, text: str = "") -> None:
    with registry.run():
        for number in range(count):
            registry.register([number], f"p:{number}:all", "model", params={"text": text})


def test_nothing_is_read_before_it_is_asked_for(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chainfold.tables import rows

    read: list[int] = []
    whole = rows._registration

    def counted(data: Any, row: int) -> Any:
        read.append(row)
        return whole(data, row)

    fill(registry, 20)
    monkeypatch.setattr(rows, "_registration", counted)
    monkeypatch.setattr("chainfold.tables.frames.BATCH_ROWS", 4)
    reader = registry.to_arrow_reader()
    assert read == []
    registry.register([99], "p:99:all", "model")  # after the moment that is shown
    assert reader.read_next_batch().num_rows == 4
    assert read == [0, 1, 2, 3]
    reader.read_next_batch()
    assert read == list(range(8))
    assert reader.read_all().num_rows == 12
    assert read == list(range(20))


@pytest.mark.parametrize("name", ["x.parquet", "x.sqlite"])
def test_an_export_holds_a_bounded_part(
    registry: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of 30 MB of parameters, at no moment more than a tenth."""
    monkeypatch.setattr("chainfold.tables.frames.BATCH_CHARACTERS", 1 << 17)
    monkeypatch.setattr("chainfold.tables.parquet.GROUP_BYTES", 1 << 18)
    monkeypatch.setattr("chainfold.projections.source.KEPT_BYTES", 1 << 18)
    registry.close()  # what was registered is not held
    with ArtifactRegistry(registry.workspace, "wheat") as writer:
        fill(writer, 600, "x" * 50_000)
    with ArtifactRegistry(registry.workspace, "wheat") as fresh:
        fresh.export(tmp_path / f"warm-{name}", what="runs")
        tracemalloc.start()
        fresh.export(tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize("name", ["x.parquet", "x.sqlite"])
def test_a_file_is_whole_or_not_there(
    registry: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fill(registry, 20)
    target = tmp_path / name
    first = registry.export(target).read_bytes()
    with pytest.raises(InvalidInputError, match="is there already: give another name, or overwrite=True"):
        registry.export(target)
    from chainfold.tables import rows

    whole = rows._registration

    def fails(error: BaseException) -> Callable[[Any, int], Any]:
        def failing(data: Any, row: int) -> Any:
            if row == 13:
                raise error
            return whole(data, row)

        return failing

    refusal = OSError(28, "No space left on device")
    for error, raised in ((CorruptionError("x"), CorruptionError), (KeyboardInterrupt(), KeyboardInterrupt)):
        monkeypatch.setattr(rows, "_registration", fails(error))
        with pytest.raises(raised):
            registry.export(target, overwrite=True)
        with pytest.raises(raised):
            registry.export(tmp_path / f"new-{name}")
    monkeypatch.setattr(rows, "_registration", fails(refusal))
    with pytest.raises(StorageError, match=r"cannot write .*No space left.*make room"):
        registry.export(target, overwrite=True)
    monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == [name]
    assert target.read_bytes() == first
    fill(registry, 21)
    assert registry.export(target, overwrite=True).read_bytes() != first


def test_what_killed_exports_left_goes_with_the_next(
    registry: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that nobody writes to any more, and nothing else."""
    begun: list[str] = []

    def die(_: Any, __: Any, path: Path) -> None:
        begun.append(path.name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("chainfold.tables.sqlite.write", die)
        registry.export(tmp_path / "x.db")
    day = 86_400
    ages = {
        begun[0]: day + 60,
        f".chainfold-{'b' * 32}.partial": day - 600,
        f".chainfold-{'a' * 31}.partial": day + 60,
        f".chainfold-{'a' * 32}.partial.txt": day + 60,
        "mine.partial": day + 60,
    }
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"left")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    (tmp_path / f".chainfold-{'c' * 32}.partial").mkdir()
    registry.export(tmp_path / "x.db")
    left = {each.name for each in tmp_path.iterdir()} & ages.keys()
    assert left == set(list(ages)[1:])
    assert (tmp_path / f".chainfold-{'c' * 32}.partial").is_dir()


def test_a_file_that_came_meanwhile_is_left_alone(
    registry: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(registry, 1)
    from chainfold.tables import parquet

    whole = parquet.write

    def late(*args: Any) -> None:
        whole(*args)
        (tmp_path / "x.parquet").write_text("another's")

    monkeypatch.setattr(parquet, "write", late)
    with pytest.raises(InvalidInputError, match="is there already"):
        registry.export(tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").read_text() == "another's"


def test_what_sqlite_cannot_write_is_refused(
    registry: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(registry, 1)

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("chainfold.tables.sqlite.write", full)
    with pytest.raises(StorageError, match=r"x\.db: database or disk is full"):
        registry.export(tmp_path / "x.db")


def test_what_cannot_be_asked_is_told(registry: ArtifactRegistry, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no table 'models': use artifacts, history, events, "):
        registry.to_arrow("models")
    with pytest.raises(InvalidInputError, match=r"'x.csv' does not say its format: use .parquet, "):
        registry.export(tmp_path / "x.csv")
    with pytest.raises(InvalidInputError, match="unknown format 'csv': use parquet or sqlite"):
        registry.export(tmp_path / "x", "csv")
    with pytest.raises(InvalidInputError, match="there is no folder"):
        registry.export(tmp_path / "none" / "x.db")
    with pytest.raises(InvalidInputError, match="is a folder: name a file in it"):
        registry.export(tmp_path, "sqlite", overwrite=True)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="there is no folder"):
        registry.export(tmp_path / "file" / "x.db")
    unnamed: Any
    for unnamed in (None, 5, b"x.sqlite", "a\0.sqlite", "\ud800.sqlite", ["x.sqlite"]):
        with pytest.raises(InvalidInputError, match="a file is named by a text or a Path"):
            registry.export(unnamed, "sqlite")
    assert pq.read_table(registry.export(tmp_path / "x", "parquet")).num_rows == 0


def test_sqlite_may_hold_one_table(registry: ArtifactRegistry, tmp_path: Path) -> None:
    fill(registry, 3)
    file = registry.export(tmp_path / "x.SQLite", what="runs")
    with contextlib.closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT started, status, closed FROM runs").fetchall()
        about = dict(database.execute("SELECT name, value FROM about").fetchall())
    assert found == [(0, "committed", 4)]
    assert about == {"tables": "runs", "tables_version": "1", "dataset": "wheat", "size": "5"}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_missing_library_is_named_with_its_extra(
    registry: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    extra = "arrow" if library == "pyarrow" else library
    asked: dict[str, Callable[[], Any]] = {
        "pandas": registry.to_pandas,
        "polars": registry.to_polars,
        "pyarrow": lambda: registry.export(tmp_path / "x.parquet"),
    }
    with pytest.raises(MissingLibraryError, match=rf"pip install 'chainfold\[{extra}\]'"):
        asked[library]()
    assert not list(tmp_path.glob("*.parquet"))
    registry.export(tmp_path / "x.db")  # which needs none of them


def test_columns_are_typed(registry: ArtifactRegistry) -> None:
    fill(registry, 2)
    frame, polars = registry.to_pandas(), registry.to_polars()
    for field in FIELDS["artifacts"]:
        kinds = {
            "integer": ("Int64", pl.Int64),
            "boolean": ("bool", pl.Boolean),
            "texts": ("object", pl.List(pl.String)),
            "time": ("datetime64[us, UTC]", pl.Datetime("us", "UTC")),
        }
        text = (str(pd.Series(["x"], dtype=registry.to_pandas()["path"].dtype).dtype), pl.String)
        assert (str(frame[field.name].dtype), polars[field.name].dtype) == kinds.get(field.kind, text)


def test_the_documented_columns_are_those_there_are() -> None:
    text = (Path(__file__).parents[1] / "docs" / "tables.md").read_text(encoding="utf-8")
    for what in TABLES:
        lines = [
            f"| `{each.name}` | {each.kind}{' or null' if each.may_be_null else ''} | {each.meaning} |"
            for each in FIELDS[what]
            if what != "history" or each not in FIELDS["artifacts"]
        ]
        assert "\n".join(lines) + "\n" in text, what


def test_private_fields_are_in_no_table(registry: ArtifactRegistry, tmp_path: Path) -> None:
    """What can be erased here could not be there."""
    registry.register(
        [0],
        "p:1:all",
        "model",
        params={"who": "Ann Other", "n": 1},
        custom_name="Ann's",
        private=["who", "custom_name"],
    )
    for what in TABLES:
        told = str(registry.to_arrow(what).to_pylist())
        assert "Ann" not in told
    path = registry.export(tmp_path / "all.sqlite")
    assert b"Ann" not in path.read_bytes()
    assert registry.to_arrow().column("params").to_pylist() == ['{"n":1}']
