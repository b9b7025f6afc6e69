"""Stacks: 48 IDCAEs that train as one, against two worker processes; on a GPU against one after another."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context

import torch

from auscult.features.bank import Bank
from auscult.models import IDCAE
from auscult.models.stacking import fit_stack
from auscult.runs.stacks import MOST_MEMBERS
from auscult.training import Training
from benchmarks.timing import side_by_side
from benchmarks.training import noise_bank

GRID = list(product(range(4), (0.9, 0.75, 0.5), (0.0, 2.5, 5.0, 10.0)))
"""Seed, alpha and constant of 48 members."""

SETTINGS = Training(epochs=4, decay=0.95)
THREADS = 2


def figures(device: str = "cpu") -> dict[str, float]:
    if device == "cpu":
        return {"idcae_stacked_vs_workers": stacked_vs_workers()}
    return {"idcae_stacked_vs_single": stacked_vs_single(device)}


def fit(bank: Bank, points: list[tuple[int, float, float]], device: str, *, most: int) -> None:
    """Train the members at some points of the grid, in stacks of at most so many; 1 is each by itself."""
    for first in range(0, len(points), most):
        some = points[first : first + most]
        models = [IDCAE(alpha=alpha, target=target, windows_per_clip=100) for _, alpha, target in some]
        trainings = [replace(SETTINGS, seed=seed, device=device) for seed, _, _ in some]
        names = [str(point) for point in some]
        if most > 1:
            fit_stack(models, bank, trainings=trainings, members=names)
        else:
            models[0].fit(bank, training=trainings[0], member=names[0])


def stacked_vs_workers() -> float:
    """Wall time of two processes with one thread each, over that of stacks on two threads of one process."""
    bank = noise_bank()
    with (
        ProcessPoolExecutor(THREADS, mp_context=get_context("spawn"), initializer=_one_thread) as processes,
        ThreadPoolExecutor(THREADS, initializer=_one_thread) as threads,
    ):

        def stacks(thread: int) -> None:
            fit(bank, GRID[thread::THREADS], "cpu", most=MOST_MEMBERS["cpu"])

        return side_by_side(
            lambda: list(processes.map(_share, range(THREADS))),
            lambda: list(threads.map(stacks, range(THREADS))),
            repeats=3,
        )


def stacked_vs_single(device: str) -> float:
    """Time of one training after another, over that of stacks; both of all 48 members."""
    bank = noise_bank()
    return side_by_side(
        lambda: fit(bank, GRID, device, most=1),
        lambda: fit(bank, GRID, device, most=MOST_MEMBERS[torch.device(device).type]),
        repeats=3,
    )


def _one_thread() -> None:
    torch.set_num_threads(1)


def _share(worker: int) -> None:
    """Train every second member, in a worker process."""
    fit(noise_bank(), GRID[worker::THREADS], "cpu", most=1)
