"""Executors: the same bits from any number of processes; a failure takes its branch alone; nothing outlives its run."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import auscult.processes
from auscult.datasets import load_clips
from auscult.errors import RunError
from auscult.processes import default_workers
from auscult.recipe import Recipe, parse_recipe
from auscult.report.run import write_pages
from auscult.runs import run as runs
from auscult.runs.executors import (
    Executor,
    Failure,
    LocalExecutor,
    is_little,
    urgency,
)
from auscult.runs.jobs import DONE, is_finished, needs, steps_of
from auscult.runs.plan import Plan, make_plan
from auscult.runs.results import read_results
from auscult.runs.store import Store

run = partial(runs.run, pages=write_pages)  # as the command does

RECIPE = """
name = "small"
[training]
epochs = 2
[[member]]
name = "ae"
family = "autoencoder"
features = { n_mels = 24 }
model = { context = 3, hidden = [8], n_latent = 2 }
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 24 }
"""

DENOISED = """
[denoiser]
epochs = 1
steps = 1
batch_size = 2
seconds = 0.3
fixed = 4
[[member]]
name = "soft"
family = "spectral"
denoise_level = 5
features = { n_mels = 24 }
"""

LONG = RECIPE.replace("epochs = 2", "epochs = 1000000")

EXECUTORS: dict[str, Executor] = {"serial": LocalExecutor(), "local": LocalExecutor(2)}

processes = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not list processes")


class Trap:
    """Arguments of a model that spring when they are used."""

    def __init__(self, what: str, marker: Path, arguments: dict[str, Any]) -> None:
        self.what, self.marker, self.arguments = what, marker, arguments

    def keys(self) -> Any:
        first = not self.marker.exists()
        with self.marker.open("a") as file:
            file.write("x")
        if self.what == "kill" or (self.what == "kill once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "memory":
            raise MemoryError
        if self.what == "bug":
            raise ZeroDivisionError("nothing by nothing")
        return self.arguments.keys()

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]


def small(text: str = RECIPE) -> Recipe:
    return parse_recipe(text, "test.toml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(factory: Path, store: Store) -> Plan:
    return make_plan(small(), load_clips(factory), store, device="cpu")


def jobs_of(plan: Plan, traps: dict[str, str] | None = None, markers: Path = Path()) -> list[Any]:
    """All jobs, some of the members with a trap."""
    jobs: list[Any] = [*plan.denoisers, *plan.banks, *plan.members]
    for index, job in enumerate(jobs):
        if what := (traps or {}).get(job.label):
            jobs[index] = replace(job, arguments=Trap(what, markers / job.label, job.arguments))
    return jobs


def silent(*_: Any) -> None:
    """Nobody looks."""


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("what is finished is not done again")


def children(pid: int) -> set[int]:
    """The processes that a process started, and theirs."""
    found: set[int] = set()
    for path in Path("/proc", str(pid), "task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found |= {child, *children(child)}
    return found


def alive(pid: int) -> bool:
    try:
        return ") Z" not in Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False


def until(happens: Callable[[], Any], seconds: float = 180) -> Any:
    """What a function gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


# Which job when


class Recorder:
    """Notes the last word on each job, and that it comes after those on the jobs that it needs."""

    def __init__(self, jobs: list[Any]) -> None:
        self.jobs = {job.label: job for job in jobs}
        self.began: list[str] = []
        self.words: dict[str, str] = {}

    def __call__(self, label: str, done: int, total: int, text: str) -> None:
        job = self.jobs[label]
        assert total == steps_of(job)
        assert 0 <= done <= total
        assert label not in self.words, "nothing comes after the last word"
        if text in ("done", "failed", "not run"):
            self.words[label] = text
        elif label not in self.began:
            self.began.append(label)
            assert all(self.words[need.label] == DONE for need in needs(job))


def test_every_job_is_done_once_after_those_that_it_needs_and_its_bits_are_those_of_one_process(
    factory: Path, tmp_path: Path, contents: Callable[..., dict[str, str]]
) -> None:
    for name, executor in EXECUTORS.items():
        store = Store(tmp_path / name)
        plan = make_plan(small(), load_clips(factory), store, device="cpu")
        jobs = jobs_of(plan)[::-1]  # in whatever order they are given
        first, again = Recorder(jobs), Recorder(jobs)
        assert executor.run(jobs, store, first) == []
        assert sorted(first.began) == sorted(first.words) == sorted(job.label for job in jobs)
        assert set(first.words.values()) == {DONE}
        assert all(is_finished(job, store) for job in jobs)
        assert executor.run(jobs, store, again) == []
        assert again.began == []
        assert again.words == first.words
    for kind in ("bank", "model", "scores"):
        made = contents(tmp_path / "serial", f"{kind}/**/*")
        assert made
        assert contents(tmp_path / "local", f"{kind}/**/*") == made


def test_what_takes_less_than_the_start_of_a_process_starts_none(
    factory: Path, plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless somebody asks for workers."""
    alone = small('name = "alone"\n[[member]]\nname = "gauss"\nfamily = "spectral"\nfeatures = { n_mels = 24 }\n')
    jobs = jobs_of(make_plan(alone, load_clips(factory), store, device="cpu"))
    assert not is_little(jobs_of(plan)), "what learns in epochs is shared"
    monkeypatch.setattr("auscult.runs.executors.FEW_CLIPS", 1)
    assert not is_little(jobs)
    monkeypatch.setattr("auscult.runs.executors.FEW_CLIPS", 400)
    monkeypatch.setattr("auscult.runs.executors.default_workers", lambda device: 2)
    monkeypatch.setattr(auscult.processes, "_Worker", never)
    assert LocalExecutor(None).run(jobs, store, silent) == []


def test_what_is_finished_is_sent_to_no_worker(plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalExecutor().run(jobs_of(plan), store, silent)
    monkeypatch.setattr(auscult.processes, "_Worker", never)
    assert LocalExecutor(2).run(jobs_of(plan), store, silent) == []


def test_the_longest_job_of_a_kind_begins_first(factory: Path, store: Store) -> None:
    more = '[[member]]\nname = "long"\nfamily = "autoencoder"\ntraining = { epochs = 9 }\nfeatures = { n_mels = 24 }\n'
    plan = make_plan(small(RECIPE + more), load_clips(factory, machine_types=["fan"]), store, device="cpu")
    labels = [job.label for job in sorted(jobs_of(plan), key=urgency)]
    assert labels[-3:] == ["fan long", "fan ae", "fan gauss"]
    sizes = [len(job.clips) for job in sorted(plan.banks, key=urgency)]
    assert sizes == sorted(sizes, reverse=True)


# What fails


REASONS = {
    "bug": r"ZeroDivisionError: nothing by nothing \(.*test_executors\.py, line \d+\)",
    "memory": r"there is not enough memory; start fewer workers",
    "kill": r"its process died twice, perhaps because memory ran out; start fewer workers",
}


@pytest.mark.parametrize(
    ("name", "traps"),
    [
        ("serial", {"fan ae": "bug", "valve gauss": "memory"}),
        ("local", {"fan ae": "bug", "fan gauss": "kill", "valve ae": "kill once"}),
    ],
)
def test_jobs_that_fail_and_workers_that_are_killed_do_not_disturb_the_others(
    plan: Plan, store: Store, tmp_path: Path, name: str, traps: dict[str, str]
) -> None:
    jobs = jobs_of(plan, traps, tmp_path)
    recorder = Recorder(jobs)
    failures = EXECUTORS[name].run(jobs, store, recorder)
    lost = {label: what for label, what in traps.items() if what in REASONS}
    assert {(failure.kind, failure.label) for failure in failures} == {("failed", label) for label in lost}
    for failure in failures:
        assert re.fullmatch(REASONS[lost[failure.label]], failure.reason)
    assert {job.label for job in jobs if not is_finished(job, store)} == set(lost)
    assert {label for label, word in recorder.words.items() if word == "failed"} == set(lost)
    for label, what in traps.items():
        assert len((tmp_path / label).read_text()) == (2 if what.startswith("kill") else 1), "tried twice at most"


def damaged(factory: Path, to: Path) -> Path:
    """A copy of a factory, and one clip of fans cut off."""
    import shutil

    shutil.copytree(factory, to)
    clip = next(to.glob("dev_data/fan/train/*.wav"))
    clip.write_bytes(clip.read_bytes()[:1000])
    return clip


def test_a_run_completes_without_the_branch_that_failed(factory: Path, tmp_path: Path) -> None:
    clip = damaged(factory, tmp_path / "data")
    done = run(small(), data=tmp_path / "data", out=tmp_path / "run")
    first, *others = done.failures
    assert (first.kind, first.label.split(":")[0]) == ("failed", "fan development train")
    assert str(clip) in first.reason
    assert {str(failure) for failure in others} == {
        f"not run: fan ae: needs {first.label}",
        f"not run: fan gauss: needs {first.label}",
    }
    assert {row.machine_type for row in read_results(done.folder).development} == {"valve"}
    assert {row.system for row in read_results(done.folder).development} == {"ae", "gauss", "ensemble"}
    report = (done.folder / "report.html").read_text()
    assert "3 jobs are not finished" in report, "a reader must know"
    assert ">fan gauss</th>" in report
    clip.unlink()
    assert run(small(), data=tmp_path / "data", out=tmp_path / "run").failures == [], "mended, the same run goes on"


def test_a_denoiser_that_fails_takes_only_what_hears_through_it(factory: Path, tmp_path: Path) -> None:
    for index in range(4):
        soundfile.write(tmp_path / f"{index}.wav", np.zeros(8000), 16000)
    done = run(small(RECIPE + DENOISED), data=factory, out=tmp_path / "run", clean=tmp_path, machine_types=["fan"])
    assert [failure.kind for failure in done.failures] == ["failed"] + ["not run"] * (len(done.failures) - 1)
    assert done.failures[0].label == "fan denoiser"
    assert Failure("not run", "fan soft", f"needs {done.failures[1].label}") in done.failures
    assert {row.system for row in read_results(done.folder).development} == {"ae", "gauss", "ensemble"}
    assert done.plan.denoisers == ()


def test_the_command_lists_what_failed_and_exits_with_3(
    factory: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    clip = damaged(factory, tmp_path / "data")
    (tmp_path / "small.toml").write_text(RECIPE)
    words = ("run", tmp_path / "small.toml", "--data", tmp_path / "data", "--device", "cpu", "--out")
    outcome = command(*words, tmp_path / "run")
    assert outcome.code == 3
    (line,) = outcome.failures
    assert str(clip) in line
    assert "valve" in outcome.out
    assert f"report: {tmp_path / 'run' / 'report.html'}" in outcome.out
    last = outcome.err.splitlines()[-1]
    assert last == "3 jobs were not done; what was finished is kept, and the same command tries the rest again"
    alone = command(*words, tmp_path / "fan", "--machine-type", "fan")
    assert (alone.code, alone.out) == (3, ""), "nothing was finished"
    assert not (tmp_path / "fan" / "report.html").exists()


def test_fewer_than_one_worker_are_refused(factory: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="0 workers can do nothing; give at least 1"):
        run(small(), data=factory, out=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


# Processes


def test_by_default_there_are_as_many_workers_as_processors_for_this_process() -> None:
    assert default_workers("cuda:0") == 1
    if not hasattr(os, "sched_setaffinity"):
        assert default_workers("cpu") >= 1
        return
    code = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]);"
        "from auscult.processes import default_workers; print(default_workers('cpu'))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "1\n"


@pytest.fixture
def start(factory: Path, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `auscult run` with two workers in a process of its own, in `tmp_path / "run"`."""
    started: list[subprocess.Popen[str]] = []

    def begin(text: str, *more: object) -> "subprocess.Popen[str]":
        (tmp_path / "recipe.toml").write_text(text)
        words = ["run", tmp_path / "recipe.toml", "--data", factory, "--out", tmp_path / "run", "--device", "cpu"]
        words += ["--workers", 2, *more]
        command = [sys.executable, "-m", "auscult", *map(str, words)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_nothing_but_what_was_done_stands_on_standard_error(start: Callable[..., Any]) -> None:
    """No warning of the pool, no complaint about what it left."""
    process = start(RECIPE, "--machine-type", "fan")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert len(errors.splitlines()) == 6
    assert all(re.fullmatch(r"(features|members) \d/\d: fan .*: done", line) for line in errors.splitlines())


@processes
def test_a_folder_is_taken_until_its_run_is_killed_and_the_workers_end_with_it(
    start: Callable[..., Any], factory: Path, tmp_path: Path
) -> None:
    process = start(LONG)
    until(lambda: len(list(tmp_path.glob("run/store/unfinished/model-*"))) == 2)
    workers = children(process.pid)
    assert len(workers) >= 2
    with pytest.raises(RunError, match=r"another run is at work in .*run; wait for its end, or give another --out"):
        run(small(LONG), data=factory, out=tmp_path / "run")
    assert process.poll() is None
    process.kill()
    process.wait()
    until(lambda: not any(alive(pid) for pid in workers), seconds=10)
    with pytest.raises(KeyboardInterrupt):
        run(small(LONG), data=factory, out=tmp_path / "run", on_progress=interrupt)
    assert "Traceback" not in process.communicate()[1]


def interrupt(label: str, done: int, total: int, text: str) -> None:
    if text.startswith("loss"):
        raise KeyboardInterrupt


# Killed again and again


def many(members: int) -> str:
    """A recipe of members that take about half a second each, one of them denoised."""
    text = "".join(
        f'[[member]]\nname = "ae-{n}"\nfamily = "autoencoder"\nfeatures = {{ n_mels = 24 }}\n'
        f"model = {{ context = 3, hidden = [32], n_latent = {n + 1} }}\n"
        for n in range(members)
    )
    return f'name = "many"\n[training]\nepochs = 80\nbatch_size = 64\n{DENOISED}{text}'


@processes
@pytest.mark.slow
def test_a_run_killed_ten_times_ends_like_an_undisturbed_one_and_makes_nothing_twice(
    start: Callable[..., Any], factory: Path, tmp_path: Path, contents: Callable[..., dict[str, str]]
) -> None:
    text, out, store = many(16), tmp_path / "run", tmp_path / "run" / "store"
    runs.run(small(text), data=factory, out=tmp_path / "undisturbed", clean=factory / "clean")

    def begin() -> Any:
        return start(text, "--clean", factory / "clean")

    moments = random.Random(0)
    made: dict[Path, tuple[int, int]] = {}
    for _ in range(10):
        process = begin()
        ends = moments.randint(0, 4)  # of jobs, after which it is killed; without any it is killed as it begins
        for _ in range(ends):
            process.stderr.readline()
        time.sleep(moments.uniform(0, 0.4 if ends else 4))
        workers = children(process.pid)
        assert process.poll() is None, "there is work for ten kills"
        process.kill()
        process.wait()
        until(lambda workers=workers: not any(alive(pid) for pid in workers), seconds=10)
        made |= times(store)
        assert made.items() <= times(store).items()
    kinds = {path.relative_to(store).parts[0] for path in made}
    assert kinds == {"denoiser", "bank", "model", "scores"}, "there was something to lose"
    assert begin().wait(300) == 0
    assert made.items() <= times(store).items(), "nothing was made twice"
    for part in ("scores/**/*.csv", "results.json"):
        assert contents(out, part)
        assert contents(out, part) == contents(tmp_path / "undisturbed", part)
    assert not list(store.glob("unfinished/*"))
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]


def times(store: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of change of all files of finished artefacts."""
    kinds = ("denoiser", "bank", "model", "scores")
    files = (path for kind in kinds for path in store.glob(f"{kind}/*/**/*"))
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
