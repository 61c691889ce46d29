"""The cache of nirs4all's loader, against a list that is searched."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainfold.errors import InvalidInputError
from chainfold.integrations.nirs4all.cache import LRUCache


class Naive:
    """Pairs in a list, the one used last at its end."""

    def __init__(self, max_size: int) -> None:
        self.pairs: list[tuple[str, int]] = []
        self.max_size = max_size
        self.hits = self.misses = 0

    def get(self, key: str) -> int | None:
        for pair in self.pairs:
            if pair[0] == key:
                self.hits += 1
                self.pairs.remove(pair)
                self.pairs.append(pair)
                return pair[1]
        self.misses += 1
        return None

    def put(self, key: str, value: int) -> None:
        self.remove(key)
        self.pairs.append((key, value))
        self.resize(self.max_size)

    def remove(self, key: str) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != key]

    def contains(self, key: str) -> bool:
        return key in [pair[0] for pair in self.pairs]

    def clear(self) -> None:
        self.pairs, self.hits, self.misses = [], 0, 0

    def resize(self, max_size: int) -> None:
        self.max_size = max_size
        while len(self.pairs) > max_size:
            self.pairs.pop(0)


KEYS = st.sampled_from("abcd")
SIZES = st.sampled_from([2, 3, 2, 1, 0])
GET, PUT = st.tuples(st.just("get"), KEYS), st.tuples(st.just("put"), KEYS, st.integers())
RARE = st.one_of(
    st.tuples(st.just("remove"), KEYS),
    st.tuples(st.just("contains"), KEYS),
    st.tuples(st.just("resize"), SIZES),
    st.tuples(st.just("clear")),
)
CALLS = st.lists(st.one_of(GET, PUT, GET, PUT, GET, PUT, RARE), min_size=10, max_size=60)


@settings(max_examples=300)
@given(SIZES, CALLS)
def test_it_keeps_what_was_used_last(max_size: int, calls: list[tuple[Any, ...]]) -> None:
    """Each call gives what the list gives; what is kept, how much, and the counts are the same after it."""
    cache, naive = LRUCache(max_size), Naive(max_size)
    for name, *arguments in calls:
        assert getattr(cache, name)(*arguments) == getattr(naive, name)(*arguments)
        asked = naive.hits + naive.misses
        assert cache.stats == {
            "size": len(naive.pairs),
            "max_size": naive.max_size,
            "hits": naive.hits,
            "misses": naive.misses,
            "hit_rate": naive.hits / asked if asked else 0.0,
        }
        assert len(cache) == cache.size == len(naive.pairs) <= naive.max_size
        assert {key for key in "abcd" if cache.contains(key)} == {key for key, _ in naive.pairs}


def test_a_size_below_nothing_is_refused() -> None:
    cache = LRUCache(2)
    cache.put("a", 1)
    for call in (LRUCache, cache.resize):
        with pytest.raises(InvalidInputError, match="0 values or more, not -1"):
            call(-1)
    assert cache.stats["max_size"] == 2
    assert cache.get("a") == 1


@pytest.mark.parametrize("wrong", [None, "3", 1.5, [1]])
def test_a_size_that_is_no_number_is_refused(wrong: Any) -> None:
    cache = LRUCache(2)
    cache.put("a", 1)
    for call in (LRUCache, cache.resize):
        with pytest.raises(InvalidInputError, match="a cache keeps a number of values, not"):
            call(wrong)
    assert cache.get("a") == 1
