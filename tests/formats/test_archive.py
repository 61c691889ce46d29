"""Zips that are equal when their content is, and never larger inside than outside."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.laws import damaged

from chainfold.serializers.archive import pack, unpack

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\\"), min_size=1, max_size=12)
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=50), max_size=4)


@given(MEMBERS)
def test_what_is_packed_is_unpacked(members: dict[str, bytes]) -> None:
    """In order, by us as by the standard library; and packed again it is the same bytes."""
    data = pack(members)
    assert list(unpack(data).items()) == list(members.items())
    assert pack(unpack(data)) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} <= {(1980, 1, 1, 0, 0, 0)}


@given(MEMBERS.flatmap(lambda members: damaged(pack(members))))
def test_damage_is_an_error_or_harmless(data: bytes) -> None:
    """What is read is never more than there is."""
    try:
        members = unpack(data)
    except ValueError:
        return
    assert sum(map(len, members.values())) <= len(data)


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def lying_over_each_other() -> bytes:
    """Two entries of the directory that name one place."""
    data = zipped(("a", bytes(1_000)), ("b", b""))
    end = data.rindex(b"PK\x05\x06")
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    entry = data[first:second].replace(b"a", b"c")
    whole = data[:first] + data[first:second] + entry + data[end:]
    return whole[:-6] + first.to_bytes(4, "little") + whole[-2:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zipped(("bomb", bytes(10_000_000)), compression=zipfile.ZIP_DEFLATED), "compressed"),
        (zipped(("bomb", bytes(10_000)), compression=zipfile.ZIP_LZMA), "compressed"),
        (lying_over_each_other(), "over each other|not the zip"),
        (b"", "not the zip"),
        (b"PK\x03\x04" + bytes(100), "not the zip"),
    ],
    ids=["deflated", "lzma", "overlapping", "empty", "head only"],
)
def test_what_could_swell_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpack(data)


def test_names_are_there_once() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped(("a", b"1"), ("a", b"2"))
    with pytest.raises(ValueError, match="twice"):
        unpack(data)
