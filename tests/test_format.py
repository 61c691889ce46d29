"""`docs/format.md` is enough to read a dataset: a reader written from it agrees with the registry."""

import contextlib
import json
import math
import re
import types
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin
from unittest import mock

import msgspec
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests import reader
from tests.reader import BadLogError, Reader

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError
from chainfold.events import AnyEvent
from chainfold.log import SEGMENT_BYTES
from chainfold.params import normalize, to_wire
from chainfold.private import withhold
from chainfold.projections import NEVER
from chainfold.records import ArtifactRecord, MetaModelConfig

FORMAT: Final = (Path(__file__).parents[1] / "docs" / "format.md").read_text("utf-8")
EXAMPLE: Final = re.findall(r"^\{.*\}$", FORMAT.partition("```jsonl\n")[2].partition("```")[0], re.MULTILINE)
REQUIRED: Final = "required"
TYPES: Final = {
    str: "string",
    int: "integer",
    bool: "boolean",
    list[str]: "list of strings",
    list[int]: "list of integers",
    types.NoneType: "null",
}


def tables() -> Iterator[tuple[str, dict[str, tuple[str, Any]]]]:
    """Each kind of event, and the record, with the type and the default of each member, as the page says."""
    for part in re.split(r"\n(?=\*\*`|### )", FORMAT):
        name = re.match(r"\*\*`([a-z-]+)`\*\*|### (The record)", part)
        if name is not None:
            found = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| (?:`(.*?)` )?\|", part, re.MULTILINE)
            yield (
                name[1] or name[2],
                {
                    member: (kind, json.loads(default) if default else REQUIRED)
                    for member, kind, default in found
                },
            )


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return REQUIRED if field.required else field.default


def kind_of(annotation: Any) -> str:
    """How the page calls a type; its bounds are told in words."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation == int | str | None:
        return "integer, string or null"
    if annotation == MetaModelConfig | None:
        return "object or null"
    if isinstance(annotation, types.UnionType):
        return " or ".join(TYPES[each] for each in get_args(annotation))
    return TYPES.get(annotation, "object" if get_origin(annotation) is dict else "string")


def test_the_page_lists_every_kind_with_every_member_and_default() -> None:
    described = dict(tables())
    kinds = {each.__struct_config__.tag: each for each in get_args(AnyEvent)}
    assert set(described) == {*kinds, "The record"} == {*reader.KINDS, "The record"}
    for name, members in described.items():
        fields = msgspec.structs.fields(kinds.get(name, ArtifactRecord))
        assert {field.encode_name: default_of(field) for field in fields} == {
            member: default for member, (_, default) in members.items()
        }, name
        for field in fields:
            if field.encode_name != "record":
                assert kind_of(field.type) == members[field.encode_name][0], (name, field.encode_name)
        optional = {member: default for member, (_, default) in members.items() if default is not REQUIRED}
        assert optional == (reader.RECORD if name == "The record" else reader.KINDS[name])


def test_the_worked_example_is_right() -> None:
    lines = [line.encode() for line in EXAMPLE]
    assert len(reader.checked(lines, "wheat")) == 4
    assert f"`{xxhash.xxh3_64_hexdigest(b'chainfold/wheat')}`" in FORMAT
    assert f"first line has {len(lines[0]) - 26} bytes" in FORMAT
    assert f"`{reader.line_sum(lines[0]):016x}`" in FORMAT
    assert f"`{reader.root(lines).hex()}`" in FORMAT
    for damaged in (
        lines[1:],
        lines[:1] + lines[2:],
        [lines[1], lines[0]],
        [lines[0].replace(b"4711", b"4712")],
    ):
        with pytest.raises(BadLogError):
            reader.checked(damaged, "wheat")


def test_the_worked_example_of_a_private_field_is_right() -> None:
    (data,) = re.findall(r"^\{\"format\":\"chainfold private 1.*\}$", FORMAT, re.MULTILINE)
    commitment, tag = sha256(data.encode()).hexdigest(), sha256(b"p:0").hexdigest()[:16]
    assert f"`sha256:{commitment}`" in FORMAT
    assert f"`{tag}-{commitment}.json`" in FORMAT
    record = ArtifactRecord("p:0", "", "", params={"operator": "Ann"})
    with mock.patch("chainfold.private.salt", bytes):  # zeros
        assert withhold(record, ["params.operator"]) == {f"{tag}-{commitment}.json": data.encode()}


def test_the_registry_reads_the_worked_example(workspace: Path) -> None:
    (workspace / "log" / "wheat" / "segments").mkdir(parents=True)
    (workspace / "binaries" / "wheat").mkdir(parents=True)
    segment = workspace / "log" / "wheat" / "segments" / f"{0:020d}.jsonl"
    segment.write_bytes("".join(f"{line}\n" for line in EXAMPLE).encode())
    checkpoint = re.search(r"^```\n(chainfold/wheat\n4\n.*\n)```", FORMAT, re.MULTILINE)
    assert checkpoint is not None
    (segment.parents[1] / "checkpoint").write_text(checkpoint[1], "utf-8", newline="")
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        artifact_id = registry.alias("production")
        assert artifact_id is not None
        assert [len(registry.as_of(size)) for size in range(5)] == [0, 0, 0, 1, 1]
        assert [len(registry.as_of(size).aliases()) for size in range(5)] == [0, 0, 0, 0, 1]
        record = registry.resolve(artifact_id)
        assert record is not None
        assert record.params == {"n_components": 10, "tol": float("inf")}
        assert record.content_hash == f"sha256:{sha256(b'weights').hexdigest()}"
        (workspace / "binaries" / "wheat" / record.path).write_bytes(b"weights")
        registry.set_alias("production", None)
    agree(workspace)


PARAMS = st.dictionaries(
    st.text(max_size=3) | st.sampled_from(["$float", "$int", "$dict", "$"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(2**64),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["$float", "$int", "$dict", "a", "$"]), inner, max_size=2)
        ),
        max_leaves=8,
    ),
    max_size=3,
)


@given(PARAMS)
def test_the_wire_form_of_params_is_as_described(params: dict[str, Any]) -> None:
    """plain(json(to_wire(x))) is x, with every float as it was."""
    wire = json.loads(msgspec.json.encode(to_wire(normalize(params))))
    assert repr(reader.plain(wire)) == repr(normalize(params))


# Random histories

IDS = st.sampled_from(["p$000000000000:0", "p$000000000000:all", "q$111111111111:1", "0001:2:all"])
WHO = st.integers(0, 1)
REGISTER = st.tuples(st.just("register"), WHO, IDS, st.integers(0, 3), st.just({}), st.none())
COMMANDS = st.one_of(
    st.tuples(
        st.just("register"), WHO, IDS, st.integers(0, 3), PARAMS | st.just({"large": 1}), st.none() | IDS
    ),
    REGISTER,
    REGISTER,
    REGISTER,
    st.tuples(st.sampled_from(["start", "commit", "roll back", "crash", "collect"]), WHO),
    st.tuples(st.just("delete"), WHO, st.sampled_from(["p", "q", "0001"]), st.booleans()),
    st.tuples(st.just("purge"), WHO, st.booleans()),
    st.tuples(st.just("alias"), WHO, st.sampled_from(["best", "last"]), st.none() | IDS),
    st.tuples(st.just("restore"), WHO, IDS, st.integers(0, 9)),
    st.tuples(st.just("import"), WHO, IDS),
    st.tuples(st.just("register privately"), WHO, IDS, st.integers(0, 3), PARAMS),
    st.tuples(st.just("erase"), WHO, IDS, st.sampled_from([None, ["name"], ["custom_name"]])),
)


def opened(workspace: Path, segment_bytes: int) -> ArtifactRegistry:
    registry = ArtifactRegistry(workspace, "wheat", actor="tester")
    registry._data.close()
    registry._data = Dataset(workspace, "wheat", actor="tester", segment_bytes=segment_bytes)
    return registry


def obey(registry: ArtifactRegistry, command: tuple[Any, ...]) -> None:  # noqa: C901, PLR0912 - one case a command
    """Do as told; what the registry refuses is not done."""
    match command:
        case "register", _, artifact_id, content, params, source:
            sources = [source] if source else None
            if "large" in params:
                params = {"large": "x" * 70_000}
            registry.register({"content": content}, artifact_id, "model", sources, params)
        case "register privately", _, artifact_id, content, params:
            said = {**params, "name": params or "Ann"}
            private = ["name", "custom_name"]
            registry.register(
                {"content": content}, artifact_id, "model", params=said, custom_name="Bea", private=private
            )
        case "erase", _, artifact_id, fields:
            registry.erase_private(artifact_id, fields)
        case "start", _:
            registry.start_run()
        case "commit", _:
            registry.end_run()
        case "roll back", _:
            registry.cleanup_failed_run()
        case "crash", _ if registry._run is not None:
            registry._run.release()
            registry._run = None
        case "collect", _:
            registry.delete_orphaned_artifacts(dry_run=False)
        case "delete", _, pipeline_id, delete_files:
            registry.delete_pipeline_artifacts(pipeline_id, delete_files)
        case "purge", _, force:
            registry.purge_dataset_artifacts(confirm=True, force=force)
        case "alias", _, name, artifact_id:
            registry.set_alias(name, artifact_id)
        case "restore", _, artifact_id, back:
            registry.restore(artifact_id, max(0, registry.position - back))
        case "import", _, artifact_id:
            item = {"artifact_id": artifact_id, "content_hash": "sha256:?", "path": "not/there.bin"}
            registry.import_from_manifest([item], registry.workspace)


def canonical(value: Any) -> str:
    """A text that tells 1 from 1.0 and knows that NaN is NaN."""
    return json.dumps(value, sort_keys=True)


def add_private(fields: dict[str, Any], values: dict[str, Any], erased: dict[str, int]) -> None:
    """What the files beside the log say of a record, and what the log says of those that are gone."""
    fields["private"] = {
        name: {**told, "erased_by": erased.get(name)} for name, told in fields["private"].items()
    }
    for name, value in values.items():
        if name == "custom_name":
            fields["custom_name"] = value
        else:
            fields["params"] = {**fields["params"], name.removeprefix("params."): value}


def agree(workspace: Path) -> None:
    """What the reader says of every size is what the registry says."""
    read = Reader(workspace, "wheat")
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        spans = registry._data.projections.visibility
        for row, each in enumerate(read.registrations):
            ours = (spans.positions[row], spans.visible_from[row], spans.removed_at[row])
            assert tuple(math.inf if size == NEVER else size for size in ours) == (
                each.position,
                each.visible_from,
                each.removed_at,
            )
        for size in range(len(read.entries) + 1):
            view, live = registry.as_of(size), read.live(size)
            records = view.get_all_records()
            assert [record.artifact_id for record in records] == [
                each.artifact_id for each in read.registrations if each.is_live(size)
            ]
            assert read.aliases_at(size) == view.aliases()
            for record in records:
                theirs = live[record.artifact_id]
                assert record.created_at == (theirs.record["created_at"] or theirs.at)
                expected = {**theirs.record, "created_at": record.created_at, "params": read.params(theirs)}
                add_private(expected, *read.private(theirs))
                found = {"meta_config": None, "private": {}, "refers_to": [], **record.to_dict()}
                assert canonical(found) == canonical(expected)
        assert read.live(len(read.entries)).keys() == {each.artifact_id for each in read.live(10**9).values()}


# A run deletes what is superseded, or deleted, before it commits.
MEANWHILE: Final[list[tuple[Any, ...]]] = [
    ("register", 0, "p$000000000000:0", 0, {}, None),
    ("register", 0, "p$000000000000:all", 0, {}, None),
    ("start", 0),
    ("delete", 0, "p", True),
    ("register", 1, "p$000000000000:0", 1, {}, None),
    ("delete", 1, "p", False),
    ("register", 1, "p$000000000000:0", 2, {}, None),
    ("commit", 0),
]


# One of two registrations is erased by a rollback, both on request, and what is restored from them stays so.
ERASED: Final[list[tuple[Any, ...]]] = [
    ("register privately", 0, "p$000000000000:0", 0, {}),
    ("start", 1),
    ("register privately", 1, "p$000000000000:0", 1, {"a": math.nan}),
    ("roll back", 1),
    ("restore", 0, "p$000000000000:0", 0),
    ("erase", 1, "p$000000000000:0", ["name"]),
    ("restore", 0, "p$000000000000:0", 0),
]


@settings(max_examples=60)
@example(MEANWHILE, SEGMENT_BYTES)
@example(ERASED, SEGMENT_BYTES)
@example([*MEANWHILE[:5], *MEANWHILE[6:]], SEGMENT_BYTES)
@given(
    st.lists(COMMANDS, min_size=5, max_size=30),
    st.sampled_from([SEGMENT_BYTES, SEGMENT_BYTES, 1_500, 1]),
)
def test_the_reader_agrees_with_the_registry(
    tmp_path_factory: pytest.TempPathFactory, commands: list[tuple[Any, ...]], segment_bytes: int
) -> None:
    """Whatever happens to a dataset, the independent reader finds the same artifacts live at every size."""
    workspace = tmp_path_factory.mktemp("history")
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore", UserWarning)
        registries = [stack.enter_context(opened(workspace, segment_bytes)) for _ in range(2)]
        for command in commands:
            with contextlib.suppress(ChainfoldError):
                obey(registries[command[1]], command)
        agree(workspace)
        read = Reader(workspace, "wheat")
        for each in read.live(len(read.entries)).values():
            if each.record["path"] != "not/there.bin":
                assert read.blob(each)
