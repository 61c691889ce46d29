"""Waiting for the disk in several threads at once."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def side_by_side(do: Callable[[T], None], items: Sequence[T], threads: int) -> None:
    """Do something with each item, in their order, so many at a time; return when all of it is done.

    After one has failed no more are begun, and its error is raised. This thread does its part: where the
    system gives no others (it is at its limit, or the interpreter ends), it does everything.
    """
    pending = deque(items)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while not failures:
                try:
                    item = pending.popleft()
                except IndexError:
                    return
                do(item)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            failures.append(error)

    helpers: list[threading.Thread] = []
    try:
        for _ in range(min(threads, len(items)) - 1):
            helper = threading.Thread(target=work, name="chainfold-side-by-side")
            try:
                helper.start()
            except RuntimeError:
                break
            helpers.append(helper)
        work()
        for helper in helpers:
            helper.join()
    except BaseException:
        pending.clear()  # an interrupt: nobody waits for the rest
        raise
    if failures:
        raise failures[0]
