"""What can go wrong, by what the one who catches it would do.

Each class has a stable `code` for programs and an `exit_code` for the command line. Where the reference
documents a built-in exception (`ValueError`, `FileNotFoundError`, `KeyError`), ours is that too.
"""

import errno


class ChainfoldError(Exception):
    """Anything that chainfold itself raises."""

    code = "error"
    exit_code = 1


class InvalidInputError(ChainfoldError, ValueError):
    """The caller gave something that can never work. Nothing was written."""

    code = "invalid-input"
    exit_code = 65  # EX_DATAERR


class MissingDependencyError(InvalidInputError):
    """A meta-model names sources that are not live. Register them first."""

    code = "missing-dependency"


class DependentsError(InvalidInputError):
    """What was to be deleted has live dependents in other pipelines, and the caller asked to refuse then."""

    code = "dependents"


class SerializationError(InvalidInputError):
    """An object cannot be turned into bytes, or not in the format that was asked for."""

    code = "serialization"


class UntrustedError(ChainfoldError):
    """Bytes would run code that nobody has allowed. Nothing of them has run."""

    code = "untrusted"
    exit_code = 77  # EX_NOPERM


class ManifestError(InvalidInputError):
    """A manifest cannot be read or has an invalid item. Nothing was imported or deleted because of it."""

    code = "manifest"


class NotFoundError(ChainfoldError, KeyError):
    """A name that must exist does not: an artifact of the past, an alias's target, a run."""

    code = "not-found"
    exit_code = 66  # EX_NOINPUT

    def __str__(self) -> str:
        # KeyError prints the repr of its argument; a sentence is meant to be read.
        return str(self.args[0]) if self.args else ""


class BlobNotFoundError(ChainfoldError, FileNotFoundError):
    """A record's bytes are not on disk."""

    code = "blob-not-found"
    exit_code = 66  # EX_NOINPUT


class CorruptionError(ChainfoldError):
    """Stored bytes are not what was acknowledged. Nothing was changed; restore from a copy."""

    code = "corruption"
    exit_code = 74  # EX_IOERR


class UnknownEventError(ChainfoldError):
    """The log holds an event of a kind or version that this release does not know. Upgrade chainfold."""

    code = "unknown-event"
    exit_code = 76  # EX_PROTOCOL


class ConflictError(ChainfoldError):
    """Somebody else's work stands in the way now: the same command may succeed later. Nothing was written."""

    code = "conflict"
    exit_code = 75  # EX_TEMPFAIL


class RunClosedError(ChainfoldError):
    """The run was committed or rolled back, maybe by another process: it takes no more events."""

    code = "run-closed"
    exit_code = 75  # EX_TEMPFAIL


class StorageError(ChainfoldError, OSError):
    """The operating system refused: read-only, full, or failing storage. Nothing was acknowledged."""

    code = "storage"
    exit_code = 74  # EX_IOERR

    @classmethod
    def refused(
        cls, doing: str, path: object, error: OSError, *, of_workspace: bool = True
    ) -> "StorageError":
        """Say what was tried on which file, why the system refused, and what helps.

        Args:
            doing: What was tried: `read`, `write`.
            path: The file.
            error: The refusal.
            of_workspace: Whether the file is of a workspace, or one that somebody asked for elsewhere.
        """
        advice = (_ADVICE if of_workspace else _ELSEWHERE).get(error.errno or 0, "")
        if doing in _READING and error.errno in (errno.EACCES, errno.EPERM):
            advice = ". This user may not read it: ask its owner"
        refusal = cls(f"cannot {doing} {path}: {error.strerror or error}{advice}")
        refusal.errno = error.errno
        return refusal


_PLACE = ": name a place that this user may write to"
_ROOM = ": make room, or name a place on another disk"
_ELSEWHERE = {
    errno.EROFS: _PLACE,
    errno.EACCES: _PLACE,
    errno.EPERM: _PLACE,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: ": a file may not grow so large; raise the limit (ulimit -f)",
    errno.ENAMETOOLONG: ": name it shorter",
}
_READING = ("read", "look at", "list", "map", "open to read")
_ADVICE = {
    errno.ELOOP: ". It is a link, and what belongs to a workspace is never read or written through one",
    errno.EROFS: ". The storage is read-only: reading works, writing needs a writable workspace",
    errno.EACCES: ". The workspace is not writable for this user: reading works, writing needs permission",
    errno.EPERM: ". The workspace is not writable for this user: reading works, writing needs permission",
    errno.ENOSPC: ". The disk is full: nothing was acknowledged; make room and try again",
    errno.EDQUOT: ". The quota is used up: nothing was acknowledged; make room and try again",
    errno.EXDEV: ". Log and binaries of a dataset must be on one file system: only links within one will do",
    errno.EFBIG: ". A file may not grow so large: nothing was acknowledged; raise the limit (ulimit -f)",
    errno.EIO: ". The storage failed: nothing was acknowledged; check the disk, then reopen the workspace",
}
