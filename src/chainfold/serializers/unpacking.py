"""What joblib compressed, decompressed piece by piece: a few kilobytes can be made to fill any memory."""

import sys
import zlib
from collections.abc import Iterator
from typing import Any, Final

_PICKLE: Final = b"\x80"
_ZLIB_OR_GZIP: Final = (b"\x78", b"\x1f\x8b")
_EITHER: Final = 32 + zlib.MAX_WBITS
"""Tells zlib to go by the header."""
_BZ2: Final = b"BZ"
_LZMA: Final = (b"\xfd7zXZ", b"\x5d\x00")
_LZMA_BYTES: Final = 128 << 20
"""What its decompressor may hold at least: presets up to 9 need half of that."""
_PIECE_BYTES: Final = 1 << 20


class TooLargeError(ValueError):
    """Compressed bytes would become more than they may."""


def unpacked(data: bytes, most_bytes: int = sys.maxsize) -> bytes:
    """The pickle in bytes that joblib may have compressed.

    Takes no more memory than twice `most_bytes`, whatever the bytes would become.

    Raises:
        TooLargeError: If the pickle has more than `most_bytes`.
        ValueError: If the compression is not known, or the bytes are damaged.
    """
    if data.startswith(_PICKLE):
        return data
    import lzma  # noqa: PLC0415 - rarely needed

    found = bytearray()
    try:
        for piece in _pieces(data, most_bytes):
            found += piece
            if len(found) > most_bytes:
                raise TooLargeError(f"decompressed, its {len(data):,} bytes are more than {most_bytes:,}")
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"these bytes cannot be decompressed: {error}") from error
    return bytes(found)


def _pieces(data: bytes, most_bytes: int) -> Iterator[bytes]:
    stream = _stream(data, most_bytes)
    for start in range(0, len(data), _PIECE_BYTES):
        rest = data[start : start + _PIECE_BYTES]
        while not stream.eof:
            piece = stream.decompress(rest, _PIECE_BYTES)
            rest = getattr(stream, "unconsumed_tail", b"")  # bz2 and lzma keep it themselves
            yield piece
            if not rest and len(piece) < _PIECE_BYTES:
                break
    if not stream.eof:
        raise EOFError("they are cut short")


def _stream(data: bytes, most_bytes: int) -> Any:
    import bz2  # noqa: PLC0415 - rarely needed
    import lzma  # noqa: PLC0415 - likewise

    if data.startswith(_ZLIB_OR_GZIP):
        return zlib.decompressobj(_EITHER)
    if data.startswith(_BZ2):
        return bz2.BZ2Decompressor()
    if data.startswith(_LZMA):
        return lzma.LZMADecompressor(memlimit=max(_LZMA_BYTES, min(most_bytes, 1 << 62)))
    raise ValueError("these bytes are neither a pickle nor one that zlib, gzip, bz2 or lzma compressed")
