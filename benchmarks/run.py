"""Speed: ratios measured side by side in one process on one thread, as a table and as `benchmarks/results/bench.json`.

`python -m benchmarks.run [NAME...]` measures all figures, or those of the named files only. A ratio is the time of the
other over the time of ours, each the median over repeats that take turns; larger is better. `--device cuda` measures
the trainings on a GPU and writes `benchmarks/results/bench-cuda.json`.
"""

import functools
import json
import os
import sys
from collections.abc import Callable

from auscult.processes import ONE_THREAD
from benchmarks.places import RESULTS, write

os.environ |= ONE_THREAD  # before torch is imported

TARGETS = {
    "log_mel_vs_librosa": 2.5,
    "baseline_score_vs_plain": 2.0,
    "bank_overhead_mb": -500.0,
    "hvae_train_vs_dataloader": 1.05,
    "idcae_train_vs_dataloader": 1.15,
    "freak_vs_plain": 1.5,
    "freak_bf16_vs_plain_bf16": 1.5,
    "freak_score_vs_plain": 1.5,
    "freak_bf16_score_vs_plain_bf16": 1.5,
    "idcae_stacked_vs_workers": 1.0,
    "idcae_stacked_vs_single": 8.0,
    "openl3_front_end_vs_conv_dft": 5.0,
    "run_efficiency": 0.85,
    "ray_vs_local": 0.65,
    "search_3_members_s": -1.0,
    "search_4_members_s": -120.0,
    "bootstrap_90_systems_s": -20.0,
    "denoiser_layout_difference": -1e-3,
    "openl3_layout_difference": -1e-3,
    "score_efficiency": 0.85,
    "score_memory_growth_mb": -300.0,
    "exponent_train": -1.1,
    "exponent_score": -1.1,
    "exponent_weights": -1.1,
    "exponent_year_clips": -1.1,
    "exponent_year_types": -1.1,
    "score_one_cpu_s": -2.5,
    "run_spectral_cpu_s": -6.0,
    "help_cpu_s": -0.35,
}
"""What each figure should reach; a negative number is an upper bound."""


def main() -> int:
    import torch

    from benchmarks.timing import left_out

    arguments, device = sys.argv[1:], None
    if arguments[:1] == ["--device"] and len(arguments) > 1:
        _, device, *arguments = arguments
    parts = measurements(device)
    chosen = arguments or list(parts)
    if unknown := [name for name in chosen if name not in parts]:
        print(f"there is no benchmark {unknown[0]!r}; choose among {', '.join(parts)}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    results = RESULTS / ("bench.json" if device in (None, "cpu") else f"bench-{device}.json")
    found = json.loads(results.read_text()) if results.exists() else {}
    figures: dict[str, float] = {name: value for name, value in found.items() if isinstance(value, float | int)}
    if without := left_out() if device in (None, "cpu") else {}:
        figures = {name: value for name, value in figures.items() if "bf16" not in name}
    for name in chosen:
        figures |= parts[name]()
        show(figures)
    for name, reason in without.items():
        print(f"{name}: {reason}")
    write(dict(sorted({**figures, **without}.items())), results)
    return 1 if any(missed(name, value) for name, value in figures.items()) else 0


def measurements(device: str | None) -> dict[str, Callable[[], dict[str, float]]]:
    """All by their names; where a device is named, those of training on it."""
    from benchmarks import (
        combining,
        denoising,
        features,
        freak,
        inference,
        openl3,
        runs,
        scaling,
        scoring,
        stacking,
        startup,
        training,
        year,
    )

    if device is not None:
        on_device = {"training": training, "freak": freak, "stacking": stacking}
        return {name: functools.partial(module.figures, device) for name, module in on_device.items()}
    return {
        "combining": combining.figures,
        "denoising": denoising.figures,
        "features": features.figures,
        "freak": freak.figures,
        "inference": inference.figures,
        "openl3": openl3.figures,
        "scaling": scaling.figures,
        "runs": runs.figures,
        "scoring": scoring.figures,
        "stacking": stacking.figures,
        "startup": startup.figures,
        "training": training.figures,
        "year": year.figures,
    }


def missed(name: str, value: float) -> bool:
    """Whether a figure falls short of its target."""
    target = TARGETS.get(name)
    return target is not None and (value < target if target > 0 else value > -target)


def show(figures: dict[str, float]) -> None:
    print(f"\n{'figure':<32}{'value':>10}{'target':>12}")
    for name, value in sorted(figures.items()):
        target = TARGETS.get(name)
        bound = "" if target is None else f">= {target:g}" if target > 0 else f"<= {-target:g}"
        print(f"{name:<32}{value:>10.3g}{bound:>12}{'  missed' if missed(name, value) else ''}")


if __name__ == "__main__":
    sys.exit(main())
