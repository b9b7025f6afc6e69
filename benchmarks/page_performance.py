"""The tables of docs/performance.md: stages against their bounds, exponents of cost, the hours of the whole report."""

from benchmarks.page_tables import Results, absent, measured, read, table

PLAIN = {
    "reading": "`librosa.load`",
    "resampling": "`librosa.resample`",
    "log-mel": "librosa's mel spectrogram",
    "OpenL3": "the network as it was trained, channels first",
    "autoencoder scoring": "windows through a `DataLoader`",
    "hvae scoring": "windows through a `DataLoader`",
    "idcae scoring": "windows through a `DataLoader`",
}
"""What `benchmarks.bounds` measures beside a stage."""

RATIOS = {
    "denoiser": ("complex_conv_vs_native", "one layer against torch's complex convolution"),
    "hvae training": ("hvae_train_vs_dataloader", "a `DataLoader` and a plain loop"),
    "idcae training": ("idcae_train_vs_dataloader", "a `DataLoader` and a plain loop"),
    "freak training": ("freak_vs_plain", "layers of `torch.nn`"),
    "freak training, bfloat16": ("freak_bf16_vs_plain_bf16", "these in bfloat16"),
    "freak scoring": ("freak_score_vs_plain", "layers of `torch.nn`"),
    "freak scoring, bfloat16": ("freak_bf16_score_vs_plain_bf16", "these in bfloat16"),
}
"""Figures of `benchmarks/results/bench.json`, for the other stages."""


@measured("encoders.json", "python -m benchmarks.encoders")
def encoders(found: Results) -> str:
    """What features know of mechanical sounds, and their time."""
    rows = [
        [name, str(row["values"]), f"{row['class_accuracy']:.3f}", f"{row['clip_ms']:.0f}"]
        for name, row in found["encoders"].items()
    ]
    head = ["features", "values", "class of the nearest clip is right", "ms for 10 s, one core"]
    return (
        f"{found['clips']} clips of {found['classes']} kinds of mechanical sounds (ESC-50); a clip's nearest one is of "
        f"another recording.\n\n{table(head, rows)}\n\nYAMNet takes {1 / found['yamnet_vs_onnxruntime']:.2f} of the "
        "time of onnxruntime on the same windows, one at a time. A detector by YAMNet (recipe `dual`) takes "
        f"{found['live']['real_time_factor']:.3f} of a core to monitor at a step of 1 s (at most "
        f"{found['live']['target']}), and its ONNX graphs differ from torch by {found['live']['onnx_difference']:.0e}. "
        "`python -m benchmarks.encoders` measures this."
    )


@measured("with_encoder.json", "python -m benchmarks.with_encoder")
def with_encoder(found: Results) -> str:
    """What YAMNet adds to systems."""
    systems = list(next(iter(found.values())))
    rows = [
        [
            name,
            *(f"{100 * one['auc']:.1f} ({100 * one['interval'][0]:.0f} to {100 * one['interval'][1]:.0f})"
              for one in each.values()),
        ]
        for name, each in found.items()
    ]  # fmt: skip
    return table(["AUC (95 % over clips)", *systems], rows)


@measured("bounds.json", "python -m benchmarks.bounds")
def bounds(found: Results) -> str:
    """Each stage against a plain version, a matrix product and a copy."""
    from benchmarks.bounds import BFLOAT16

    figures = read("bench.json") or {}
    peaks, copy = {kind: found.get(f"matmul_{kind}_gflops") for kind in ("fp32", "bf16")}, found["copy_gbytes"]
    half = f"{peaks['bf16']:.0f} in bfloat16" if peaks["bf16"] else "bfloat16 left out: it has no instructions for it"
    rows = []
    for stage in found["stages"]:
        peak = peaks["bf16" if stage["name"].endswith(BFLOAT16) else "fp32"]
        seconds, gflop, gigabytes = stage["seconds"], stage["gflop"], stage["megabytes"] / 1000
        arithmetic, traffic = gflop / peak / seconds, gigabytes / copy / seconds
        kind = "arithmetic" if arithmetic >= traffic else "traffic"
        where = ", ".join(f"`{name}` {100 * share:.0f} %" for name, share in stage["where"].items())
        rows.append(
            [
                stage["name"],
                stage["unit"],
                _number(1000 * seconds),
                _against(stage, figures),
                _number(gflop / seconds) if gflop else "-",
                _number(gigabytes / seconds),
                f"{100 * max(arithmetic, traffic):.0f} % of {kind}",
                where or "no torch",
            ]
        )
    head = ["stage", "per", "ms", "times a plain version", "GFLOP/s", "GB/s", "of the bound", "where the time goes"]
    return (
        f"{found['processor']}, {found['torch']}, one thread. A matrix product: {peaks['fp32']:.0f} GFLOP/s in float32 "
        f"and {half}; a copy: {copy:.1f} GB/s, read and write counted.\n\n"
        f"{table(head, rows, left=(0, 1, 3, 6, 7))}"
    )


def _against(stage: Results, figures: Results) -> str:
    name = stage["name"]
    if stage["plain"]:
        return f"{stage['plain'] / stage['seconds']:.2f}, {PLAIN[name]}"
    key, text = RATIOS.get(name, ("", ""))
    return f"{figures[key]:.2f}, {text}" if key in figures else "-"


@measured("scaling.json", "python -m benchmarks.run scaling")
def exponents(found: Results) -> str:
    """Slopes of the logarithms of cost, and the cost of a clip at each size."""
    from benchmarks.scaling import exponent

    rows = []
    for name, line in found.items():
        costs = [1000 * cost / clips for clips, cost in zip(line["clips"], line["seconds"], strict=True)]
        sizes = ", ".join(f"{clips:,.0f}" for clips in line["clips"])
        rows.append([name, sizes, ", ".join(f"{cost:.2f}" for cost in costs), f"{exponent(line):.2f}"])
    return table(["what", "clips", "ms for each clip", "exponent"], rows, left=(0, 1, 2))


@measured("year.json", "python -m benchmarks.run year")
def year(found: Results) -> str:
    """A year of the challenge in one command, at smaller sizes, and what 16 whole machine types take by the largest."""
    from benchmarks.year import WHOLE, exponents

    rows = [
        [f"{run['types']}", f"{run['clips']:,}", f"{run['seconds']:.1f}", f"{run['megabytes']:.0f}"]
        for run in found["runs"]
    ]
    (whole,) = [run for run in found["runs"] if (run["types"], run["clips"]) == WHOLE]
    slopes = exponents(found["runs"])
    return (
        f"{table(['machine types', 'clips of each', 'processor seconds', 'peak memory, MB'], rows, left=())}\n\n"
        f"Exponents: time {slopes['exponent_year_clips']:.2f} with clips of a type and "
        f"{slopes['exponent_year_types']:.2f} with types, memory {slopes['exponent_year_memory']:.2f} with clips. "
        f"Computed: 16 machine types of 1,200 clips take {16 * whole['seconds'] / 60:.0f} minutes of one processor."
    )


def projection() -> str:
    """Hours of `srpol`, on each device that was measured."""
    found = {
        name: one
        for name, file in (("cpu", "projection.json"), ("cuda", "projection-cuda.json"))
        if (one := read(file)) is not None
    }
    if "cpu" not in found:
        return absent("projection.json", "python -m benchmarks.projection")
    first = found["cpu"]
    names = {
        "denoisers": "denoisers",
        **{kind: f"features: {kind.replace('_', '-')}" for kind in first["core_hours"] if kind.startswith("log_mel")},
        **{kind: f"features: OpenL3{kind.removeprefix('openl3')}" for kind in first["core_hours"] if "openl3" in kind},
    }
    heads = {"cpu": "on the CPU, hours", "cuda": "on a GPU, hours"}
    rows = [
        [names.get(key, f"members: {key}"), *(_hours(one["core_hours"].get(key, 0.0)) for one in found.values())]
        for key in first["core_hours"]
    ]
    rows += [
        [
            f"all, {workers} worker{'s' if workers != '1' else ''}",
            *(_hours(one["hours"][workers]) for one in found.values()),
        ]
        for workers in first["hours"]
    ]
    jobs = first["jobs"]
    where = "; ".join(
        f"{one['processor'] if name == 'cpu' else one['device']}, {one['torch']}" for name, one in found.items()
    )
    gpu = "" if "cuda" in found else " No GPU was to be had, so there is no column for one: `--device cuda` adds it."
    return (
        f"{where}. {first['clips']:,} clips, {jobs['denoisers']} denoisers, {jobs['features']} banks of features, "
        f"{jobs['members']} members. The upper rows are of one process with one thread.{gpu}\n\n"
        f"{table(['', *(heads[name] for name in found)], rows)}"
    )


def _hours(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
