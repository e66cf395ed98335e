"""Runs a function over many items in worker processes, with progress. No worker outlives its parent."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import TypeVar

from sslmed.core.errors import UserError
from sslmed.core.machine import usable_cores
from sslmed.core.memory import keep_freed_memory
from sslmed.core.progress import progress
from sslmed.core.shared_memory import lack_of_shared_memory, shorten_sockets

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], *, description: str, jobs: int | None = None
) -> list[Result]:
    """Call `function` on each item, and return the results in the order of the items.

    Where processes cannot share memory, threads do the work.

    Args:
        function: A function at module level, or a `functools.partial` of one.
        items: Its arguments.
        description: Text of the progress bar, e.g. `"preparing"`.
        jobs: Number of worker processes, the usable cores by default; with 1, this process does the work.

    Raises:
        UserError: If `jobs` is below 1, memory ran out, or a worker was killed.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs must be at least 1, not {jobs}")
    if not items:
        return []
    try:
        if jobs == 1:
            return _run_here(function, items, description)
        return _run_in_pool(function, items, description, usable_cores() if jobs is None else jobs)
    except (BrokenProcessPool, MemoryError, RuntimeError) as error:
        if not (isinstance(error, BrokenProcessPool | MemoryError) or "allocate memory" in str(error)):
            raise
        raise UserError(
            f"{description}: memory ran out, or a worker process was killed; what is finished is kept: free memory or "
            "use fewer jobs, and run the same command again"
        ) from error


def _run_here(function: Callable[[Item], Result], items: Sequence[Item], description: str) -> list[Result]:
    results = []
    with progress(description, len(items)) as advance:
        for item in items:
            results.append(function(item))
            advance()
    return results


def _run_in_pool(
    function: Callable[[Item], Result], items: Sequence[Item], description: str, jobs: int
) -> list[Result]:
    executor = _executor(min(jobs, len(items)), description)
    try:
        futures = [executor.submit(function, item) for item in items]
        with progress(description, len(items)) as advance:
            for future in as_completed(futures):
                future.result()
                advance()
    finally:
        executor.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _executor(n_workers: int, description: str) -> Executor:
    lack = lack_of_shared_memory()
    if lack is not None:
        print(f"{description}: works in threads, more slowly, because {lack}", file=sys.stderr)
        return ThreadPoolExecutor(n_workers)
    shorten_sockets()
    return ProcessPoolExecutor(n_workers, mp_context=_context(), initializer=_start_worker)


def _context() -> BaseContext:
    """Fork workers from a server that has imported the slow library once; else start new processes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])
    return context


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_die_with_parent, daemon=True).start()
    keep_freed_memory()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
