"""The commands on what a run would take: plan, and bench for the speed of each step."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from auscult.cli.display.messages import print_lines
from auscult.cli.options import Output, RunOptions

if TYPE_CHECKING:
    from auscult.runs.estimate import Estimate, Outlook


def plan(
    recipe: str,
    *,
    out: Output | None = None,
    options: RunOptions,
    workers: int | None = None,
    rates: Path | None = None,
    no_estimate: Annotated[bool, Parameter(negative=())] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Print what a run would train, what is there, what is missing, and how long it would take; write nothing.

    Args:
        recipe: Name of a built-in recipe (see `auscult recipes`) or a TOML file.
        out: Run folder, to see what is finished there.
        options: See there.
        workers: Processes that would share the work; by default as many as processors, 1 on a GPU.
        rates: Output of `auscult bench --json`, whose rates stand in for those that would be measured now.
        no_estimate: Measure nothing and estimate no time.
        as_json: Print JSON: rows, missing, left_out, estimate; times in seconds, sizes in bytes.
    """
    from auscult.cli.display.progress import counting
    from auscult.errors import RunError
    from auscult.processes import default_workers
    from auscult.recipe import load_recipe
    from auscult.runs.estimate import Outlook, read_rates
    from auscult.runs.request import plan_for, request_of
    from auscult.runs.store import NoStore, Store
    from auscult.training import choose_device

    if workers is not None and workers < 1:
        raise RunError(f"--workers is {workers}; give a whole number of at least 1")
    device = choose_device(options.device)
    asked = request_of(
        load_recipe(recipe, options.override or ()),
        options.data,
        without=options.without or (),
        dataset=options.dataset,
        machine_types=options.machine_type,
    )
    place = options.store or (out / "store" if out else None)
    there = Store(place) if place is not None and place.is_dir() else NoStore()
    missing: list[str] = []
    made = plan_for(
        asked, there, device=device, weights=options.weights, clean=options.clean, stack=options.stack, missing=missing
    )
    known = read_rates(rates) if rates is not None else {}
    outlook, times, rests_on = Outlook(made, there), None, dict[str, int]()
    if not no_estimate:
        with counting("measuring", shown=not as_json) as show:
            found = outlook.rates(known, on_kind=show)
        times = outlook.estimate(found, workers=workers or default_workers(device))
        rests_on = {"kinds": len(found), "given": len(found.keys() & known)}
    missing += outlook.too_short()
    title, left_out = asked.recipe.name, [*asked.left_out, *made.left_out]
    _show(outlook, times, rests_on, missing=missing, left_out=left_out, title=title, as_json=as_json)
    return 1 if missing else 0


def _show(
    outlook: "Outlook",
    times: "Estimate | None",
    rests_on: "Mapping[str, int]",
    *,
    missing: list[str],
    left_out: list[str],
    title: str,
    as_json: bool,
) -> None:
    from rich.console import Console

    from auscult.cli.display.plan import estimate_text, plan_table

    rows = outlook.rows(times)
    device = outlook.plan.members[0].training.device
    if as_json:
        found = {
            "recipe": title,
            "device": device,
            "seeds": outlook.plan.seeds,
            "rows": [asdict(row) for row in rows],
            "parameters": sum(row.total_parameters for row in rows),
            "disk_bytes": sum(row.n_bytes for row in rows),
            "missing": missing,
            "left_out": left_out,
            "estimate": times and {**asdict(times), "seconds": times.seconds, **rests_on},
        }
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    Console().print(plan_table(rows, f"{title}: what a run makes, and what is done"))
    lines = [f"left out: {text}" for text in left_out]
    lines += [f"missing: {text}" for text in missing]
    if times is not None:
        lines.append(estimate_text(times, device, **rests_on))
    print_lines(*lines, highlight=False)


def bench(*, device: str = "auto", as_json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> None:
    """Measure how fast each step is on this machine, in one process with one thread, on noise; write nothing.

    Args:
        device: auto, cpu, cuda, cuda:N or mps: where networks compute.
        as_json: Print JSON: stages, and the rates that `auscult plan --rates` reads.
    """
    from rich.console import Console

    from auscult.cli.display.plan import steps_table
    from auscult.cli.display.progress import counting
    from auscult.runs.bench import machine, measure_steps
    from auscult.runs.estimate import FORMAT
    from auscult.training import choose_device

    device = choose_device(device)
    with counting("measuring", shown=not as_json) as show:
        steps, rates = measure_steps(device=device, on_step=show)
    if as_json:
        found = {"format": FORMAT, **machine(device), "stages": [asdict(step) for step in steps], "rates": rates}
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    Console().print(steps_table(steps, ", ".join(machine(device).values())))
    note = "Clips of 10 s, one process with one thread; a training hears each clip once in an epoch."
    print_lines(note, highlight=False)
