"""What a view can prove to somebody who keeps nothing but a checkpoint."""

import contextlib
import warnings
from typing import TYPE_CHECKING

from chainfold.ancestry import ancestors, with_repeated
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, CorruptionError, InvalidInputError, StorageError
from chainfold.grammar import integer
from chainfold.log import Checkpoint, parse_checkpoint
from chainfold.log.lines import origin
from chainfold.log.merkle import EMPTY_ROOT
from chainfold.past import Moment, Past
from chainfold.projections import NOW

if TYPE_CHECKING:
    from chainfold.proof.notes import PrivateKey
    from chainfold.proof.prover import Consistency, Inclusion, Prover


class Provable(Past):
    """The proofs of a view: about the log as it was then."""

    def checkpoint(self, key: "PrivateKey | None" = None) -> str:
        """What commits to every byte of the log up to this view, in a few lines.

        The text is a C2SP tlog-checkpoint: `chainfold/<dataset>`, the number of entries, and the Merkle root.
        Who keeps it can later have it proven that nothing before was changed: `verify(since=...)`,
        `consistency_proof`.

        What it commits to is made durable first: a power cut would else make a liar of whoever gave it. Where
        the workspace cannot be written, it is warned of what may not be.

        Args:
            key: Sign it with this: a signed note. Its name should be one that the reader knows.

        Raises:
            InvalidInputError: If the key is no `PrivateKey`.
        """
        _check_key(key)
        with self._data.mutex:
            size = self._known_size()
        self._secure(size)
        with self._data.mutex, prover_of(self._data) as prover:
            text = Checkpoint(origin(self._data.name), size, prover.root(size)).text().decode()
        return text if key is None else key.signed(text)

    def model_proof(self, artifact_id: str, key: "PrivateKey | None" = None) -> str:
        """One file about what a model is and came from, proven against this view's checkpoint; its text.

        It has the registration of the artifact and of all that it was made from, what has happened to each
        since, and the proofs that all of this is in the log. It says itself what that proves and what not:
        above all not that nothing else happened, as only who has the whole log can tell.
        `python -m chainfold.proof.model_verifier` checks it; that file needs nothing of chainfold.

        Args:
            artifact_id: The artifact.
            key: Signs the checkpoint in it.

        Raises:
            NotFoundError: If this view does not see the artifact.
            InvalidInputError: If the key is no `PrivateKey`.
            CorruptionError: If the log is not what it was when it was read.
        """
        _check_key(key)
        from chainfold.proof.bundle import bundle, to_text  # noqa: PLC0415 - few ask for proofs

        with self._data.mutex:
            row, size = self._row_of(artifact_id)
        self._secure(size)
        with self._data.mutex:
            known = with_repeated(self._data, ancestors(self._data, row, size), size)
            return to_text(bundle(self._data, known, size, key))

    def inclusion_proof(self, position: int) -> "Inclusion":
        """The proof that the entry at a position is in the log of this view's checkpoint.

        Raises:
            NotFoundError: If this view has no such entry.
            CorruptionError: If the log is not what it was when it was read.
        """
        number = integer("a position", position)
        with self._data.mutex, prover_of(self._data) as prover:
            return prover.inclusion(number, self._known_size())

    def consistency_proof(self, since: Moment) -> "Consistency":
        """The proof that the log has only grown since an earlier moment.

        Args:
            since: A size, a time, or a checkpoint, which must be one of this log.

        Raises:
            NotFoundError: If the log has never had that size.
            CorruptionError: If the checkpoint is not of this log: what was before it has been changed.
        """
        with self._data.mutex, prover_of(self._data) as prover:
            return prover.consistency(size_of(self._data, since), self._known_size())

    def _secure(self, size: int) -> None:
        """Make so many entries durable, which those of an open run are not; not with the mutex held."""
        data = self._data
        durable = data.log.durable
        if size > durable:  # as far as is known without looking
            with contextlib.suppress(ChainfoldError), data.mutex:
                stored = data.log.stored_checkpoint()
                durable = max(durable, 0 if stored is None else stored.size)
        if size <= durable:
            return
        try:
            with data.writing():
                data.secure_log()
        except StorageError:
            warnings.warn(
                f"entries from {durable} on, of the {size} that this commits to, are of an open run and may "
                f"not be on the disk yet: if a power cut takes them, it is of no log any more. Ask for it "
                f"where the workspace can be written, or as of {durable}",
                UserWarning,
                stacklevel=3,
            )

    def _size_of(self, when: Moment) -> int:
        return size_of(self._data, when)

    def _known_size(self) -> int:
        self._data.refresh()
        return self._data.projections.size if self._size == NOW else self._size


def prover_of(data: Dataset) -> "Prover":
    """A prover of a dataset's log."""
    from chainfold.proof.prover import Prover  # noqa: PLC0415 - few ask for proofs

    return Prover(data)


def _check_key(key: object) -> None:
    if key is None:
        return
    from chainfold.proof.notes import PrivateKey  # noqa: PLC0415 - few ask for proofs

    if not isinstance(key, PrivateKey):
        raise InvalidInputError(
            f"key must be a PrivateKey, not {type(key).__name__}: PrivateKey.parse reads one from its text"
        )


def checkpoint_of(data: Dataset, text: object) -> Checkpoint:
    """The checkpoint that a text is, if it is one of a log of this name; its signatures are not looked at.

    Raises:
        InvalidInputError: If it is none, or one of another log.
    """
    if not isinstance(text, str | bytes):
        raise InvalidInputError(
            f"a checkpoint is given as its text, not as {type(text).__name__}: only who kept it can tell "
            f"whether anything before was changed"
        )
    try:
        found = parse_checkpoint(text.encode(errors="surrogatepass") if isinstance(text, str) else text)
    except CorruptionError as error:
        raise InvalidInputError(
            f"{error}; it has three lines: the log's name, a size, and a root. A time is given as a datetime"
        ) from error
    if found.origin != origin(data.name):
        raise InvalidInputError(
            f"the checkpoint is of {found.origin!r}, and this log is {origin(data.name)!r}"
        )
    if found.size == 0 and found.root != EMPTY_ROOT:
        raise InvalidInputError("the checkpoint is of no entries, and its root is of some")
    return found


def size_of(data: Dataset, when: Moment) -> int:
    """The size that is meant; of a checkpoint only if the log then had its root.

    Raises:
        NotFoundError: If the log has not come that far.
        InvalidInputError: If a time has no time zone, or a text is no checkpoint of this log.
        CorruptionError: If the log has another root: what was before the checkpoint has been changed.
    """
    if not isinstance(when, str | bytes):
        return data.size_at(when)
    known = checkpoint_of(data, when)
    size = data.size_at(known.size)
    with data.mutex, prover_of(data) as prover:
        root = prover.root(size)
    if root != known.root:
        raise CorruptionError(
            f"the first {size} entries of the log of {data.name!r} have the root {root.hex()}, and the "
            f"checkpoint says {known.root.hex()}: they were changed since, or it is of another log"
        )
    return size
