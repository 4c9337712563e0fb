"""Several inputs at once, in threads: results in the order of the inputs, a bounded number of them on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    compute: Callable[[Item], Result],
    inputs: Iterable[Item],
    threads: int,
    *,
    at_start: Callable[[], object] = lambda: None,
) -> Iterator[Result]:
    """Yield ``compute(each)`` for each input, with `threads` of them computed at once.

    One thread is the caller's own. With more, one input beyond those being computed is held ready, so that no thread
    waits while the caller works on a result. When the caller stops early, what runs is waited for.

    Parameters
    ----------
    at_start
        Called in every thread before its first input.

    Examples
    --------
    >>> list(in_order(abs, [-1, 2, -3], 2))
    [1, 2, 3]
    """
    if threads == 1:
        at_start()
        yield from map(compute, inputs)
        return
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="engine", initializer=at_start)
    try:
        for each in inputs:
            pending.append(pool.submit(compute, each))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
