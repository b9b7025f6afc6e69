"""Processes: one thread in each, so that bits repeat; and no worker outlives the process that started it."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Environment of a worker."""

GRACE_SECONDS = 2.0
"""Time that a job at work has to clean up when its run has ended."""


@contextmanager
def single_thread() -> Iterator[None]:
    """One thread for torch, BLAS and OpenMP while it lasts."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def ctrl_c_for_this_process_alone() -> Iterator[None]:
    """A process that is started meanwhile does not see Ctrl-C: it ends with its run, without a word."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(connection: "Connection", *, grace: float = GRACE_SECONDS) -> None:
    """End this process soon after the other end of a connection, on which nothing is ever said, has gone.

    Args:
        connection: from the process without which this one is of no use.
        grace: seconds for what is at work to clean up.
    """
    threading.Thread(target=_end_at_hang_up, args=(connection, grace), daemon=True).start()


def _end_at_hang_up(connection: "Connection", grace: float) -> None:
    """Nothing is ever said on this line but that it breaks: the run has ended, or was killed."""
    with suppress(EOFError, OSError):
        connection.recv()
    if grace > 0:
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(grace)
    os._exit(1)
