"""The tables of README.md and docs/benchmarks.md, rendered from the measured figures in `benchmarks/results`.

`python -m benchmarks.page` fills the pages between the comments `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "benchmarks" / "results"
PAGES = (PROJECT / "README.md", PROJECT / "docs" / "benchmarks.md")

Results = Mapping[str, Any]

SYSTEMS = {
    "baseline": "baseline auto-encoder",
    "spectral": "Spectral, the yardstick",
    "hvae": "HVAE, scored by wMSE",
    "hvae_mse": "HVAE, scored by plain MSE",
    "idcae": "IDCAE",
    "freak": "FREAK, gaussian score, full covariance",
    "freak_mse": "FREAK, scored by plain MSE",
    "ensemble": "uniform ensemble of HVAE, IDCAE and FREAK",
}
"""Rows of `real.json`."""

FIGURES = {
    "log_mel_vs_librosa": "log-mel of 10 s clips, against a loop over `librosa.feature.melspectrogram`",
    "openl3_front_end_vs_conv_dft": "OpenL3's spectrogram, against a DFT by convolution",
    "baseline_score_vs_plain": "baseline, from file to clip score, against librosa and a plain PyTorch loop",
    "bank_overhead_mb": "memory while a bank of 1,000 clips is built, in MB; the bank goes to the disk",
    "hvae_train_vs_dataloader": "HVAE training, batch 512, against the same network fed by a `DataLoader`",
    "idcae_train_vs_dataloader": "IDCAE training, batch 512, against the same network fed by a `DataLoader`",
    "freak_vs_plain": "FREAK training, batch 32, against a hand-written loop and the same layers from `torch.nn`",
    "freak_bf16_gain": 'FREAK training in float32, against bfloat16 autocast (`precision = "bf16"`)',
    "idcae_stacked_vs_workers": "48 IDCAEs in stacks on two threads, against two worker processes with one thread each",
    "search_3_members_s": "seconds to search 5,151 weight vectors of three members on 1,400 clips of four ids",
    "search_4_members_s": "seconds to search 176,851 weight vectors of four members on the same",
    "bootstrap_90_systems_s": "seconds for 1,000 bootstrap replicates of 90 systems on 8,400 clips of 24 ids each",
}
"""Figures of `bench.json`, each a ratio unless it says otherwise."""


def read(name: str) -> Results | None:
    """A file of results, or none where it was not measured."""
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table whose first column stands left, the others right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(figures: Results, name: str) -> str:
    return f"{100 * figures[name]:.1f} ± {100 * figures[f'{name}_sd']:.1f}"


def real() -> str:
    """Quality on real sounds; which rows are best and which targets are missed follows from the figures."""
    from benchmarks.real import TARGETS, missed_targets

    results = read("real.json")
    if results is None:
        return _absent("real.json", "make bench-real")
    rows = []
    for name, title in SYSTEMS.items():
        target = " / ".join(f"{100 * value:.0f}" for value in TARGETS.get(name, ()))
        rows.append([title, percent(results[name], "auc"), percent(results[name], "pauc"), target])
    best = max(SYSTEMS, key=lambda name: results[name]["auc"])
    text = f"{results[best]['seeds']} seeds. The highest mean AUC has: {SYSTEMS[best]}."
    missed = missed_targets(results)
    text += f" Below target: {'; '.join(missed)}." if missed else " Every target is met."
    tuned = (
        "Read both HVAE rows as tuned: its Big Precision and its falling learning rate were taken up after the "
        "package's defaults in 20 epochs had given 84.4 / 76.9 on these test clips."
    )
    return f"{table(['system', 'AUC, %', 'pAUC, %', 'target'], rows)}\n\n{text}\n\n{tuned}"


def settings() -> str:
    """What the benchmark trains, from its own list."""
    from benchmarks.real import MEMBERS

    rows = [[member.family, _code(member.arguments), _code(member.training)] for member in MEMBERS]
    lines = [["family", "arguments", "training"], ["---"] * 3, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bf16() -> str:
    """What bfloat16 does to AUC and pAUC."""
    single, half = read("real.json"), read("real-bf16.json")
    if single is None or half is None:
        return _absent("real-bf16.json", "python -m benchmarks.real --precision bf16")
    rows = []
    for name in (name for name in SYSTEMS if name in half):
        points = [round(100 * (half[name][key] - single[name][key]), 1) for key in ("auc", "pauc")]
        cells = [f"{value + 0.0:+.1f}" for value in points]  # + 0.0 takes the sign off a negative zero
        rows.append([SYSTEMS[name], percent(half[name], "auc"), percent(half[name], "pauc"), *cells])
    return table(["system, bf16", "AUC, %", "pAUC, %", "AUC less fp32's", "pAUC less fp32's"], rows)


def protocols() -> str:
    """The three protocols of combining, side by side."""
    results, single = read("real-protocols.json"), read("real.json")
    if results is None or single is None:
        return _absent("real-protocols.json", "make bench-real")
    head = ["system", "protocol", "AUC, %", "pAUC, %"]
    names = {"hvae": "HVAE", "idcae": "IDCAE", "freak": "FREAK", "ensemble": "ensemble"}
    families = [
        [names[name], "nothing is chosen", percent(single[name], "auc"), percent(single[name], "pauc")]
        for name in names
        if name != "ensemble"
    ]
    one = [
        [names[row["system"]], row["protocol"], percent(row, "auc"), percent(row, "pauc")]
        for row in results["one_model"]
    ]
    seeds = [
        [names[row["system"]], row["protocol"], *(_between(row, name) for name in ("auc", "pauc"))]
        for row in results["all_seeds"]
    ]
    return (
        f"One model of each family; mean ± standard deviation over {results['one_model'][0]['seeds']} seeds:\n\n"
        f"{table(head, [*families, *one])}\n\n"
        f"All seeds of each family; 95 % bootstrap intervals over clips:\n\n{table(head, seeds)}"
    )


def _between(row: Results, name: str) -> str:
    value, low, high = (100 * row[key] for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def speed() -> str:
    """Speed on the CPU, one thread."""
    return _speed("bench.json", "make bench")


def cuda() -> str:
    """Speed of training on a GPU."""
    return _speed("bench-cuda.json", "python -m benchmarks.run --device cuda")


def denoiser() -> str:
    """What the denoiser for sliders gains on held-out mixtures, level by level."""
    results = read("denoiser.json")
    if results is None:
        return _absent("denoiser.json", "make bench-denoiser")
    rows = []
    for one, other in zip(results["real"], results["synthetic"], strict=True):
        gains = [part[f"{name}_gain_db"] for part in (one, other) for name in ("si_sdr", "snr")]
        rows.append([f"{one['level']}", *(f"{gain:+.2f}" for gain in gains)])
    return table(["level", "real: SI-SDR, dB", "real: SNR, dB", "synthetic: SI-SDR, dB", "synthetic: SNR, dB"], rows)


def _speed(file: str, command: str) -> str:
    from benchmarks.run import TARGETS

    results = read(file)
    if results is None:
        return _absent(file, command)
    rows = []
    for name in (*FIGURES, *sorted(set(results) - set(FIGURES))):
        if isinstance(value := results.get(name), int | float):
            target = TARGETS.get(name) if file == "bench.json" else None
            bound = "" if target is None else f"at least {target:g}" if target > 0 else f"at most {-target:g}"
            rows.append([f"`{name}`: {FIGURES[name]}" if name in FIGURES else f"`{name}`", f"{value:.2f}", bound])
    facts = [f"{name}: {value}" for name, value in sorted(results.items()) if isinstance(value, str)]
    return "\n\n".join([table(["figure", "value", "target"], rows), *facts])


def _absent(file: str, command: str) -> str:
    return f"Not measured yet: `{command}` writes `benchmarks/results/{file}`."


def _code(arguments: Results) -> str:
    return ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in arguments.items()) or "defaults"


BLOCKS = {
    "real": real,
    "protocols": protocols,
    "settings": settings,
    "bf16": bf16,
    "speed": speed,
    "cuda": cuda,
    "denoiser": denoiser,
}


def filled(text: str) -> str:
    """A page with its blocks rendered anew."""

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- begin {name} -->\n{BLOCKS[name]()}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin (?P<name>\w+) -->\n.*?<!-- end (?P=name) -->", block, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"written to {page}")
