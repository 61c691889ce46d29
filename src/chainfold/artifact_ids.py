"""Artifact ids: `{pipeline_id}${hash of the chain path}:{fold or "all"}`, or another form of the caller's."""

import re
from collections.abc import Sequence

from chainfold.chain import OperatorChain, compute_chain_hash
from chainfold.errors import InvalidInputError
from chainfold.grammar import DECIMAL, MAX_DIGITS, UNPRINTABLE, checked_text, whole_number

_DIGITS = re.compile(f"[0-9]{{1,{MAX_DIGITS}}}")
_FOLD_WORD = re.compile(rf"[^:{UNPRINTABLE}]+")
_CHAIN_HASH = re.compile("[A-Za-z0-9_-]+")
_SHARED = "all"
_NAMED_AT_MOST = 20


def generate_artifact_id_v3(
    pipeline_id: str, chain: OperatorChain | str, fold_id: int | str | None = None
) -> str:
    """The id of the artifact that a chain leads to: `0001_pls$66db6515faf4:0`, or `:all` without a fold.

    Raises:
        InvalidInputError: If the fold could not be read back from the id: a negative number, a bool, a word
            that is empty, spells a number or `all`, or holds `:` or control characters.
    """
    path = chain if isinstance(chain, str) else chain.to_path()
    if fold_id is None:
        fold = _SHARED
    elif not isinstance(fold_id, str):
        fold = str(whole_number("fold_id", fold_id))
    elif _parse_fold(fold_id) == fold_id:
        fold = fold_id
    else:
        raise InvalidInputError(
            f"fold_id must be a number, or a word that is neither one nor 'all', not {fold_id!r}"
        )
    return f"{pipeline_id}${compute_chain_hash(path)}:{fold}"


def parse_artifact_id_v3(artifact_id: str) -> tuple[str, str, int | str | None]:
    """The pipeline id, the chain's hash and the fold. A pipeline id may hold `$` and `:`, or be empty.

    Raises:
        InvalidInputError: If the id has another form.
    """
    head, _, fold = checked_text("an artifact's id", artifact_id).rpartition(":")
    pipeline_id, dollar, chain_hash = head.rpartition("$")
    if not dollar or _CHAIN_HASH.fullmatch(chain_hash) is None:
        raise InvalidInputError(f"not an id of the form pipeline$hash:fold: {artifact_id!r:.200}")
    return pipeline_id, chain_hash, _parse_fold(fold)


def is_v3_artifact_id(artifact_id: str) -> bool:
    """Whether an id has the form `pipeline$hash:fold`."""
    try:
        parse_artifact_id_v3(artifact_id)
    except InvalidInputError:
        return False
    return True


def split_artifact_id(artifact_id: str) -> tuple[str, int | str | None]:
    """The pipeline id and the fold of an id in any form.

    In forms other than `pipeline$hash:fold`, such as `0001:3:all`, the pipeline id is what stands before the
    first `:`, the fold what stands after the last one when it is a number.

    Raises:
        InvalidInputError: If the id is no text.
    """
    try:
        pipeline_id, _, fold = parse_artifact_id_v3(artifact_id)
    except InvalidInputError:
        pass
    else:
        return pipeline_id, fold
    pipeline_id, _, rest = checked_text("an artifact's id", artifact_id).partition(":")
    last = rest.rpartition(":")[2]
    return pipeline_id, int(last) if _DIGITS.fullmatch(last) else None


def fold_order(fold: int | str | None) -> tuple[int, int, str]:
    """A key that sorts folds: the shared one first, then numbers, then words."""
    if fold is None:
        return 0, 0, ""
    return (2, 0, fold) if isinstance(fold, str) else (1, fold, "")


def named(ids: Sequence[str]) -> str:
    """Ids for a message: the first twenty, and how many more."""
    more = f" and {len(ids) - _NAMED_AT_MOST} more" if len(ids) > _NAMED_AT_MOST else ""
    return ", ".join(ids[:_NAMED_AT_MOST]) + more


def _parse_fold(text: str) -> int | str | None:
    """A fold as an id spells it."""
    if text == _SHARED:
        return None
    if DECIMAL.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise InvalidInputError(f"fold_id must have at most {MAX_DIGITS} digits")
        return int(text)
    if _FOLD_WORD.fullmatch(text):
        return text
    raise InvalidInputError(
        f"fold_id must be a number or a word without ':' or control characters: {text!r:.80}"
    )
