"""Tables of docs/detector.md, docs/thresholds.md and docs/monitor.md: its members, its alarms, days of listening."""

from collections import Counter

from benchmarks.page_tables import Results, measured, table

COSTS = {"training_seconds": 1, "window_milliseconds": 1}
"""Costs in `practical.json`, with digits; those of windows are without their log-mel."""


@measured("practical.json", "python -m benchmarks.practical")
def practical(results: Results) -> str:
    """Members that were compared for the recipe `practical`."""
    groups = list(results)
    rows = []
    for name, first in results[groups[0]].items():
        figures = [f"{100 * results[group][name][key]:.1f}" for group in groups for key in ("auc", "pauc")]
        costs = [f"{first[key]:.{digits}f}" if key in first else "" for key, digits in COSTS.items()]
        rows.append([name, *figures, *costs])
    head = [f"{group}: {key}, %" for group in groups for key in ("AUC", "pAUC")]
    return table(["member or uniform ensemble", *head, "training, s", "window, ms"], rows)


@measured("practical_alarms.json", "python -m benchmarks.practical_alarms")
def practical_alarms(results: Results) -> str:
    """Faults that single members and ensembles of them raise, by the hours that they learned from."""
    plan, found = results["plan"], results["raised"]
    rows = []
    for name in next(iter(found.values())):
        counts = [
            [count for faults in systems[name].values() for count in faults.values()] for systems in found.values()
        ]
        rows.append([name, *(f"{sum(one)} of {plan['repeats'] * len(one)}" for one in counts)])
    head = ["member or uniform ensemble", *(f"raised, learned from {hours}" for hours in found)]
    return table(head, rows)


@measured("detector_speed.json", "python -m benchmarks.detector_speed")
def detector_speed(results: Results) -> str:
    """What learning and a window cost with the recipe `practical`."""
    return (
        f"From {results['normal_minutes']:g} minutes of recordings it learns in "
        f"{results['learning_processor_seconds']:.0f} s of processor time; a window of 10 s then takes "
        f"{results['window_milliseconds']:.1f} ms, so that at a step of 1 s "
        f"the real-time factor is {results['real_time_factor']:.4f} on one core (at most {results['target']:g}). The "
        f"recipe `best` learns {results['best_clips']:,} clips of 10 s in {results['best_learning_seconds']:.0f} s, "
        f"and scores a clip by them in {results['best_milliseconds']:.0f} ms."
    )


@measured("false_alarms.json", "make bench-alarms")
def promise(results: Results) -> str:
    """Alarms of new normal sound against what was promised, and against the prediction interval."""
    from benchmarks.false_alarms import SOURCES

    rows = []
    for name, (words, _, _) in SOURCES.items():
        figures = results["supported"][name]
        interval = f"{figures['low']:.0f} to {figures['high']:.0f}"
        shares = [f"{100 * figures[key]:.1f}" for key in ("covered", "triple_caught")]
        rows.append([words, f"{figures['alarms']:.1f}", interval, *shares])
    head = ["normal scores", "alarms in 33 h, mean", "99 % interval, mean", "within it, %", "triple rate outside it, %"]
    return f"{table(head, rows)}\n\n{results['machines']} machines of each kind."


@measured("false_alarms.json", "make bench-alarms")
def extrapolation(results: Results) -> str:
    """True rates of thresholds that were extrapolated."""
    from benchmarks.false_alarms import SOURCES

    rows = []
    for name, (words, _, _) in SOURCES.items():
        for rate, figures in results["extrapolated"][name].items():
            spread = f"{figures['tenth']:.1f} to {figures['ninetieth']:.1f}"
            rows.append([words, rate, f"{figures['mean']:.2f}", spread, f"{100 * figures['covered']:.0f}"])
    head = ["normal scores", "promised", "true / promised, mean", "8 of 10 machines", "95 % interval holds it, %"]
    return table(head, rows)


@measured("monitoring.json", "make bench-monitor", "real")
def monitored_slider(results: Results) -> str:
    """What the monitor says of a real slider."""
    rows = []
    for row in results["real"]["ways"]:
        delay = row["median_delay_seconds"]
        detected = f"{row['detected']} of {row['anomalies']}"
        false = f"{row['false_alarms']} in {row['normal_minutes']:.0f} min"
        place = [f"{row['method']}, {row['rate']}", f"{row['seeds'] - row['without_threshold']} of {row['seeds']}"]
        above = sum(
            score > one["highest_of_normals"] for one in row["each"] for score in one["highest_of_anomalies"].values()
        )
        place.append(f"{above} of {row['anomalies']}")
        rows.append([*place, detected, "" if delay is None else f"{delay:.0f}", false])
    heard = "anomalies above all normal sound"
    head = ["method, promise", "splits with a threshold", heard, "anomalies raised", "median delay, s", "false alarms"]
    return f"{table(head, rows)}\n\nRecipe `{results['real']['recipe']}`."


@measured("monitoring.json", "make bench-monitor", "speed")
def monitored_speed(results: Results) -> str:
    """The real-time factor of the live monitor."""
    row = results["speed"]
    return (
        f"On one core, at a step of {row['step_seconds']:g} s, the live monitor computes "
        f"{row['real_time_factor']:.4f} s for a second of sound ({row['hours']:g} h from a file; by the clock, beside "
        f"other work, {row['real_time_factor_by_the_clock']:.4f} s). Target: at most 0.01."
    )


@measured("monitoring.json", "make bench-monitor", "factory")
def monitored_factory(results: Results) -> str:
    """Days of the synthetic factory: counts against intervals, memory, faults; and what was not run."""
    from benchmarks.monitoring import DELAY_SECONDS, PLAN, RAISED, growth, raised_in_time

    found = results["factory"]
    plan, rows = found["plan"], []
    for row in found["machines"]:
        low, high = row["interval"]
        delays = [fault["delay_seconds"] for fault in row["faults"]]
        raised = [delay for delay in delays if delay is not None]
        slowest = f", slowest {max(raised):.0f} s" if raised else ""
        occurred = Counter(fault["fault"] for fault in row["faults"])
        silent = Counter(fault["fault"] for fault in row["faults"] if fault["delay_seconds"] is None)
        missed = "".join(f"; {name} missed {count} of {occurred[name]}" for name, count in silent.items())
        memory = f"{growth(row):.1f}" if row["megabytes"] else ""
        counts = [str(row["alarms"]), f"{low} to {high}", str(row["triple_alarms"]), memory]
        rows.append([row["machine"], *counts, f"{len(raised)} of {len(delays)}{slowest}{missed}"])
    head = ["machine", "alarms", "99 % interval", "at the triple rate's threshold", "memory, MB", "faults raised"]
    number, whole = len(found["machines"]), PLAN
    raised_all, faults = raised_in_time(results)
    text = (
        f"**{raised_all} of {faults} faults** are raised within {DELAY_SECONDS:g} s (at least {RAISED * faults:.0f}). "
        f"{number} of 6 machines; each learned from {plan['learning_hours']:.2g} h and calibrated on "
        f"{plan['calibration_hours']:g} h at {plan['rate']:g} an hour, then "
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
