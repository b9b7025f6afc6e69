"""Tables of docs/serve.md and docs/monitor.md: the server under load, under attack, and with a year behind it."""

from benchmarks.page_tables import Results, measured, table

COMMAND = "python -m benchmarks.serve"


@measured("serve.json", COMMAND, "load", "malformed")
def served(results: Results) -> str:
    """What `benchmarks.serve` measured of uploads."""
    load, attack = results["load"], results["malformed"]
    statuses = ", ".join(f"{count} times {status}" for status, count in attack["statuses"].items())
    rows = [
        ["clips of 10 s a second", f"{load['clips_per_second']:.1f}", ""],
        ["`auscult score --workers` in the same run", f"{load['offline_clips_per_second']:.1f}", ""],
        ["share of that", f"{load['ratio']:.2f}", "at least 0.8"],
        ["95th percentile of an upload, ms", f"{load['p95_ms']:.0f}", f"at most {load['p95_bound_ms']:.0f}"],
        [f"errors in {load['uploads']:,} uploads", str(len(load["errors"])), "0"],
    ]
    return (
        table([f"{load['clients']} clients, {load['processors']} processors", "measured", "target"], rows)
        + f"\n\nOf {attack['uploads']:,} recordings that are none, lie or are cut off, answers were {statuses} "
        f"({attack['sound_all_the_same']} were sound all the same); {len(attack['slow_senders'])} that came too slowly "
        f"got {min(attack['slow_senders'])}. Memory grew by {attack['memory_grew_mb']:.0f} MB, and a monitor beside it "
        f"was at most {attack['monitor_late_s']:.1f} s behind the clock."
    )


@measured("serve.json", f"{COMMAND} --only year", "year")
def served_year(results: Results) -> str:
    """What a year of twenty machines costs."""
    year = results["year"]
    rows = [
        [view, f"{empty:.0f}", f"{year['views_of_year_ms'][view]:.0f}"]
        for view, empty in year["views_of_empty_ms"].items()
    ]
    if year["opening_year_ms"] is not None:
        rows.append(["the page, opened", f"{year['opening_empty_ms']:.0f}", f"{year['opening_year_ms']:.0f}"])
    return (
        f"A year of twenty machines takes {year['bytes_without_sounds'] / 1e6:.0f} MB, and "
        f"{year['bytes'] / 1e6:.0f} MB with 500 sounds of 26 s. Longest of three requests, in ms; a view may take 200, "
        "and the page 1.3 times that of an empty history:\n\n" + table(["", "empty", "a year"], rows)
    )


@measured("history.json", "python -m benchmarks.history", "views")
def history(results: Results) -> str:
    """What a year of monitoring takes on the disk, and how long its slowest view waits."""
    views = results["views"]
    slowest = max(views, key=lambda name: float(views[name]["median_ms"]))
    without, one = results["bytes_without_sounds"] / 1e6, results["bytes_of_a_sound"] / 1e6
    return (
        f"A year of {results['machines']} machines, a window each second, takes {without:.0f} MB without sounds, and "
        f"{one:.1f} MB for each sound of 26 s at 16 kHz; the slowest view of it ({slowest}) is read in "
        f"{views[slowest]['median_ms']:.0f} ms (median)."
    )
