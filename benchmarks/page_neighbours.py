"""Tables of docs/benchmarks.md: neighbours at full size, and what each piece of them gains."""

from benchmarks.page_tables import Results, measured, table

SYSTEMS = {
    "gaussian": "Gaussian (Spectral, `per_id = false`)",
    "gaussian_per_id": "Spectral: own mean of each id",
    "neighbours": "neighbours",
    "classifier": "classifier, of nine tenths of the clips",
    "with_classifier": "neighbours + classifier, mean on the scale of held-out normals",
    "mahalanobis": "Mahalanobis distance (Spectral)",
    "one_bank": "neighbours, one bank for both domains (`domains = false`)",
    "fusion": "neighbours + Mahalanobis, mean on the scale of unseen normals",
}
SETS = {
    "modulation": "DCASE 2020, modulation spectra (AUC / pAUC)",
    "toycar": "toy cars, log-mels (AUC / pAUC)",
    "dcase2025": "DCASE 2025, weak descriptors (official score)",
}
COMMAND = "python -m benchmarks.full_size"


@measured("full_size.json", COMMAND, "modulation", "dcase2025", "speed")
def full_size(results: Results) -> str:
    """What systems reach on the features of every development clip, and the speed of neighbours."""
    from benchmarks.full_size import TARGETS, missed_targets

    parts = []
    for name in ("modulation", "dcase2025"):
        systems = results[name]
        kinds = list(next(iter(systems.values()))["types"])
        rows = [
            [
                SYSTEMS[system],
                _figures(found),
                *(_figures(found["types"][kind]) for kind in kinds),
                " / ".join(f"{100 * target:.0f}" for target in TARGETS.get((name, system), {}).values()),
            ]
            for system, found in systems.items()
        ]
        parts.append(table([SETS[name], "mean", *kinds, "target"], rows))
    systems = results["dcase2025"]
    parts.append("Machine by machine: AUC source / AUC target / pAUC, and the official score of the type.")
    rows = [
        [kind, *(_machine(found["types"][kind]) for found in systems.values())]
        for kind in next(iter(systems.values()))["types"]
    ]
    parts.append(table(["machine type", *(SYSTEMS[system] for system in systems)], rows))
    speed, missed = results["speed"], missed_targets(results)
    parts.append(f"Below target: {'; '.join(missed)}." if missed else "Every target is met.")
    parts.append(
        f"10,000 kept clips of 2 x 128 values: learnt in {speed['learning_s']:.0f} s, a clip of 10 s is scored in "
        f"{speed['score_ms']:.1f} ms (one core), {speed['state_mb']:.0f} MB."
    )
    return "\n\n".join(parts)


@measured("full_size.json", COMMAND, "pieces")
def pieces(results: Results) -> str:
    """One piece changed at a time: what is reached, and what was lost or gained by the change."""
    rows: dict[str, dict[str, Results]] = {}
    for row in results["pieces"]:
        rows.setdefault(row["changed"], {})[row["set"]] = row
    whole = next(iter(rows.values()))
    cells = [
        [changed, *(_changed(found[name], whole[name]) if name in found else "" for name in SETS)]
        for changed, found in rows.items()
    ]
    return table(["changed", *SETS.values()], cells)


def _values(found: Results) -> list[float]:
    names = ("official",) if "official" in found else ("auc", "pauc")
    return [100 * found[name] for name in names]


def _figures(found: Results) -> str:
    return " / ".join(f"{value:.1f}" for value in _values(found))


def _machine(found: Results) -> str:
    parts = " / ".join(f"{100 * found[name]:.1f}" for name in ("auc_source", "auc_target", "pauc"))
    return f"{parts}: {100 * found['official']:.1f}"


def _changed(found: Results, whole: Results) -> str:
    if found is whole:
        return _figures(found)
    steps = [value - before for value, before in zip(_values(found), _values(whole), strict=True)]
    return f"{_figures(found)} ({' / '.join(f'{step:+.1f}' for step in steps)})"
