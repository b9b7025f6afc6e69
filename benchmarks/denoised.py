"""What denoising does to AUC and pAUC: synthetic factories at three noise levels, and real sliders.

Each is an ordinary run: it trains the denoisers, banks their features, trains HVAE and Spectral on them, and scores.
*Synthetic*: factories of several seeds, each another set of machines, at several signal-to-noise ratios; sliders and
fans are scored, and the other types are a denoiser's noise. *Real*: the sliders of `dcase2020_mini`, whose test set has
two normal and two anomalous clips of each machine, and what an ear would notice in them.

Run `python -m benchmarks.denoised`; it prints tables and writes `benchmarks/results/denoised.json`. `--real-data` names
the folder of real sounds.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from auscult.processes import ONE_THREAD
from benchmarks.denoised_sounds import LEVELS as HEARD
from benchmarks.denoised_sounds import listen, table
from benchmarks.places import DATA, RESULTS, write

SEEDS = (0, 1)
SNR_DB = (-6.0, 0.0, 6.0)
"""Of the factories: a healthy machine's power over that of all else in the hall."""
TYPES = ("slider", "fan")
LEVELS = (0, 5, 10)
SYNTHETIC = {"epochs": 10, "steps": 20, "batch_size": 8, "seconds": 1.0, "fixed": 16, "precision": "bf16"}
REAL = {"epochs": 16, "steps": 30, "batch_size": 12, "seconds": 1.0, "fixed": 32, "precision": "bf16"}
"""Trainings of the denoisers."""
COPIES = 3
"""HVAE members of each level on real sounds, with random numbers of their own."""
WORKERS = 2
MACHINE = ("seed", "machine_type", "machine_id")

Row = dict[str, Any]
"""System, family, level, machine type and id, AUC and pAUC as fractions of 1; and the case's own facts."""

SMALL_HVAE = {"model": {"hidden": [256, 128], "n_latent": 8, "big_precision": True}}
SLIDER_HVAE = {"model": {"hidden": [640, 512, 256], "n_latent": 20, "beta": 2.0}}  # the report's, table 1


def recipe(denoiser: dict[str, Any], hvae: dict[str, Any], *, seed: int, copies: int) -> Any:
    """Spectral and some HVAEs at every level, without an ensemble; a member is named FAMILY-LEVEL-COPY."""
    from auscult.recipe import Recipe

    members = [
        {"name": f"{family}-{level}-{copy}", "family": family, "denoise_level": level, **settings}
        for level in LEVELS
        for family, number, settings in (("spectral", 1, {}), ("hvae", copies, hvae))
        for copy in range(number)
    ]
    return Recipe.model_validate(
        {"name": "denoised", "seed": seed, "ensemble": [], "denoiser": denoiser, "member": members}
    )


def rows_of(finished: Any) -> list[Row]:
    """The figures of a run, and the gain that its denoisers measured of themselves."""
    from auscult.denoising.levels import read_levels
    from auscult.runs.jobs import denoiser_folder

    if finished.failures:
        raise RuntimeError(f"not every job was done: {finished.failures[0].label}: {finished.failures[0].reason}")
    gains = {(job.machine_type, 0): 0.0 for job in finished.plan.denoisers}
    for job in finished.plan.denoisers:
        for one in read_levels(denoiser_folder(finished.store, job)).levels:
            gains[job.machine_type, one.level] = one.gain.si_sdr_db
    rows = []
    for result in (*finished.results.development, *finished.results.evaluation):
        family, level, copy = result.system.split("-")
        facts = {"family": family, "level": int(level), "copy": int(copy), **result.figures}
        machine = {"machine_type": result.machine_type, "machine_id": result.machine_id}
        rows.append({**facts, **machine, "si_sdr_gain_db": gains[result.machine_type, int(level)]})
    return rows


def synthetic(snr_db: float, seed: int, folder: Path) -> list[Row]:
    """Write one factory and run it."""
    from auscult.datasets.factory import write_factory
    from auscult.runs.run import run

    data = folder / "factory"
    if not data.exists():
        write_factory(data, size="demo", seed=seed, snr_db=snr_db)
    finished = run(
        recipe(SYNTHETIC, {**SMALL_HVAE, "training": {"epochs": 15, "batch_size": 64}}, seed=seed, copies=1),
        data=data,
        out=folder / "run",
        machine_types=TYPES,
        truth=data / "eval_data_list.csv",
        clean=data / "clean",
        on_progress=_progress(f"{snr_db:+g} dB, seed {seed}"),
    )
    return [{**row, "snr_db": snr_db, "seed": seed} for row in rows_of(finished)]


def real(data: Path, folder: Path) -> tuple[list[Row], list[Row]]:
    """Run the real sliders; their figures, and what an ear would notice in the test clips."""
    from auscult.runs.jobs import denoiser_folder
    from auscult.runs.run import run

    finished = run(
        recipe(REAL, {**SLIDER_HVAE, "training": {"epochs": 10}}, seed=0, copies=COPIES),
        data=data / "dcase2020_mini",
        out=folder / "run",
        machine_types=["slider"],
        clean=data / "mechanical",
        on_progress=_progress("real sliders"),
    )
    denoiser = denoiser_folder(finished.store, finished.plan.denoisers[0])
    test = next(bank for bank in finished.plan.banks if bank.split == "test")
    return rows_of(finished), listen(denoiser, [clip.path for clip in test.clips], HEARD)


def _progress(case: str) -> Any:
    """Say which jobs are done."""
    from auscult.runs.jobs import DONE

    started = time.monotonic()

    def show(label: str, done: int, total: int, text: str) -> None:
        if done == total and text == DONE:
            print(f"{case}: {label}, after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    return show


def summary(rows: Sequence[Row], keys: Sequence[str], over: Sequence[str] = MACHINE) -> list[Row]:
    """Mean figures of each group of rows, and what they gain on the same group undenoised.

    Args:
        rows: of the runs.
        keys: what a group has in common, with family and level.
        over: what tells the values of a group apart, over which their spread is taken.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in (*keys, "family", "level")), []).append(row)
    found = []
    for group, some in groups.items():
        entry: Row = dict(zip((*keys, "family", "level"), group, strict=True))
        entry["si_sdr_gain_db"] = fmean(row["si_sdr_gain_db"] for row in some)
        for name in ("auc", "pauc"):
            own, bare = means(some, over, name), means(groups[*group[:-1], 0], over, name)
            changes = [own[key] - bare[key] for key in own]
            entry["count"] = len(own)
            entry[name], entry[f"{name}_sd"] = fmean(own.values()), deviation(list(own.values()))
            entry[f"{name}_change"] = fmean(changes)
            entry[f"{name}_change_se"] = deviation(changes) / len(changes) ** 0.5
        found.append({key: round(value, 4) if isinstance(value, float) else value for key, value in entry.items()})
    return sorted(found, key=lambda row: [row[key] for key in (*keys, "family", "level")])


def means(rows: Sequence[Row], over: Sequence[str], name: str) -> dict[tuple[Any, ...], float]:
    """Mean of a figure for each value of what is to be told apart."""
    apart: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        apart.setdefault(tuple(row[key] for key in over), []).append(row[name])
    return {key: fmean(values) for key, values in apart.items()}


def deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def show(title: str, rows: Sequence[Row], keys: Sequence[str]) -> None:
    print(f"\n{title}: AUC, pAUC in %, and less those of level 0 ± standard error")
    for row in rows:
        place = ", ".join(f"{key} {row[key]}" for key in keys)
        cells = [
            f"{100 * row[name]:6.1f} ({100 * row[f'{name}_change']:+5.1f} ± {100 * row[f'{name}_change_se']:4.1f})"
            for name in ("auc", "pauc")
        ]
        print(f"{place:<36}{row['family']:<10}level {row['level']:<4}{'   '.join(cells)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoised", description=__doc__)
    parser.add_argument("--real-data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, help="folder for factories and runs; a stopped benchmark continues there")
    options = parser.parse_args()
    os.environ |= ONE_THREAD
    started = time.monotonic()
    results: dict[str, Any] = {"seeds": len(SEEDS), "types": TYPES, "trainings": {"synthetic": SYNTHETIC, "real": REAL}}
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        folder = options.keep or Path(temporary)
        sliders = None
        if options.real_data.is_dir():
            sliders = pool.submit(real, options.real_data, folder / "real")
        else:
            print(f"the real sounds are not there ({options.real_data}): synthetic ones only", file=sys.stderr)
        jobs = [
            pool.submit(synthetic, snr_db, seed, folder / f"snr{snr_db:+g}-seed{seed}")
            for seed in SEEDS
            for snr_db in SNR_DB
        ]
        rows = [row for job in jobs for row in job.result()]
        results["synthetic"] = summary(rows, ["snr_db"])
        results["by_type"] = summary(rows, ["snr_db", "machine_type"])
        if sliders is not None:
            rows, results["sounds"] = sliders.result()
            rows = [{**row, "seed": 0} for row in rows]
            results["real"] = summary(rows, [])
            results["real_by_id"] = summary(rows, ["machine_id"])
    show("synthetic", results["synthetic"], ["snr_db"])
    show("synthetic", results["by_type"], ["snr_db", "machine_type"])
    if "real" in results:
        show("real sliders", [*results["real_by_id"]], ["machine_id"])
        show("real sliders, mean over machines", results["real"], [])
        print(f"\nwhat an ear would notice in real test clips\n{table(results['sounds'])}")
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes")
    write(results, RESULTS / "denoised.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
