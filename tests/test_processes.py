"""The pool: results in order and in bounded memory; whoever dies is replaced, and what it was at is tried once more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auscult.errors import RunError
from auscult.processes import AHEAD, Crew, in_order, tell

ONCE, TWICE = 3, 5
"""Items at which a process dies the first time, and each time."""


def squared(marks: Path, item: int) -> int:
    mark = marks / str(item)
    if item == TWICE or (item == ONCE and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def test_a_process_that_is_killed_is_replaced_and_its_item_tried_once_more(tmp_path: Path) -> None:
    from functools import partial

    found = in_order(partial(squared, tmp_path), range(12), workers=2, died=lambda item: -item)
    assert list(found) == [-item if item == TWICE else item * item for item in range(12)]


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_few_items_are_in_flight_and_nobody_waits_for_what_is_not_wanted() -> None:
    taken = 0

    def endless() -> Iterator[float]:
        nonlocal taken
        while True:
            taken += 1
            yield 0.0 if taken < 2 * AHEAD else 60.0

    results = in_order(slow, endless(), workers=2, died=lambda item: item)
    assert [next(results) for _ in range(5)] == [0.0] * 5
    assert taken <= 5 + 2 * AHEAD
    begun = time.monotonic()
    results.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - begun < 10


def told(word: str) -> str:
    tell(("I say", word))
    return word


def refused(word: str) -> str:
    raise ValueError(word)


def test_tasks_tell_how_they_go_and_what_they_raise_is_raised() -> None:
    with Crew[int](1) as crew:
        assert crew.free == 1
        crew.give(7, told, "yes")
        assert crew.free == 0
        found = []
        while crew.busy:
            found += [(news.task, news.kind, news.content) for news in crew.listen(seconds=60)]
        assert found == [(7, "told", ("I say", "yes")), (7, "done", "yes")]
        crew.give(8, refused, "no")
        with pytest.raises(ValueError, match="no"):
            while crew.busy:
                crew.listen(seconds=60)


def test_a_task_of_a_class_that_no_module_has_is_done_too() -> None:
    """As those of a script or a notebook."""

    class Own:
        def twice(self, item: int) -> int:
            return 2 * item

    assert list(in_order(Own().twice, [1, 2], workers=1, died=lambda item: item)) == [2, 4]


def test_nobody_cannot_work() -> None:
    with pytest.raises(RunError, match="at least 1"):
        list(in_order(slow, [0.0], workers=0, died=lambda item: item))


SCRIPT = """
from auscult.processes import in_order
if __name__ == "__main__":
    print(list(in_order(abs, [-1, -2, -3], workers=2, died=abs)))
"""


def test_processes_end_without_a_word_where_there_is_no_list_of_processes(tmp_path: Path) -> None:
    """Minimal containers have no `pgrep`, without which loky can kill nobody."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "error::UserWarning", str(tmp_path / "script.py")]
    environment = os.environ | {"PATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1, 2, 3]\n", "")
