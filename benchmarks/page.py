"""The tables of README.md and of the pages, rendered from the measured figures in `benchmarks/results`.

`python -m benchmarks.page` fills the pages between the comments `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "benchmarks" / "results"
PAGES = (
    PROJECT / "README.md",
    *(PROJECT / "docs" / f"{name}.md" for name in ("benchmarks", "denoising", "monitor", "thresholds")),
)

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
    "freak_bf16_vs_plain_bf16": "the same, both in bfloat16 autocast",
    "freak_score_vs_plain": "FREAK scoring clips of 10 s one by one, against the same layers from `torch.nn`",
    "freak_bf16_score_vs_plain_bf16": "the same, both in bfloat16 autocast",
    "freak_bf16_gain": 'FREAK training in float32, against bfloat16 autocast (`precision = "bf16"`)',
    "search_3_members_s": "seconds to search 5,151 weight vectors of three members on 1,400 clips of four ids",
    "search_4_members_s": "seconds to search 176,851 weight vectors of four members on the same",
    "bootstrap_90_systems_s": "seconds for 1,000 bootstrap replicates of 90 systems on 8,400 clips of 24 ids each",
    "complex_conv_vs_native": "a complex convolution, forward and backward in bfloat16, against torch's complex one",
    "denoiser_layout_difference": "denoiser's output, channels first against last, of the largest value",
    "denoiser_bf16_difference": "denoiser's output, bfloat16 against float32, of the largest value",
    "openl3_layout_difference": "embeddings, the plain network against ours, of the largest value",
    "openl3_bf16_difference": "embeddings, bfloat16 against float32, of the largest value",
    "freak_train_gflops": "arithmetic of FREAK's training in float32, in GFLOP/s",
    "freak_train_of_matmul": "that over the GFLOP/s of a product of two matrices of 2,048 x 2,048",
    "freak_bf16_train_gflops": "arithmetic of FREAK's training in bfloat16, in GFLOP/s",
    "freak_bf16_train_of_matmul": "that over the GFLOP/s of such a product in bfloat16",
}
"""Figures of `bench.json`, each a ratio unless it says otherwise; those of `FRONT_ENDS` have a table of their own."""

FRONT_ENDS = {
    "denoiser, channels last (as used)": "denoiser_rtf_{precision}_{threads}",
    "denoiser, channels first": "denoiser_rtf_channels_first_{precision}_{threads}",
    "OpenL3, norms folded, channels last (as used)": "openl3_speed_{precision}_{threads}t",
    "OpenL3, plain, channels first": "openl3_speed_plain_{precision}_{threads}t",
}
"""Figures of `bench.json` by precision and threads; names with `speed` are seconds of sound in a second."""


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


def front_ends() -> str:
    """Real-time factors of the denoiser and of OpenL3."""
    results = read("bench.json")
    columns = [(precision, threads) for precision in ("fp32", "bf16") for threads in (1, 2)]
    rows = []
    for title, pattern in FRONT_ENDS.items():
        names = [pattern.format(precision=precision, threads=threads) for precision, threads in columns]
        if results is None or not all(name in results for name in names):
            return _absent("bench.json", "make bench")
        factors = [1 / results[name] if "speed" in name else results[name] for name in names]
        rows.append([title, *(f"{factor:.3f}" for factor in factors)])
    heads = [f"{precision}, {threads} thread{'s' * (threads > 1)}" for precision, threads in columns]
    return table(["seconds of computing for a second of sound", *heads], rows)


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


def denoised() -> str:
    """What denoising does to AUC and pAUC on synthetic factories, by noise and level."""
    results = read("denoised.json")
    if results is None:
        return _absent("denoised.json", "make bench-denoised")
    rows = []
    for row in results["synthetic"]:
        gain = f"{row['si_sdr_gain_db']:+.1f}" if row["level"] else ""
        place = [f"{row['snr_db']:+g} dB", row["family"].upper() if row["family"] == "hvae" else "Spectral"]
        rows.append([*place, f"{row['level']}", gain, *_changes(row)])
    return table(["noise", "family", "level", "SI-SDR gain, dB", *CHANGES], rows)


def denoised_verdict() -> str:
    """In a sentence, whether denoising helped on the synthetic factories."""
    results = read("denoised.json")
    if results is None:
        return _absent("denoised.json", "make bench-denoised")
    rows = [row for row in results["synthetic"] if row["level"]]
    changes = [(row[f"{name}_change"], row[f"{name}_change_se"]) for row in rows for name in ("auc", "pauc")]
    counts = [sum(sign * change > 2 * error for change, error in changes) for sign in (1, -1)]
    low, high = (f"{100 * pick(change for change, _ in changes):+.1f}" for pick in (min, max))
    return (
        f"On the synthetic factories denoising changed AUC and pAUC by {low} to {high} points. Of these {len(changes)} "
        f"differences {counts[0]} are gains, and {counts[1]} losses, of more than twice their standard error."
    )


CHANGES = ("AUC, %", "less undenoised", "pAUC, %", "less undenoised")


def _changes(row: Results) -> list[str]:
    cells = []
    for name in ("auc", "pauc"):
        change, error = (100 * row[f"{name}_change{end}"] for end in ("", "_se"))
        cells += [f"{100 * row[name]:.1f}", f"{change + 0.0:+.1f} ± {error:.1f}" if row["level"] else ""]
    return cells


def denoised_real() -> str:
    """AUC and pAUC of each real slider, denoised and not."""
    results = read("denoised.json")
    if results is None or "real" not in results:
        return _absent("denoised.json", "make bench-denoised")
    machines = list(dict.fromkeys(row["machine_id"] for row in results["real_by_id"]))
    by_id = {(row["family"], row["level"], row["machine_id"]): row for row in results["real_by_id"]}
    rows = []
    for row in results["real"]:
        some = [row, *(by_id[row["family"], row["level"], machine] for machine in machines)]
        cells = [f"{100 * one['auc']:.0f} / {100 * one['pauc']:.0f}" for one in some]
        rows.append([row["family"].upper() if row["family"] == "hvae" else "Spectral", f"{row['level']}", *cells])
    return table(["family", "level", "mean", *machines], rows)


def denoised_sounds() -> str:
    """What an ear would notice in real denoised recordings."""
    from benchmarks.denoised_sounds import FIGURES as HEARD

    results = read("denoised.json")
    if results is None or "sounds" not in results:
        return _absent("denoised.json", "make bench-denoised")
    rows = [[text, *(f"{row[name]:.3g}" for row in results["sounds"])] for name, text in HEARD.items()]
    return table(["", *(f"level {row['level']}" for row in results["sounds"])], rows)


def promise() -> str:
    """Alarms of new normal sound against what was promised, and against the prediction interval."""
    from benchmarks.false_alarms import SOURCES

    results = read("false_alarms.json")
    if results is None:
        return _absent("false_alarms.json", "make bench-alarms")
    rows = []
    for name, (words, _, _) in SOURCES.items():
        figures = results["supported"][name]
        interval = f"{figures['low']:.0f} to {figures['high']:.0f}"
        shares = [f"{100 * figures[key]:.1f}" for key in ("covered", "triple_caught")]
        rows.append([words, f"{figures['alarms']:.1f}", interval, *shares])
    head = ["normal scores", "alarms in 33 h, mean", "99 % interval, mean", "within it, %", "triple rate outside it, %"]
    return f"{table(head, rows)}\n\n{results['machines']} machines of each kind."


def extrapolation() -> str:
    """True rates of thresholds that were extrapolated."""
    from benchmarks.false_alarms import SOURCES

    results = read("false_alarms.json")
    if results is None:
        return _absent("false_alarms.json", "make bench-alarms")
    rows = []
    for name, (words, _, _) in SOURCES.items():
        for rate, figures in results["extrapolated"][name].items():
            spread = f"{figures['tenth']:.1f} to {figures['ninetieth']:.1f}"
            rows.append([words, rate, f"{figures['mean']:.2f}", spread, f"{100 * figures['covered']:.0f}"])
    head = ["normal scores", "promised", "true / promised, mean", "8 of 10 machines", "95 % interval holds it, %"]
    return table(head, rows)


def monitored_slider() -> str:
    """What the monitor says of a real slider."""
    results = read("monitoring.json")
    if results is None or "real" not in results:
        return _absent("monitoring.json", "make bench-monitor")
    rows = []
    for row in results["real"]["ways"]:
        delay = row["median_delay_seconds"]
        detected = f"{row['detected']} of {row['anomalies']}"
        false = f"{row['false_alarms']} in {row['normal_minutes']:.0f} min"
        place = [f"{row['method']}, {row['rate']}", f"{row['seeds'] - row['without_threshold']} of {row['seeds']}"]
        rows.append([*place, detected, "" if delay is None else f"{delay:.0f}", false])
    head = ["method, promise", "splits with a threshold", "anomalies raised", "median delay, s", "false alarms"]
    return f"{table(head, rows)}\n\nRecipe `{results['real']['recipe']}`."


def monitored_speed() -> str:
    """The real-time factor of the live monitor."""
    results = read("monitoring.json")
    if results is None or "speed" not in results:
        return _absent("monitoring.json", "make bench-monitor")
    row = results["speed"]
    return (
        f"On one core, at a step of {row['step_seconds']:g} s, the live monitor computes "
        f"{row['real_time_factor']:.4f} s for a second of sound ({row['hours']:g} h from a file; by the clock, beside "
        f"other work, {row['real_time_factor_by_the_clock']:.4f} s). Target: at most 0.01."
    )


def monitored_factory() -> str:
    """Days of the synthetic factory: counts against intervals, memory, faults; and what was not run."""
    from benchmarks.monitoring import PLAN, growth

    results = read("monitoring.json")
    if results is None or "factory" not in results:
        return _absent("monitoring.json", "make bench-monitor")
    found = results["factory"]
    plan, rows = found["plan"], []
    for row in found["machines"]:
        low, high = row["interval"]
        delays = [fault["delay_seconds"] for fault in row["faults"]]
        raised = [delay for delay in delays if delay is not None]
        slowest = f", slowest {max(raised):.0f} s" if raised else ""
        memory = f"{growth(row):.1f}" if row["megabytes"] else ""
        counts = [str(row["alarms"]), f"{low} to {high}", str(row["triple_alarms"]), memory]
        rows.append([row["machine"], *counts, f"{len(raised)} of {len(delays)}{slowest}"])
    head = ["machine", "alarms", "99 % interval", "at the triple rate's threshold", "memory, MB", "faults raised"]
    number, whole = len(found["machines"]), PLAN
    text = (
        f"{number} of 6 machines; each calibrated on {plan['calibration_hours']:g} h at {plan['rate']:g} an hour, then "
        f"{plan['hours']:g} h of new normal sound, a window every {plan['step_seconds']:g} s. If all is well, all "
        f"counts lie within with a chance of about {100 * 0.99**number:.0f} %."
    )
    full = (6, whole.calibration_hours, whole.hours, whole.rate)
    if (number, plan["calibration_hours"], plan["hours"], plan["rate"]) != full:
        text += (
            f" **This is not the full run** of 6 machines, {whole.calibration_hours:g} h and {whole.hours:g} h at "
            f"{whole.rate:g} an hour, which has not been made."
        )
    minutes = sum(row["core_minutes"] for row in found["machines"])
    hours = number * (plan["learning_hours"] + plan["calibration_hours"] + plan["hours"])
    return f"{table(head, rows)}\n\n{text} It took {minutes:.0f} core minutes for {hours:.0f} h of sound."


def _speed(file: str, command: str) -> str:
    from benchmarks.run import TARGETS

    results = read(file)
    if results is None:
        return _absent(file, command)
    rows = []
    others = sorted(
        name for name in set(results) - set(FIGURES) if not name.startswith(("denoiser_rtf", "openl3_speed"))
    )
    for name in (*FIGURES, *others):
        if isinstance(value := results.get(name), int | float):
            target = TARGETS.get(name) if file == "bench.json" else None
            bound = "" if target is None else f"at least {target:g}" if target > 0 else f"at most {-target:g}"
            digits = f"{value:.2f}" if value >= 1 else f"{value:.2g}"
            rows.append([f"`{name}`: {FIGURES[name]}" if name in FIGURES else f"`{name}`", digits, bound])
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
    "front_ends": front_ends,
    "denoised": denoised,
    "denoised_verdict": denoised_verdict,
    "denoised_real": denoised_real,
    "denoised_sounds": denoised_sounds,
    "promise": promise,
    "extrapolation": extrapolation,
    "monitored_slider": monitored_slider,
    "monitored_speed": monitored_speed,
    "monitored_factory": monitored_factory,
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
