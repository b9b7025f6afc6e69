"""Tables of what denoising does: the denoiser's gains, AUC and pAUC after it, what an ear would notice."""

from benchmarks.page_tables import Results, measured, table

CHANGES = ("AUC, %", "less undenoised", "pAUC, %", "less undenoised")


@measured("denoiser.json", "make bench-denoiser", "real", "synthetic")
def denoiser(results: Results) -> str:
    """What the denoiser for sliders gains on held-out mixtures, level by level."""
    rows = []
    for one, other in zip(results["real"], results["synthetic"], strict=True):
        gains = [part[f"{name}_gain_db"] for part in (one, other) for name in ("si_sdr", "snr")]
        rows.append([f"{one['level']}", *(f"{gain:+.2f}" for gain in gains)])
    return table(["level", "real: SI-SDR, dB", "real: SNR, dB", "synthetic: SI-SDR, dB", "synthetic: SNR, dB"], rows)


@measured("denoised.json", "make bench-denoised")
def denoised(results: Results) -> str:
    """What denoising does to AUC and pAUC on synthetic factories, by noise and level."""
    rows = []
    for row in results["synthetic"]:
        gain = f"{row['si_sdr_gain_db']:+.1f}" if row["level"] else ""
        place = [f"{row['snr_db']:+g} dB", row["family"].upper() if row["family"] == "hvae" else "Spectral"]
        rows.append([*place, f"{row['level']}", gain, *_changes(row)])
    return table(["noise", "family", "level", "SI-SDR gain, dB", *CHANGES], rows)


def _changes(row: Results) -> list[str]:
    cells = []
    for name in ("auc", "pauc"):
        change, error = (100 * row[f"{name}_change{end}"] for end in ("", "_se"))
        cells += [f"{100 * row[name]:.1f}", f"{change + 0.0:+.1f} ± {error:.1f}" if row["level"] else ""]
    return cells


@measured("denoised.json", "make bench-denoised")
def denoised_verdict(results: Results) -> str:
    """In a sentence, whether denoising helped on the synthetic factories."""
    rows = [row for row in results["synthetic"] if row["level"]]
    changes = [(row[f"{name}_change"], row[f"{name}_change_se"]) for row in rows for name in ("auc", "pauc")]
    counts = [sum(sign * change > 2 * error for change, error in changes) for sign in (1, -1)]
    low, high = (f"{100 * pick(change for change, _ in changes):+.1f}" for pick in (min, max))
    return (
        f"On the synthetic factories denoising changed AUC and pAUC by {low} to {high} points. Of these {len(changes)} "
        f"differences {counts[0]} are gains, and {counts[1]} losses, of more than twice their standard error."
    )


@measured("denoised.json", "make bench-denoised", "real")
def denoised_real(results: Results) -> str:
    """AUC and pAUC of each real slider, denoised and not."""
    machines = list(dict.fromkeys(row["machine_id"] for row in results["real_by_id"]))
    by_id = {(row["family"], row["level"], row["machine_id"]): row for row in results["real_by_id"]}
    rows = []
    for row in results["real"]:
        some = [row, *(by_id[row["family"], row["level"], machine] for machine in machines)]
        cells = [f"{100 * one['auc']:.0f} / {100 * one['pauc']:.0f}" for one in some]
        rows.append([row["family"].upper() if row["family"] == "hvae" else "Spectral", f"{row['level']}", *cells])
    return table(["family", "level", "mean", *machines], rows)


@measured("denoised.json", "make bench-denoised", "sounds")
def denoised_sounds(results: Results) -> str:
    """What an ear would notice in real denoised recordings."""
    from benchmarks.denoised_sounds import FIGURES as HEARD

    rows = [[text, *(f"{row[name]:.3g}" for row in results["sounds"])] for name, text in HEARD.items()]
    return table(["", *(f"level {row['level']}" for row in results["sounds"])], rows)
