"""Several files in one: a zip in which equal content is equal bytes, and which cannot swell when it is read.

Members are stored, not compressed, in a given order, each with the same date and nothing that tells of the
machine. Reading refuses all that such a file does not have: so what is read is never larger than the file.
"""

import io
import zlib
from collections.abc import Mapping
from typing import Final

from chainfold.serializers.protocol import NotOfThisFormatError

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_READABLE: Final = 0o100644 << 16
_MOST_MEMBERS: Final = 100_000


def pack(members: Mapping[str, bytes]) -> bytes:
    """The members as a zip, in their order.

    Equal members in equal order give equal bytes, on every machine and with every version of zlib.
    """
    import zipfile  # noqa: PLC0415 - rarely needed

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = _UNIX, _READABLE
            archive.writestr(info, data)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The members of a zip that `pack` could have made, in their order.

    Raises:
        NotOfThisFormatError: If it is no zip, or damaged: each member has a checksum.
        ValueError: If it holds a name twice, or a member that is compressed, encrypted, or lies where another
            does.
    """
    import zipfile  # noqa: PLC0415 - rarely needed

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > _MOST_MEMBERS:
                raise ValueError(f"{len(infos):,} members are more than any such file has")
            if len({info.filename for info in infos}) < len(infos):
                raise ValueError("a name is there twice")
            for info in infos:
                if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                    raise ValueError(f"the member {info.filename!r:.100} is compressed")
            if sum(info.file_size for info in infos) > len(data):
                raise ValueError("members lie over each other")
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error, OSError) as error:
        raise NotOfThisFormatError(f"not the zip that was written: {error}") from error
