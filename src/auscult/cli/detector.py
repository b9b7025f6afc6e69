"""Commands that make detectors and score with them: learn, pack, score."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from auscult.cli.display.messages import print_lines, print_notes
from auscult.cli.options import Output, Overrides

if TYPE_CHECKING:
    from auscult.detector import Detector
    from auscult.detector.calibration.result import Method
    from auscult.detector.learn import Learned, LearnSettings
    from auscult.recipe import Recipe

Flag = Annotated[bool, Parameter(negative=())]


def learn(
    normals: Path,
    *,
    out: Output,
    recipe: str | None = None,
    encoder: str | None = None,
    false_alarms: str = "1/day",
    method: Literal["split", "cross-fitted"] = "split",
    machine: Annotated[str | None, Parameter(name=["--machine", "--name"])] = None,
    machine_type: str | None = None,
    channel: int | None = None,
    window: float | None = None,
    step: float = 1.0,
    alarm: str | None = None,
    cool_down: float | None = None,
    override: Overrides = None,
    device: str = "cpu",
    workers: int | None = None,
    weights: Path | None = None,
    carry_encoder: bool = True,
    licence: str = "",
    report: Path | None = None,
    force: Flag = False,
) -> None:
    """Learn a detector from recordings of normal sound, calibrated to a rate of false alarms.

    Args:
        normals: A recording, a folder of one machine's recordings, or one with a folder for each machine.
        out: The detector's file, for instance pump.auscult.
        recipe: Name of a built-in recipe (see `auscult recipes`) or a TOML file; practical, or dual for an encoder.
        encoder: Kind of the features of all members, such as yamnet: what was learnt from other sounds hears for them.
        false_alarms: Alarms of normal sound that are accepted, a number per hour, day, week, month or year.
        method: split trains on the first half and calibrates on the second; cross-fitted uses all for both.
        machine: All recordings are of this one machine, whatever the folders are called. By default folders name
            machines; where one is called normals or the like, or is a recording, the detector's file does.
        machine_type: Whose members of the recipe are wanted, where it has some for certain types.
        channel: Of multi-channel files, counted from 0; the recipe's by default. The detector remembers it.
        window: Length of the windows that are scored, in seconds; 10 by default, less where there is little sound.
        step: From one window to the next, in seconds.
        alarm: k/n, windows above the threshold among the last n that raise an alarm; 3/5 by default.
        cool_down: Seconds after an alarm in which none is raised; 60 by default, less where there is little sound.
        override: key=value in the recipe; may be repeated.
        device: auto, cpu, cuda, cuda:N or mps, on which to train.
        workers: Processes that score the calibration sound; by default as many as processors.
        weights: Folder of encoders' weights; the environment variable AUSCULT_WEIGHTS by default.
        carry_encoder: The detector's file holds the weights of its encoder, or names them by their hash.
        licence: Of the recordings; the detector keeps it.
        report: HTML page on what was learned; beside the detector, with the ending .html, by default.
        force: Replace a file that is there.
    """
    from auscult.cli.display.scores import Patience

    with Patience("loading"):
        from auscult.cli.display.progress import counting
        from auscult.detector import learn as learning
        from auscult.processes import default_workers
        from auscult.training import choose_device

    page = report or out.with_suffix(".html")
    _require_new([out, page], force=force)
    settings = _settings(false_alarms, window=window, step=step, alarm=alarm, cool_down=cool_down, method=method)
    with counting("learning") as show:
        learned = learning.learn(
            normals,
            recipe=_recipe(recipe, encoder, override, channel),
            settings=settings,
            machine=machine,
            otherwise=out.stem,
            machine_type=machine_type,
            device=choose_device(device),
            workers=default_workers() if workers is None else workers,
            weights=weights,
            licence=licence,
            on_progress=lambda label, done, total: show(done, total, label),
        )
    _finish(learned, out, page, (), carry=carry_encoder)


def pack(
    run: Path,
    *,
    out: Output,
    machine_type: str | None = None,
    system: str | None = None,
    protocol: str = "uniform",
    calibrate: Path | None = None,
    false_alarms: str = "1/day",
    machine: str | None = None,
    window: float = 10.0,
    step: float = 1.0,
    alarm: str | None = None,
    cool_down: float | None = None,
    workers: int | None = None,
    store: Path | None = None,
    weights: Path | None = None,
    carry_encoder: bool = True,
    licence: str = "",
    report: Path | None = None,
    force: Flag = False,
) -> None:
    """Make a detector of a run: one of its systems, for one machine type.

    Args:
        run: Folder of a finished run.
        out: The detector's file, for instance fan.auscult.
        machine_type: Whose members; needed where the run has several machine types.
        system: A member or an ensemble of the run; its result by default.
        protocol: How members are combined: uniform, leave-one-id-out or paper; the last two choose on test labels.
        calibrate: Recordings of normal sound that the run did not train on, as for `auscult learn`: sets thresholds.
        false_alarms: Alarms of normal sound that are accepted, a number per hour, day, week, month or year.
        machine: All recordings of --calibrate are of this one machine.
        window: Length of the windows that are scored, in seconds; best that of the run's clips.
        step: From one window to the next, in seconds.
        alarm: k/n, windows above the threshold among the last n that raise an alarm; 3/5 by default.
        cool_down: Seconds after an alarm in which none is raised; 60 by default, less where there is little sound.
        workers: Processes that score the calibration sound; by default as many as processors.
        store: The run's folder of artefacts, where its denoisers are; RUN/store by default.
        weights: Folder of encoders' weights; the environment variable AUSCULT_WEIGHTS by default.
        carry_encoder: The detector's file holds the weights of its encoder, or names them by their hash.
        licence: Of the training data; the detector keeps it.
        report: With --calibrate, HTML page on the thresholds; beside the detector, with the ending .html, by default.
        force: Replace a file that is there.
    """
    from auscult.detector.learn.recordings import find_recordings
    from auscult.detector.pack import pack as make
    from auscult.processes import default_workers, require_workers

    require_workers(workers := default_workers() if workers is None else workers)
    page = report or out.with_suffix(".html")
    _require_new([out, page] if calibrate else [out], force=force)
    settings = _settings(false_alarms, window=window, step=step, alarm=alarm, cool_down=cool_down, method="split")
    if calibrate is not None:
        find_recordings(calibrate, machine=machine)  # before the run's models are read
    packed = make(
        run,
        machine_type=machine_type,
        system=system,
        protocol=protocol,
        window_seconds=settings.window_seconds,
        step_seconds=settings.step_seconds,
        store=store,
        weights=weights,
        licence=licence,
    )
    if calibrate is None:
        packed.detector.save(out, carry=carry_encoder)
        print_notes(packed.warnings)
        print_lines(f"detector: {out}")
        return
    packed.require_unheard(calibrate)
    learned = _calibrated(packed.detector, calibrate, settings, machine=machine, workers=workers)
    _finish(learned, out, page, packed.warnings[1:], carry=carry_encoder)


def score(
    detector: Path,
    files: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    machine: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    as_csv: Annotated[bool, Parameter(name="--csv", negative=())] = False,
    channel: int | None = None,
    workers: int = 1,
) -> int:
    """Score recordings with a detector; the exit code is 3 if one could not be scored.

    Args:
        detector: The detector's file.
        files: Recordings, or folders of such.
        machine: Which machine made them; by default the detector's only one, or the one that a path names.
        as_json: Print a JSON object in each line.
        as_csv: Print CSV.
        channel: Of multi-channel files, counted from 0; by default the one that the detector learned from.
        workers: Processes that score; each takes a few seconds to start, so they pay for many files.
    """
    from auscult.cli.display.scores import Patience, writer_of
    from auscult.errors import DetectorError
    from auscult.processes import require_workers

    require_workers(workers)
    if as_json and as_csv:
        raise DetectorError("--json and --csv are both given; choose one")
    failed = 0

    def refuse(sentence: str) -> None:
        from auscult.cli.display.messages import print_error

        nonlocal failed
        failed += 1
        patience.end()
        print_error(sentence)

    with (
        Patience(f"loading {detector.name}") as patience,
        writer_of("json" if as_json else "csv" if as_csv else "table") as write,
    ):
        from auscult.detector import Detector
        from auscult.detector.listing import score_all, sounds_in
        from auscult.sound.audio import probe

        opened = Detector.load(detector)
        sounds = sounds_in(files, refused=refuse)
        for file, found in score_all(opened, sounds, machine=machine, channel=channel, workers=workers):
            patience.end()
            if isinstance(found, str):
                refuse(found)
            else:
                write(file, found)
                if note := probe(file).note:
                    print_notes([f"{file}: {note}"])
            patience.wait("scoring")
    return 3 if failed else 0


def _recipe(name: str | None, encoder: str | None, override: Overrides, channel: int | None) -> "Recipe":
    """The recipe to learn by, with another encoder and another channel where they are named."""
    from auscult.recipe import load_recipe

    changes = [*(override or ()), *([] if channel is None else [f"channel={channel}"])]
    if encoder is None:
        return load_recipe(name or "practical", changes)
    hop = ", hop = 0.5" if encoder == "yamnet" else ""  # windows of a monitor, 1 s apart, share what they hear
    return load_recipe(name or "dual", [f'member.*.features={{ kind = "{encoder}"{hop} }}', *changes])


def _settings(
    rate: str, *, window: float | None, step: float, alarm: str | None, cool_down: float | None, method: "Method"
) -> "LearnSettings":
    from auscult.detector.alarms import AlarmSettings, k_of_n
    from auscult.detector.calibration.result import parse_rate
    from auscult.detector.learn.settings import WINDOW_SECONDS, LearnSettings

    usual = AlarmSettings()
    k, n = (usual.k, usual.n) if alarm is None else k_of_n(alarm)
    seconds = usual.cool_down_seconds if cool_down is None else cool_down
    return LearnSettings(
        rate=parse_rate(rate),
        window_seconds=WINDOW_SECONDS if window is None else window,
        step_seconds=step,
        method=method,
        alarm=AlarmSettings(k=k, n=n, cool_down_seconds=seconds),
        adapt_window=window is None,
        adapt_cool_down=cool_down is None,
    )


def _require_new(paths: Sequence[Path], *, force: bool) -> None:
    from auscult.errors import DetectorError
    from auscult.files import require_writable

    if len({path.resolve() for path in paths}) < len(paths):
        raise DetectorError(f"{paths[0]} would be both the detector and its page; give --out another ending than .html")
    for path in paths:
        require_writable(path)
        if path.is_dir():
            raise DetectorError(f"{path} is a folder; name a file")
        if path.exists() and not force:
            raise DetectorError(f"{path} is there already; name another file, or replace it with --force")


def _calibrated(
    detector: "Detector", normals: Path, settings: "LearnSettings", *, machine: str | None, workers: int
) -> "Learned":
    from auscult.cli.display.progress import counting
    from auscult.detector.learn import calibrate_detector

    with counting("calibrating") as show:
        return calibrate_detector(
            detector,
            normals,
            settings=settings,
            machine=machine,
            workers=workers,
            on_progress=lambda label, done, total: show(done, total, label),
        )


def _finish(learned: "Learned", out: Path, page: Path, warnings: Sequence[str], *, carry: bool) -> None:
    """Write the detector and its page, and print what its user must know."""
    from rich.console import Console

    from auscult.cli.display.progress import counting
    from auscult.cli.display.scores import thresholds_table
    from auscult.report.learned import write_learned

    with counting("writing") as show:
        show(0, 2, "the detector")
        learned.detector.save(out, carry=carry)
        show(1, 2, "the page")
        write_learned(learned, page)
        show(2, 2, "the page")
    Console().print(thresholds_table(learned.detector))
    print_notes([*warnings, *learned.warnings])
    print_lines(f"detector: {out}", f"report: {page}")
