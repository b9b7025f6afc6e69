"""A Ray cluster: the same bits as on one machine, whatever dies on the way; nothing outlives its run."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import auscult.runs.cluster.executor
import auscult.runs.cluster.node
from auscult.datasets import load_clips
from auscult.errors import RunError
from auscult.report.run import write_pages
from auscult.runs.cluster import RayExecutor, cluster_device, connected
from auscult.runs.cluster.executor import TRIES, resources_of
from auscult.runs.cluster.node import Site, site_of, work
from auscult.runs.executors import LocalExecutor
from auscult.runs.jobs import is_finished
from auscult.runs.plan import Plan, make_plan
from auscult.runs.run import run
from auscult.runs.store import Store
from test_executors import LONG, Recorder, Trap, alive, interrupt, jobs_of, processes, silent, small, until

MANY = "".join(
    f'[[member]]\nname = "ae-{n}"\nfamily = "autoencoder"\nfeatures = {{ n_mels = 24 }}\n'
    f"model = {{ context = 3, hidden = [32], n_latent = {n + 1} }}\n"
    for n in range(6)
)
MANY = f'name = "many"\n[training]\nepochs = 80\nbatch_size = 64\n{MANY}'
"""Members that take about half a second each."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plan(factory: Path, store: Store) -> Plan:
    return make_plan(small(), load_clips(factory), store, device="cpu")


# Without a cluster


def test_without_ray_the_error_says_how_to_install_it(
    plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"Ray is not installed; install it with: pip install 'auscult\[cluster\]'"):
        RayExecutor().run(jobs_of(plan), store, silent)


def test_what_is_finished_needs_no_cluster(plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalExecutor().run(jobs_of(plan), store, silent)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert RayExecutor().run(jobs_of(plan), store, silent) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("here", r"'here' is no address of a Ray cluster; give auto, or HOST:PORT of its head"),
        ("ray://localhost:10001", r"is no address of a Ray cluster; give auto, or HOST:PORT of its head"),
        ("localhost:{}", r"no Ray cluster answers at localhost:\d+: .*refused; start one with `ray start --head`"),
    ],
)
def test_an_address_at_which_nobody_answers_is_refused_at_once(address: str, message: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        started = time.monotonic()
        with pytest.raises(RunError, match=message), connected(address.format(free.getsockname()[1])):
            pass
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("gpus", [0.0, -0.5, 1.5, float("nan")])
def test_a_job_gets_a_part_of_one_gpu(gpus: float) -> None:
    with pytest.raises(RunError, match=r"GPUs for a job; give more than 0 and at most 1"):
        RayExecutor(gpus_per_job=gpus)
    with pytest.raises(RunError, match="0 workers can do nothing; give at least 1"):
        RayExecutor(workers=0)


def test_only_jobs_that_compute_on_a_gpu_ask_for_one(factory: Path, store: Store) -> None:
    plan = make_plan(small(), load_clips(factory), store, device="cuda")
    bank, member = plan.banks[0], plan.members[0]
    assert resources_of(member, 0.25) == {"num_cpus": 1, "num_gpus": 0.25}
    assert resources_of(bank, 0.25) == {"num_cpus": 1}
    assert resources_of(replace(bank, features={**bank.features, "device": "cuda"}), 0.5)["num_gpus"] == 0.5
    on_the_cpu = replace(member, training=replace(member.training, device="cpu"))
    assert resources_of(on_the_cpu, 0.25) == {"num_cpus": 1}


def test_options_of_a_cluster_are_refused_without_one(
    factory: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    outcome = command("run", "quick", "--data", factory, "--out", tmp_path / "run", "--gpus-per-job", 0.5)
    assert outcome.code == 2
    assert outcome.error == "--gpus-per-job is for jobs on a cluster: give --cluster, or --workers instead"


def reason(job: Any, site: Site) -> Any:
    *_, last = work(job, site)
    return last


def test_a_node_that_is_not_like_the_others_does_nothing(
    plan: Plan, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(auscult.runs.cluster.node, "SEEN_SECONDS", 0.2)
    with site_of(store) as site:
        older = replace(site, versions={**site.versions, "torch": "1.0"})
        assert re.match(r"torch is .* here, and 1\.0 where the run was started; install the same \(on ", reason(
            plan.banks[0], older
        ))  # fmt: skip
        elsewhere = Store(tmp_path / "other").folder
        lost = replace(site, store=elsewhere, token=elsewhere / "locks" / site.token.name)
        assert f"the store {elsewhere} is another folder here, or none" in reason(plan.banks[0], lost)
        assert not list(elsewhere.glob("bank/*"))
        assert "is not here" in reason(plan.banks[0], replace(site, home=tmp_path / "nowhere"))
        assert "what it needs was done, but is not seen" in reason(plan.members[0], site)
        assert reason(plan.banks[0], site) is None
    assert is_finished(plan.banks[0], store)
    assert not site.token.exists()


# Two nodes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a node of one processor each, on this machine; the head also says that it has a GPU."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'auscult[cluster]'")
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the paths of its sockets must be short
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", path)
        patch.delenv("RAY_ADDRESS", raising=False)
        from ray.cluster_utils import Cluster

        head = {"num_gpus": 1, "include_dashboard": False, **NODE}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(**NODE)
        yield nodes
        nodes.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture
def begin(factory: Path, tmp_path: Path, cluster: Any) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `auscult run` on the cluster in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str, out: Path) -> "subprocess.Popen[str]":
        (tmp_path / "recipe.toml").write_text(text)
        words = ["run", tmp_path / "recipe.toml", "--data", factory, "--out", out, "--device", "cpu"]
        command = [sys.executable, "-m", "auscult", *map(str, words), "--cluster", cluster.address]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tasks_at_work() -> set[int]:
    """The processes of this machine in which Ray does a job for a test."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes()
        except OSError:
            continue
        if title.startswith((b"ray::fan ", b"ray::valve ")):
            found.add(int(path.parent.name))
    return found


@pytest.mark.slow
def test_every_job_is_done_once_after_those_that_it_needs_and_its_bits_are_those_of_local_processes(
    cluster: Any, factory: Path, tmp_path: Path, contents: Callable[..., dict[str, str]]
) -> None:
    for name, executor in {"local": LocalExecutor(2), "ray": RayExecutor(cluster.address)}.items():
        store = Store(tmp_path / name)
        jobs = jobs_of(make_plan(small(), load_clips(factory), store, device="cpu"))[::-1]
        recorder = Recorder(jobs)
        assert executor.run(jobs, store, recorder) == []
        assert sorted(recorder.words) == sorted(job.label for job in jobs)
        assert all(is_finished(job, store) for job in jobs)
    for kind in ("bank", "model", "scores"):
        made = contents(tmp_path / "local", f"{kind}/**/*")
        assert made
        assert contents(tmp_path / "ray", f"{kind}/**/*") == made
    assert not list((tmp_path / "ray" / "locks").glob("cluster-*"))


@pytest.mark.slow
def test_jobs_that_fail_and_tasks_that_are_killed_do_not_disturb_the_others(
    cluster: Any, plan: Plan, store: Store, tmp_path: Path
) -> None:
    traps = {"fan ae": "bug", "fan gauss": "kill", "valve ae": "kill once"}
    jobs = jobs_of(plan, traps, tmp_path)
    failures = RayExecutor(cluster.address).run(jobs, store, Recorder(jobs))
    assert {(failure.kind, failure.label) for failure in failures} == {("failed", "fan ae"), ("failed", "fan gauss")}
    reasons = {failure.label: failure.reason for failure in failures}
    host = re.escape(socket.gethostname())
    assert re.fullmatch(rf"ZeroDivisionError: nothing by nothing \(.*, line \d+\) \(on {host}\)", reasons["fan ae"])
    assert f"died {TRIES} times" in reasons["fan gauss"]
    assert {job.label for job in jobs if not is_finished(job, store)} == set(reasons)
    tried = {label: len((tmp_path / label).read_text()) for label in traps}
    assert tried == {"fan ae": 1, "fan gauss": TRIES, "valve ae": 2}


@pytest.mark.slow
def test_a_run_that_loses_a_node_ends_with_the_bytes_of_a_local_one(
    cluster: Any,
    begin: Callable[..., Any],
    factory: Path,
    tmp_path: Path,
    contents: Callable[..., dict[str, str]],
) -> None:
    doomed = cluster.add_node(**NODE)
    process = begin(MANY, tmp_path / "ray")
    ended = [process.stderr.readline() for _ in range(12)]
    assert all(line.endswith(": done\n") for line in ended)
    until(lambda: len(list(tmp_path.glob("ray/store/unfinished/model-*"))) == 3)  # each node is in a training
    cluster.remove_node(doomed, allow_graceful=False)
    assert process.poll() is None
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "members 12/12" in errors
    assert "raylet" not in out, "what Ray says of its nodes stands on standard error"
    done = run(small(MANY), data=factory, out=tmp_path / "local", pages=write_pages)
    assert done.failures == []
    for part in ("scores/**/*.csv", "results.json", "tables/*", "weights/**/*"):
        assert contents(tmp_path / "local", part)
        assert contents(tmp_path / "ray", part) == contents(tmp_path / "local", part)


@pytest.mark.slow
@processes
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_tasks_end_with_their_run_and_the_same_command_goes_on(
    begin: Callable[..., Any], tmp_path: Path, how: signal.Signals
) -> None:
    process = begin(LONG, tmp_path / "run")
    until(lambda: len(list(tmp_path.glob("run/store/unfinished/model-*"))) == 2)
    tasks = tasks_at_work()
    assert len(tasks) == 2
    process.send_signal(how)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert (out, "Traceback" in errors) == ("", False)
    until(lambda: not any(alive(pid) for pid in tasks), seconds=20)
    again = begin(LONG, tmp_path / "run")
    until(lambda: tasks_at_work() - tasks)
    assert again.poll() is None


class Diary(Trap):
    """Arguments that note which process used them, and with which GPU."""

    def keys(self) -> Any:
        self.marker.write_text(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        return self.arguments.keys()


@pytest.mark.slow
def test_each_job_on_a_gpu_has_a_process_of_its_own(
    cluster: Any, factory: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that computed on one GPU would stay there, although Ray gave its next job another one."""
    monkeypatch.setattr(
        auscult.runs.cluster.executor, "resources_of", lambda job, gpus: {"num_cpus": 0, "num_gpus": gpus}
    )
    plan = make_plan(small(), load_clips(factory, machine_types=["fan"]), store, device="cpu")
    jobs = [
        replace(job, arguments=Diary("", tmp_path / job.label, job.arguments)) if job in plan.members else job
        for job in jobs_of(plan)
    ]
    assert RayExecutor(cluster.address, gpus_per_job=0.5).run(jobs, store, Recorder(jobs)) == []
    notes = [(tmp_path / job.label).read_text().split() for job in plan.members]
    assert len({pid for pid, _ in notes}) == len(plan.members)
    assert {gpu for _, gpu in notes} == {"0"}


@pytest.mark.slow
def test_two_jobs_share_a_gpu_and_ctrl_c_frees_it(
    cluster: Any, factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU is one by name only: the jobs compute on the CPU, and ask as if they did not."""
    import ray

    monkeypatch.setattr(
        auscult.runs.cluster.executor, "resources_of", lambda job, gpus: {"num_cpus": 0, "num_gpus": gpus}
    )
    free: list[float] = []

    def watch(label: str, done: int, total: int, text: str) -> None:
        free.append(ray.available_resources().get("GPU", 0.0))
        if free[-1] < 0.1 and text.startswith("loss"):
            interrupt(label, done, total, text)

    with connected(cluster.address):
        assert cluster_device("auto") == "cuda"
        assert cluster_device("cpu") == "cpu"
        with pytest.raises(RunError, match="device 'cuda:1' cannot be chosen on a cluster"):
            cluster_device("cuda:1")
        executor = RayExecutor(cluster.address, gpus_per_job=0.5)
        with pytest.raises(KeyboardInterrupt):
            run(small(LONG), data=factory, out=tmp_path / "run", executor=executor, on_progress=watch)
        until(lambda: ray.available_resources().get("GPU") == 1.0)
