"""Mutations of logs and manifests, drawn by hypothesis: what accidents, and people, may do to stored text."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from tests.faults.hostile import DATASET, SEGMENT, sealed

from chainfold import ArtifactRegistry

Lines = list[bytes]
Mutation = Callable[[Lines], Lines]
"""From lines, without line ends, to others; places that a log has not are wrapped around."""

ODD_VALUES: Final[Sequence[Any]] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1.5,
    "",
    "..",
    "/",
    "../../../../canary",
    "\0",
    "é" * 300,
    [],
    [[]],
    {},
    {"$int": "0x"},
    "0001:1:all",
    "run-committed",
    "dataset-purged",
    "artifact-registered",
    "9999-12-31T23:59:59.999999Z",
)


def small_log(workspace: Path) -> None:
    """A log of every kind of event, all of it acknowledged."""
    with ArtifactRegistry(workspace, DATASET, pipeline_id="p", actor="tester") as registry:
        registry.register([1], "p:1:all", "model", params={"rate": [1, {"a": 2.5}]})
        with registry.run():
            registry.register([2], "p:2:all", "model", depends_on=["p:1:all"], chain_path="s1.A>s2.B[br=0]")
            registry.register_meta_model([3], "p:m:all", ["p:2:all"], ["c"])
        registry.start_run()
        registry.register([4], "q:1:all", "transformer")
        registry.cleanup_failed_run()
        registry.set_alias("best", "p:1:all")
        registry.register([5], "p:1:all", "model")
        registry.register([6], "r:1:all", "model")
        registry.delete_pipeline_artifacts("r", delete_files=True)


def segment_of(workspace: Path) -> Path:
    """The only segment of a small log."""
    return workspace / "log" / DATASET / "segments" / SEGMENT


def resealed(lines: Lines) -> bytes:
    """The lines with sums that are right again, as one who knows the format would have them."""
    bodies = [line[: line.rindex(b',"sum":')] if b',"sum":' in line else line for line in lines]
    return sealed(renumbered(bodies))


def renumbered(bodies: Lines) -> Lines:
    """Bodies whose positions are right again, as far as they have one."""
    found = []
    for position, each in enumerate(bodies):
        head, comma, rest = each.partition(b",")
        is_numbered = comma and head.startswith(b'{"position":') and head[12:].isdigit()
        found.append(b'{"position":%d,%b' % (position, rest) if is_numbered else each)
    return found


def _at(lines: Lines, index: int, change: Callable[[bytes], bytes]) -> Lines:
    index %= max(1, len(lines))
    return [change(line) if number == index else line for number, line in enumerate(lines)]


def flipped(index: int, at: int, mask: int) -> Mutation:
    """One byte of a line is another."""

    def change(line: bytes) -> bytes:
        place = at % max(1, len(line))
        return line[:place] + bytes([each ^ mask for each in line[place : place + 1]]) + line[place + 1 :]

    return lambda lines: _at(lines, index, change)


def replaced(index: int, at: int, length: int, data: bytes) -> Mutation:
    """Some bytes of a line are others, fewer or more of them."""
    return lambda lines: _at(
        lines, index, lambda line: line[: at % (len(line) + 1)] + data + line[at % (len(line) + 1) + length :]
    )


def dropped(index: int) -> Mutation:
    """A line is lost."""
    return lambda lines: [line for number, line in enumerate(lines) if number != index % max(1, len(lines))]


def repeated(index: int, to: int) -> Mutation:
    """A line is there twice."""

    def change(lines: Lines) -> Lines:
        place = to % (len(lines) + 1)
        return lines[:place] + lines[index : index + 1] + lines[place:]

    return change


def swapped(one: int, other: int) -> Mutation:
    """Two lines have changed places."""

    def change(lines: Lines) -> Lines:
        found = lines.copy()
        if found:
            a, b = one % len(found), other % len(found)
            found[a], found[b] = found[b], found[a]
        return found

    return change


def spliced(one: int, other: int, at: int) -> Mutation:
    """A line goes on as another one does."""

    def change(lines: Lines) -> Lines:
        tail = lines[other % len(lines)] if lines else b""
        return _at(lines, one, lambda line: line[: at % (len(line) + 1)] + tail[at % (len(tail) + 1) :])

    return change


def valued(index: int, path: Sequence[int], value: Any) -> Mutation:
    """A value in the JSON of a line, found by a way down from the top, is another."""

    def change(line: bytes) -> bytes:
        try:
            fields = json.loads(line)
        except ValueError:
            return line
        total = fields.pop("sum", None) if isinstance(fields, dict) else None
        found = json.dumps(exchanged(fields, path, value), separators=(",", ":")).encode()
        return found[:-1] + b',"sum":"%b"}' % total.encode() if isinstance(total, str) else found

    return lambda lines: _at(lines, index, change)


def exchanged(data: Any, path: Sequence[int], value: Any) -> Any:
    """JSON with one value in the place of another, or beside the others when the way ends in a container."""
    if not path or not isinstance(data, dict | list) or not data:
        return value
    step, *rest = path
    if isinstance(data, list):
        index = step % len(data)
        return [exchanged(each, rest, value) if number == index else each for number, each in enumerate(data)]
    name = list(data)[step % len(data)]
    return {key: exchanged(each, rest, value) if key == name else each for key, each in data.items()}


_PLACES: Final = st.integers(0, 20)
_BYTES: Final = st.integers(0, 700)
_WAYS: Final = st.lists(st.integers(0, 12), min_size=1, max_size=4)
ACCIDENTS: Final[st.SearchStrategy[Mutation]] = st.one_of(
    st.builds(flipped, _PLACES, _BYTES, st.integers(1, 255)),
    st.builds(replaced, _PLACES, _BYTES, st.integers(0, 40), st.binary(max_size=20)),
    st.builds(dropped, _PLACES),
    st.builds(repeated, _PLACES, _PLACES),
    st.builds(swapped, _PLACES, _PLACES),
    st.builds(spliced, _PLACES, _PLACES, _BYTES),
)
FORGERIES: Final[st.SearchStrategy[Mutation]] = ACCIDENTS | st.builds(
    valued, _PLACES, _WAYS, st.sampled_from(ODD_VALUES)
)


def mutated(lines: Lines, mutations: Sequence[Mutation]) -> Lines:
    """Lines after some mutations, one after the other."""
    for mutation in mutations:
        lines = mutation(lines)
    return lines


JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.sampled_from(ODD_VALUES) | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def manifests(exported: dict[str, Any]) -> st.SearchStrategy[Any]:
    """An exported manifest with some values exchanged, at any depth; also the whole of it."""
    exchanges = st.lists(st.tuples(st.lists(st.integers(0, 25), max_size=6), JSON), min_size=1, max_size=4)

    def change(drawn: list[tuple[list[int], Any]]) -> Any:
        found: Any = exported
        for path, value in drawn:
            found = exchanged(found, path, value)
        return found

    return exchanges.map(change)
