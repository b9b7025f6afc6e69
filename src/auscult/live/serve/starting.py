"""How the processes that listen are started: as forks of one that has torch already, where the system can do that."""

import multiprocessing
import os
import sys
import tempfile
import threading
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from auscult.processes import ctrl_c_for_this_process_alone

MODULE = "auscult.live.serve.listener"

SAFE_PATH = "PYTHONSAFEPATH"
"""Where it is set, Python imports nothing from the folder in which the server was started."""

LONGEST_FOLDER = 70
"""Bytes of the temporary folder's name, so that the name of a socket in it has at most 108."""

_starting = threading.Lock()


def context() -> Any:
    """How listeners are started: as forks of a process that has torch already, where the system can do that.

    Libraries of macOS do not bear to be forked.
    """
    fits = len(os.fsencode(tempfile.gettempdir())) <= LONGEST_FOLDER
    if "forkserver" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin" or not fits:
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([MODULE])
    resource_tracker.ensure_running()  # first, as its start would let Ctrl-C through to what is started after it
    with _starting, ctrl_c_for_this_process_alone():
        before = os.environ.get(SAFE_PATH, "")
        os.environ[SAFE_PATH] = "1"
        try:
            forkserver.ensure_running()
        finally:
            os.environ[SAFE_PATH] = before
    return found


def listen(errand: Any, line: Connection) -> None:
    """In the new process: listen to a machine, whose `machines.Errand` it is; the line tells what becomes of it."""
    import_module(MODULE).listen(errand, line)
