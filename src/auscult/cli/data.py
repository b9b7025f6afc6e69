"""Commands on data: synth, inspect, download."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from auscult.cli.display.messages import print_lines
from auscult.cli.options import LayoutName, Types
from auscult.errors import DownloadError


def synth(
    out: Path,
    *,
    layout: Annotated[str, Parameter(name=["--layout", "--dataset"])] = "dcase2020",
    size: Literal["tiny", "demo", "full"] = "demo",
    seed: int = 0,
    snr: float = 6.0,
    leakage: float | None = None,
    machine_type: Types = None,
    hours: float | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a synthetic factory: machines, their faults and factory noise, in the layout of a year of the challenge.

    Args:
        out: Folder to make.
        layout: dcase2020 to dcase2026: machine types, names, domains, attributes, supplemental clips, channels of that
            year.
        size: tiny for tests, demo for minutes of training, full for the challenge's machines and clip length, and since
            2021 its number of clips.
        seed: Another seed is another factory.
        snr: Power of a healthy machine over that of the background, in dB; near the machine.
        leakage: Of 2026, which has a far microphone: amplitude of the machine there over that near it; 0.1 by default.
        machine_type: Only this machine type; may be repeated.
        hours: Instead of clips, so many hours of normal sound of each machine to learn from, and as many of a day with
            faults to replay (`auscult serve --config OUT/plant.toml`); an hour of a machine takes 140 MB in all.
        force: Replace the factory that is there.
    """
    from auscult.cli.display.progress import counting
    from auscult.datasets import YEAR_NAMES
    from auscult.datasets.factory import write_day, write_factory
    from auscult.errors import DatasetError, nearest

    if hours is not None:
        if force or leakage is not None or (layout, size) != ("dcase2020", "demo"):
            raise DatasetError("--hours writes no clips: leave out --layout, --size, --leakage and --force")
        with counting(f"writing {out}") as show:
            write_day(out, hours=hours, seed=seed, snr_db=snr, machine_types=machine_type, progress=show)
        print_lines(f"a day in the factory: {out}")
        return
    if layout not in YEAR_NAMES:
        known = ", ".join(YEAR_NAMES)
        raise DatasetError(f"the factory has no layout {layout!r}{nearest(layout, YEAR_NAMES)}; choose {known}")
    with counting(f"writing {out}") as show:
        write_factory(
            out,
            size=size,
            layout=YEAR_NAMES[layout],
            seed=seed,
            snr_db=snr,
            leakage=leakage,
            force=force,
            machine_types=machine_type,
            progress=show,
        )
    print_lines(f"factory: {out}")


def inspect(
    data: Path,
    *,
    dataset: LayoutName = None,
    truth: Path | None = None,
    quick: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Print the clips of a data folder, and every problem found; the exit code is 1 if there is one.

    Args:
        data: Data folder.
        dataset: Layout by its name, for instance dcase2024; detected by default. An unknown name is answered by all.
        truth: Ground-truth list of the evaluation clips.
        quick: Read only the files' headers.
    """
    from rich.console import Console

    from auscult.datasets.inspect import format_inspection, inspect_dataset

    inspection = inspect_dataset(data, dataset=dataset, truth=truth, deep=not quick, progress=True)
    # A pipe has no width: nothing is cut there.
    Console(width=None if sys.stdout.isatty() else 200).print(format_inspection(inspection), markup=False)
    return 1 if inspection.problems else 0


def download(
    what: str,
    *,
    to: Path,
    generation: Literal["0.2", "0.4"] | None = None,
    part: Annotated[list[str] | None, Parameter(negative=())] = None,
    machine_type: Types = None,
    base_url: str | None = None,
    keep_archives: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fetch and check official files; a transfer that broke off continues.

    Args:
        what: dcase2020 to dcase2026, the challenge's archives, which are unpacked; or openl3 or yamnet, the weights of
            embeddings.
        to: Data folder, or folder of weights.
        generation: Of OpenL3's weights; 0.2, the report's, by default.
        part: Of dcase20XX: development, additional or evaluation; may be repeated. All by default.
        machine_type: Of dcase20XX: only this one; may be repeated.
        base_url: A mirror with the paths of zenodo.org, or with the names of the weights.
        keep_archives: Of dcase20XX: keep the archives after unpacking.
    """
    from auscult.datasets import YEAR_NAMES
    from auscult.datasets.download import PARTS, ZENODO, download_dcase
    from auscult.errors import nearest
    from auscult.features.openl3_weights import MODELS_BRANCH, download_openl3
    from auscult.features.yamnet_weights import PUBLISHED, download_yamnet

    known = [*YEAR_NAMES, "openl3", "yamnet"]
    if what not in known:
        raise DownloadError(
            f"{what!r} cannot be downloaded{nearest(what, known)}; there are {', '.join(known)}; see --help"
        )
    of_data = {"--part": part, "--machine-type": machine_type, "--keep-archives": keep_archives}
    foreign: dict[str, Any] = {} if what == "openl3" else {"--generation": generation}
    if what not in YEAR_NAMES:
        foreign |= of_data
    for option in (name for name, value in foreign.items() if value):
        raise DownloadError(f"{what} has no {option}; remove it, see `auscult download --help`")
    if what not in YEAR_NAMES:
        if what == "openl3":
            path = download_openl3(to, generation=generation or "0.2", base_url=base_url or MODELS_BRANCH)
        else:
            path = download_yamnet(to, base_url=base_url or PUBLISHED)
        print_lines(str(path))
        return
    folders = download_dcase(
        YEAR_NAMES[what],
        to,
        parts=part or PARTS,
        machine_types=machine_type,
        base_url=base_url or ZENODO,
        keep_archives=keep_archives,
    )
    print_lines(*map(str, folders))
