"""Where each alias pointed, at any time."""

from bisect import bisect_right


class Aliases:
    """Names that move between artifacts."""

    def __init__(self) -> None:
        self._moves: dict[str, list[tuple[int, str | None]]] = {}

    def point(self, alias: str, artifact_id: str | None, size: int) -> None:
        """From the state after `size` entries on, the name points there, or (None) nowhere."""
        self._moves.setdefault(alias, []).append((size, artifact_id))

    def target(self, alias: str, size: int) -> str | None:
        """Where it pointed after `size` entries."""
        moves = self._moves.get(alias, [])
        index = bisect_right(moves, size, key=lambda move: move[0])
        return moves[index - 1][1] if index else None

    def all(self, size: int) -> dict[str, str]:
        """Every alias that pointed somewhere after `size` entries, in order of name."""
        targets = ((alias, self.target(alias, size)) for alias in sorted(self._moves))
        return {alias: target for alias, target in targets if target is not None}
