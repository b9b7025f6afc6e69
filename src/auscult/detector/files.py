"""Scoring many files: on several processors at once, in order, a bounded number of them in flight."""

import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from auscult.errors import AuscultError, RunError
from auscult.members.part import Scored, Unscored
from auscult.processes import ONE_THREAD, ctrl_c_for_this_process_alone, end_with, single_thread

if TYPE_CHECKING:
    from auscult.detector.scorer import Frames, Scorer

CHUNK = 4
"""Files that a worker is given at once."""

AHEAD = 4
"""Chunks in flight for each worker: they bound the memory, whatever the number of files."""

DIED = "the process that scored it died, perhaps because memory ran out; start fewer workers, or cut the file"

Chunk = list[tuple[Path, str]]
Result = Scored | Unscored
Made = TypeVar("Made")


def score_files(
    scorer: "Scorer", paths: Iterable[Path], machine_ids: Iterable[str], *, workers: int = 1
) -> Iterator[Result]:
    """See `Scorer.score_files`."""
    if workers < 1:
        raise RunError(f"{workers} workers can do nothing; give at least 1")
    files = zip(paths, machine_ids, strict=True)
    chunks = iter(lambda: list(islice(files, CHUNK)), [])
    if scorer.on_gpu:
        return _in_threads(scorer, chunks, workers)
    if workers > 1:
        return _in_processes(scorer, chunks, workers)
    return (one for chunk in chunks for one in _scored(scorer, chunk))


def _attempted(work: Callable[..., Made], *arguments: object) -> Made | Unscored:
    """The result of some work, or the reason why a file has none."""
    try:
        return work(*arguments)
    except (AuscultError, OSError) as error:
        return Unscored(str(error))
    except MemoryError:
        return Unscored("there is not enough memory; start fewer workers, or cut the file")


def _scored(scorer: "Scorer", chunk: Chunk) -> list[Result]:
    """Part by part, so that a network's weights stay in the cache from one file to the next."""
    with single_thread():
        sounds = [_attempted(scorer.frames, path) for path, _ in chunk]
        members: list[dict[str, float] | Unscored] = [one if isinstance(one, Unscored) else {} for one in sounds]
        for part in scorer.parts:
            for place, (frames, (_, machine_id)) in enumerate(zip(sounds, chunk, strict=True)):
                scores = members[place]
                if isinstance(frames, Unscored) or isinstance(scores, Unscored):
                    continue
                score = _attempted(scorer.member_score, part, frames, machine_id)
                if isinstance(score, Unscored):
                    members[place] = score
                else:
                    scores[part.name] = score
        return [one if isinstance(one, Unscored) else scorer.combined(one) for one in members]


def _in_order(
    submit: Callable[[Chunk], "Future[Made]"], chunks: Iterator[Chunk], ahead: int
) -> Iterator[tuple[Chunk, "Future[Made]"]]:
    """Each chunk with what becomes of it, in order, while up to `ahead` of them are in flight."""
    pending: deque[tuple[Chunk, Future[Made]]] = deque()
    for chunk in chunks:
        pending.append((chunk, submit(chunk)))
        if len(pending) >= ahead:
            yield pending.popleft()
    yield from pending


def _in_threads(scorer: "Scorer", chunks: Iterator[Chunk], workers: int) -> Iterator[Result]:
    def prepared(chunk: Chunk) -> "list[Frames | Unscored]":
        return [_attempted(scorer.frames, path) for path, _ in chunk]

    pool = ThreadPoolExecutor(workers)
    try:
        for chunk, future in _in_order(lambda chunk: pool.submit(prepared, chunk), chunks, AHEAD * workers):
            for (_, machine_id), frames in zip(chunk, future.result(), strict=True):
                if isinstance(frames, Unscored):
                    yield frames
                else:
                    yield _attempted(scorer.score_frames, frames, machine_id)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_processes(scorer: "Scorer", chunks: Iterator[Chunk], workers: int) -> Iterator[Result]:
    with _ScoringCrew(scorer, workers) as crew:
        for chunk, future in _in_order(crew.submit, chunks, AHEAD * workers):
            yield from crew.results(chunk, future)


class _ScoringCrew:
    """Processes that have the system and score chunks of files; where one dies, all are replaced."""

    def __init__(self, scorer: "Scorer", workers: int) -> None:
        self._scorer, self._workers = scorer, workers

    def __enter__(self) -> Self:
        self._hire()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._line.close()  # in the middle of their work, too
        self._dismiss(idle=kind is None)

    def submit(self, chunk: Chunk) -> "Future[list[Result]]":
        """Start scoring some files."""
        try:
            return self._submit(chunk)
        except BrokenExecutor:  # an earlier chunk broke it
            self._dismiss()
            self._hire()
            return self._submit(chunk)

    def results(self, chunk: Chunk, future: "Future[list[Result]]") -> list[Result]:
        """What became of them; where a process died, each file is tried once more, on its own."""
        try:
            return future.result()
        except BrokenExecutor:
            return [self._alone(file) for file in chunk]

    def _alone(self, file: tuple[Path, str]) -> Result:
        try:
            return self.submit([file]).result()[0]
        except BrokenExecutor:
            return Unscored(f"{file[0]}: {DIED}")

    def _submit(self, chunk: Chunk) -> "Future[list[Result]]":
        with ctrl_c_for_this_process_alone():
            future: Future[list[Result]] = self._pool.submit(_score_here, chunk)
        return future

    def _hire(self) -> None:
        """Start all at once; with the system among the arguments each would wait until the one before had read it."""
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.backend import get_context, reduction

        parcel = bytes(reduction.dumps(self._scorer))  # also of classes that a script or a notebook defines
        self._line, self._far_end = Pipe()
        self._incoming, outgoing = Pipe(duplex=False)
        turn = get_context("loky").Lock()
        self._pool: Any = ProcessPoolExecutor(
            self._workers, initializer=_join, initargs=(self._incoming, turn, self._far_end), env=ONE_THREAD
        )
        threading.Thread(target=_deliver, args=(parcel, outgoing), daemon=True).start()

    def _dismiss(self, *, idle: bool = False) -> None:
        """Wait until they have ended; idle ones need not tidy up."""
        self._pool.shutdown(wait=True, kill_workers=idle and _can_kill())
        for connection in (self._incoming, self._line, self._far_end):
            connection.close()


def _can_kill() -> bool:
    """Whether the pool finds what it needs to end processes at once; minimal containers lack it."""
    return sys.platform == "win32" or find_spec("psutil") is not None or which("pgrep") is not None


def _deliver(parcel: bytes, outgoing: Connection) -> None:
    """Send copies until nobody is left to take one: the pool may replace a worker that has grown."""
    with suppress(OSError), outgoing:
        while True:
            outgoing.send_bytes(parcel)


# In a worker


@dataclass
class _Here:
    """The system, once this process is a worker: as it came, and from its first files on as it scores."""

    parcel: bytes = b""
    scorer: "Scorer | None" = None


_here = _Here()


def _join(incoming: Connection, turn: AbstractContextManager[Any], line: Connection) -> None:
    """Become a worker: take a copy of the system when it is this one's turn."""
    end_with(line, grace=0)  # there is nothing to tidy up
    with turn:
        _here.parcel = incoming.recv_bytes()


def _score_here(chunk: Chunk) -> list[Result]:
    if _here.scorer is None:  # here, so that whoever asked hears of it if this process cannot read the system
        _here.scorer = cast("Scorer", pickle.loads(_here.parcel))
        _here.parcel = b""
    return _scored(_here.scorer, chunk)
