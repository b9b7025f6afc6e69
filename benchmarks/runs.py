"""Whole runs of 40 small members: what two workers make of two processors, and what a Ray cluster adds to that.

Each run is a command in a process of its own, from its start to its end, report included. The processors' load by
others during the measurement is written beside the figures: with any, they mean little.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auscult.datasets.factory import write_factory
from auscult.runs.store import Store

MEMBERS = 20
"""For each of the two machine types."""

EPOCHS = 240

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def figures() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="runs", dir="/tmp") as name:  # the paths of Ray's sockets must be short
        folder = Path(name)
        data = write_factory(folder / "data", size="tiny", machine_types=["fan", "valve"])
        (folder / "recipe.toml").write_text(recipe())
        local = timed(folder, "local", data, "--workers", "2")
        trained = fit_seconds(folder / "local" / "store")
        with cluster(folder) as address:
            ray = timed(folder, "cluster", data, "--cluster", address)
        return {
            "run_efficiency": trained / (2 * local),
            "run_members_fit_s": trained,
            "run_local_s": local,
            "run_ray_s": ray,
            "ray_vs_local": local / ray,
        }


def recipe(members: int = MEMBERS, epochs: int = EPOCHS) -> str:
    """Auto-encoders that differ in their size by little."""
    text = "".join(
        f'[[member]]\nname = "ae-{n:02d}"\nfamily = "autoencoder"\nfeatures = {{ n_mels = 64 }}\n'
        f"model = {{ context = 5, hidden = [64, 64], n_latent = {n + 1} }}\n"
        for n in range(members)
    )
    return f'name = "many"\n[training]\nepochs = {epochs}\nbatch_size = 64\n{text}'


def timed(folder: Path, out: str, data: Path, *words: str) -> float:
    """Seconds that `auscult run` takes."""
    command = [sys.executable, "-m", "auscult", "run", str(folder / "recipe.toml"), "--data", str(data)]
    command += ["--out", str(folder / out), "--device", "cpu", *words]
    before, started = busy_seconds(), time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    others = (busy_seconds() - before) / seconds
    print(f"{out}: {seconds:.1f} s; {others:.1f} of {os.cpu_count()} processors were busy, this run's included")
    return seconds


def fit_seconds(folder: Path) -> float:
    """What all members of a store took to train, without reading, scoring and saving."""
    store = Store(folder)
    return sum(float(store.noted("model", path.name)["fit_seconds"]) for path in (folder / "model").iterdir())


def busy_seconds() -> float:
    """Processor seconds that this machine has spent since its start, on anything."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text().split()[1:5])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Two Ray nodes of one processor each on this machine; gives their address."""
    os.environ |= {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
    try:
        nodes.add_node(**NODE)
        yield str(nodes.address)
    finally:
        nodes.shutdown()
        shutil.rmtree(folder / "ray", ignore_errors=True)
