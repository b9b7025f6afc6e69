"""Commands on denoisers: train-denoiser, denoise."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from auscult.cli.display.messages import print_lines
from auscult.cli.options import LayoutName, Output
from auscult.errors import DatasetError


def train_denoiser(
    data: Path,
    *,
    machine_type: str,
    clean: Path | None = None,
    out: Output,
    dataset: LayoutName = None,
    choose: Literal["mechanical"] | None = None,
    weights: Path | None = None,
    epochs: int | None = None,
    precision: Literal["fp32", "bf16"] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Train the denoiser of one machine type, in ten levels, from clean sounds and from noise.

    Noise is the other types' normal clips, and the data's supplemental clips of the type's surroundings alone.

    Args:
        data: Data folder.
        machine_type: Whose sounds are to be kept.
        clean: Folder of clean mechanical sounds: any sounds, ESC-50, or clips of AudioSet with their segment list. By
            default the data's supplemental clips of the machine type without noise.
        out: Folder of the denoiser. The same command continues a training that was stopped.
        dataset: Layout of the data by its name, as `auscult inspect` says it; detected by default.
        choose: mechanical takes of the clean sounds those alone that YAMNet hears to be of a machine.
        weights: Folder of YAMNet's weights; the environment variable AUSCULT_WEIGHTS by default.
        epochs: With a snapshot after each; 40 by default.
        precision: fp32 or bf16; bf16 is several times as fast where the processor has it.
        seed: Another seed is another training.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from rich.console import Console

    from auscult.cli.display.progress import counting
    from auscult.cli.display.tables import levels_table
    from auscult.denoising.commands import learn_from_folders
    from auscult.training import choose_device

    given = {"epochs": epochs, "precision": precision, "seed": seed, "device": choose_device(device)}
    training = {name: value for name, value in given.items() if value is not None}
    label = None
    if choose is not None and clean is None:
        raise DatasetError("--choose is for the sounds of a folder; give it with --clean, or leave --choose out")
    if choose is not None:
        from auscult.features.yamnet import Yamnet

        label = Yamnet(weights=None if weights is None else str(weights)).mechanical
    with counting(machine_type) as show:
        levels = learn_from_folders(
            data,
            clean,
            machine_type=machine_type,
            out=out,
            dataset=dataset,
            label=label,
            training=training,
            on_epoch=show,
        )
    Console().print(levels_table(levels))


def denoise(
    sources: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    denoiser: Path,
    level: int,
    out: Output,
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
    from auscult.cli.display.progress import counting
    from auscult.denoising.commands import denoise_files
    from auscult.denoising.streaming import Denoiser
    from auscult.training import choose_device

    chosen = Denoiser.load(denoiser, level, device=choose_device(device))
    with counting("denoising") as show:
        written = denoise_files(sources, out, chosen, channel=channel, force=force, on_file=show)
    print_lines(*map(str, written))
