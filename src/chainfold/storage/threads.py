"""Waiting for the disk in several threads at once."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from chainfold.errors import StorageError

T = TypeVar("T")


def side_by_side(do: Callable[[T], None], items: Sequence[T], threads: int) -> None:
    """Do something with each item, in their order, so many at a time; return when all of it is done.

    After one has failed no more are begun. This thread does its part: where the system gives no others (it is
    at its limit, or the interpreter ends), it does everything. Nothing is under way any more when this
    returns or raises, whatever comes: what fails after an interrupt would be told to nobody.

    Raises:
        Exception: The error of one that failed: one of the system's, if there is any.
        BaseException: An interrupt; its cause is such an error, if there is one.
    """
    pending = deque(items)
    failures: list[BaseException] = []

    def work(ended: threading.Event | None = None) -> None:
        try:
            while not failures:
                try:
                    item = pending.popleft()
                except IndexError:
                    return
                do(item)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            failures.append(error)
        finally:
            if ended is not None:
                ended.set()

    helpers: list[tuple[threading.Thread, threading.Event]] = []
    try:
        for _ in range(min(threads, len(items)) - 1):
            ended = threading.Event()
            helper = threading.Thread(target=work, args=(ended,), name="chainfold-side-by-side")
            helpers.append((helper, ended))
            try:
                helper.start()
            except RuntimeError:
                break
        work()
    except BaseException as error:  # noqa: BLE001 - as above
        failures.append(error)
    _wait_for(helpers, failures)
    _raise_worst(failures)


def _wait_for(helpers: list[tuple[threading.Thread, threading.Event]], failures: list[BaseException]) -> None:
    """Wait to the end, also after an interrupt; an interrupted `Thread.join` takes the thread for ended."""
    for helper, ended in helpers:
        while helper.ident is not None and not ended.is_set():
            try:
                ended.wait()
            except BaseException as error:  # noqa: BLE001 - an interrupt
                failures.append(error)


def _raise_worst(failures: list[BaseException]) -> None:
    errors = [each for each in failures if isinstance(each, Exception)]
    errors.sort(key=lambda each: not isinstance(each, StorageError))
    interrupts = [each for each in failures if not isinstance(each, Exception)]
    if interrupts:
        raise interrupts[0] from (errors[0] if errors else None)
    if errors:
        raise errors[0]
