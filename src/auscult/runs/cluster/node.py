"""A job on a node of the cluster: what is checked there before, and how the job tells how it goes."""

import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auscult import __version__
from auscult.errors import AuscultError, RunError
from auscult.files import saving
from auscult.processes import ONE_THREAD
from auscult.runs.executors import LISTEN_SECONDS, REPORT_SECONDS, attempt
from auscult.runs.jobs import Job, OnProgress, is_finished, needs
from auscult.runs.store import Store, environment

SEEN_SECONDS = 90.0
"""Time after which every machine must see what another one wrote; NFS remembers what was not there for up to 60."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run was started, as its nodes must find it, too.

    Attributes:
        store: folder of the artefacts, as an absolute path.
        token: a file in the store by which it is told from another folder of that name.
        home: working directory, in which relative paths begin.
        versions: of all that decides bits.
    """

    store: Path
    token: Path
    home: Path
    versions: dict[str, str]


@contextmanager
def site_of(store: Store) -> Iterator[Site]:
    """This process as the site of a run, and the token while it lasts."""
    folder = store.folder.resolve()
    token = folder / "locks" / f"cluster-{secrets.token_hex(8)}"
    with saving(token):
        token.touch()
    try:
        yield Site(folder, token, Path.cwd(), _versions())
    finally:
        token.unlink(missing_ok=True)


def work(job: Job, site: Site) -> Iterator[tuple[int, int, str] | str | None]:
    """Do a job: the task that Ray runs on a node.

    Yields:
        How it goes: steps done, steps in all, a word. Last, none if it was done, or the reason why it was not.
    """
    os.environ.update(ONE_THREAD)
    news: deque[tuple[int, int, str]] = deque(maxlen=1)
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(_do, job, site, lambda _, *how: news.append(how))
        while not wait([result], timeout=REPORT_SECONDS).done:
            if news:
                yield news.pop()
    reason = result.result()
    yield f"{reason} (on {socket.gethostname()})" if reason else None


def work_once(job: Job, site: Site) -> Iterator[tuple[int, int, str] | str | None]:
    """As `work`, in a process that does one job and ends: one that has begun on a GPU cannot move to another one."""
    yield from work(job, site)


def is_seen(jobs: Sequence[Job], store: Store) -> bool:
    """Whether this machine sees what jobs have made, at the latest after `SEEN_SECONDS`."""
    end = time.monotonic() + SEEN_SECONDS
    while not all(is_finished(job, store) for job in jobs):
        if time.monotonic() > end:
            return False
        time.sleep(LISTEN_SECONDS)
        for folder in filter(Path.is_dir, store.folder.iterdir()):
            deque(folder.iterdir(), maxlen=0)  # listing a folder makes NFS look again
    return True


def _do(job: Job, site: Site, on_progress: OnProgress) -> str | None:
    try:
        _require_alike(site)
        store = Store(site.store)
    except (AuscultError, OSError) as error:
        return str(error)
    if not is_seen(needs(job), store):
        return f"what it needs was done, but is not seen in {site.store}; share the folder among all nodes"
    return attempt(job, store, on_progress)


def _require_alike(site: Site) -> None:
    """Refuse a node that would do something else than the others.

    Raises:
        RunError: if it has other versions, or does not see the store or the run's working directory.
    """
    here = _versions()
    for name, version in site.versions.items():
        if here[name] != version:
            raise RunError(f"{name} is {here[name]} here, and {version} where the run was started; install the same")
    if not site.token.exists():
        raise RunError(f"the store {site.store} is another folder here, or none; share it among all nodes, by one path")
    try:
        os.chdir(site.home)
    except OSError as error:
        raise RunError(f"the working directory {site.home} is not here; start the run from a shared folder") from error


def _versions() -> dict[str, str]:
    return {"auscult": __version__, **environment()}
