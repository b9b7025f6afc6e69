"""The command line: each command parses, calls one function, prints."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from auscult import __version__
from auscult.errors import AuscultError

app = App(
    name="auscult",
    version=__version__,
    help="Hear whether a machine is failing, from its normal sound alone.",
    suppress_keyboard_interrupt=False,  # `main` has a word to say
)

Types = Annotated[list[str] | None, Parameter(name="--machine-type", negative=())]
Overrides = Annotated[list[str] | None, Parameter(name="--override", negative=())]


@app.command
def run(
    recipe: str,
    *,
    data: Path,
    out: Path,
    machine_type: Types = None,
    dataset: str | None = None,
    truth: Path | None = None,
    clean: Path | None = None,
    device: str = "auto",
    override: Overrides = None,
    store: Path | None = None,
) -> None:
    """Train a recipe's models on normal clips, score the test clips, evaluate, write a report.

    Args:
        recipe: Name of a built-in recipe (see `auscult recipes`) or a TOML file.
        data: Data folder; see `auscult inspect`.
        out: Run folder. The same folder and recipe continues a run that was stopped.
        machine_type: Only this machine type; may be repeated.
        dataset: Layout of the data: dcase, mimii or folder; detected by default.
        truth: Ground-truth list of the evaluation clips.
        clean: Folder of clean mechanical sounds for recipes with a denoiser.
        device: auto, cpu, cuda, cuda:N or mps. Results repeat bit for bit on the CPU.
        override: key=value in the recipe, for instance training.epochs=3; may be repeated.
        store: Folder of artefacts that runs share; OUT/store by default.
    """
    from rich.console import Console

    from auscult import runs
    from auscult.display import Display, results_table
    from auscult.recipe import load_recipe
    from auscult.training import choose_device

    console = Console()
    chosen = load_recipe(recipe, override or ())
    if clean is not None and not any(member.level for member in chosen.member):
        note = f"note: no member of {chosen.name} has a denoiser; --clean is not used"
        Console(stderr=True, soft_wrap=True).print(note, markup=False)
    with Display().shown() as (on_plan, on_progress):
        finished = runs.run(
            chosen,
            data=data,
            out=out,
            dataset=dataset,
            machine_types=machine_type,
            truth=truth,
            clean=clean,
            device=choose_device(device),
            store=store,
            on_plan=on_plan,
            on_progress=on_progress,
        )
    for rows, what in ((finished.results, ""), (finished.evaluation_results, ", evaluation machines")):
        if rows:
            console.print(results_table(finished, rows, f"{chosen.name}{what}: AUC / pAUC in percent"))
    for note in finished.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)


@app.command
def recipes() -> None:
    """List the built-in recipes."""
    from rich.console import Console

    from auscult.display import recipes_table
    from auscult.recipe import builtin_recipes

    Console().print(recipes_table(builtin_recipes()))


@app.command
def synth(
    out: Path,
    *,
    size: Literal["tiny", "demo", "full"] = "demo",
    seed: int = 0,
    snr: float = 6.0,
    machine_type: Types = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a synthetic factory: six machine types, their faults and factory noise, in the challenge's layout.

    Args:
        out: Folder to make.
        size: tiny for tests, demo for minutes of training, full for the challenge's sizes.
        seed: Another seed is another factory.
        snr: Power of a healthy machine over that of the background, in dB.
        machine_type: Only this machine type; may be repeated.
        force: Replace the factory that is there.
    """
    from rich.console import Console

    from auscult.datasets.factory import write_factory
    from auscult.display import counting

    with counting(f"writing {out}") as show:
        write_factory(
            out,
            size=size,
            seed=seed,
            snr_db=snr,
            force=force,
            machine_types=machine_type,
            progress=show,
        )
    Console().print(f"factory: {out}", markup=False, soft_wrap=True)


@app.command
def inspect(
    data: Path,
    *,
    dataset: str | None = None,
    truth: Path | None = None,
    quick: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Print the clips of a data folder, and every problem found; the exit code is 1 if there is one.

    Args:
        data: Data folder.
        dataset: Layout: dcase, mimii or folder; detected by default.
        truth: Ground-truth list of the evaluation clips.
        quick: Read only the files' headers.
    """
    from rich.console import Console

    from auscult.datasets.inspect import format_inspection, inspect_dataset

    inspection = inspect_dataset(data, dataset=dataset, truth=truth, deep=not quick, progress=True)
    Console().print(format_inspection(inspection))
    return 1 if inspection.problems else 0


@app.command
def download(
    dataset: Literal["dcase2020"],
    *,
    to: Path,
    part: Annotated[list[str] | None, Parameter(negative=())] = None,
    machine_type: Types = None,
    base_url: str | None = None,
    keep_archives: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fetch, check and unpack official archives; a transfer that broke off continues.

    Args:
        dataset: What to fetch.
        to: Data folder.
        part: development, additional or evaluation; may be repeated. All by default.
        machine_type: Only this machine type; may be repeated.
        base_url: A mirror with the paths of zenodo.org.
        keep_archives: Keep the archives after unpacking.
    """
    from rich.console import Console

    from auscult.datasets.download import PARTS, ZENODO, download_dcase2020

    del dataset  # the only one so far; cyclopts checks it
    folders = download_dcase2020(
        to,
        parts=part or PARTS,
        machine_types=machine_type,
        base_url=base_url or ZENODO,
        keep_archives=keep_archives,
    )
    for folder in folders:
        Console().print(str(folder), markup=False, soft_wrap=True)


@app.command(name="train-denoiser")
def train_denoiser(
    data: Path,
    *,
    clean: Path,
    machine_type: str,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    dataset: str | None = None,
    epochs: int | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Train the denoiser of one machine type, in ten levels, from clean sounds and the other types' normal clips.

    Args:
        data: Data folder.
        clean: Folder of clean mechanical sounds: any sounds, ESC-50, or clips of AudioSet with their segment list.
        machine_type: Whose sounds are to be kept.
        out: Folder of the denoiser. The same command continues a training that was stopped.
        dataset: Layout of the data: dcase, mimii or folder; detected by default.
        epochs: With a snapshot after each; 40 by default.
        precision: fp32 or bf16; bf16 is several times as fast where the processor has it.
        seed: Another seed is another training.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from rich.console import Console

    from auscult.denoising.commands import learn_from_folders
    from auscult.display import counting, levels_table
    from auscult.training import choose_device

    given = {"epochs": epochs, "precision": precision, "seed": seed, "device": choose_device(device)}
    training = {name: value for name, value in given.items() if value is not None}
    with counting(machine_type) as show:
        levels = learn_from_folders(
            data, clean, machine_type=machine_type, out=out, dataset=dataset, training=training, on_epoch=show
        )
    Console().print(levels_table(levels))


@app.command
def denoise(
    sources: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    denoiser: Path,
    level: int,
    out: Annotated[Path, Parameter(name=("--out", "-o"))],
    channel: int = 0,
    device: str = "auto",
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Denoise recordings of any length; the results have the denoiser's rate.

    Args:
        sources: Files, or folders of them.
        denoiser: Folder that `auscult train-denoiser` wrote.
        level: Strength, 1 to 10.
        out: The new file for one file, or a folder.
        channel: Of multi-channel files, counted from 0.
        device: auto, cpu, cuda, cuda:N or mps.
        force: Replace files that are there.
    """
    from rich.console import Console

    from auscult.denoising.commands import denoise_files
    from auscult.denoising.streaming import Denoiser
    from auscult.display import counting
    from auscult.training import choose_device

    chosen = Denoiser.load(denoiser, level, device=choose_device(device))
    with counting("denoising") as show:
        written = denoise_files(sources, out, chosen, channel=channel, force=force, on_file=show)
    for path in written:
        Console().print(str(path), markup=False, soft_wrap=True)


@app.command
def evaluate(
    folder: Path, *, truth: Path | None = None, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False
) -> None:
    """Print AUC and pAUC of a folder of challenge score files, anomaly_score_TYPE_id_NN.csv.

    Args:
        folder: Folder of score files; other files are named on standard error and ignored.
        truth: The challenge's ground-truth list, for clips whose names do not tell their label.
        as_json: Print JSON, fractions of 1.
    """
    from rich.console import Console

    from auscult import metrics
    from auscult.datasets.dcase import read_truth
    from auscult.display import figures_table
    from auscult.submission import read_submission

    table, ignored = read_submission(folder, truth=read_truth(truth) if truth else None)
    for path in ignored:
        Console(stderr=True, soft_wrap=True).print(f"ignored: {path}", markup=False)
    figures = metrics.evaluate(table)
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        Console().print(figures_table(figures, str(folder)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command: exit code 0 if it succeeded, 2 for a user's mistake, 130 after Ctrl-C."""
    from auscult.display import print_error

    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        print_error(f"{error} See `auscult --help`, or `auscult COMMAND --help`")
        sys.exit(2)
    except (AuscultError, OSError) as error:  # what the system refuses and no stage foresaw says its own reason
        print_error(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; what was finished is kept, and the same command continues\n")
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
