"""Commands beside the machine: monitor, history."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from auscult.errors import plain


def monitor(
    detector: Path,
    *,
    source: Annotated[str, Parameter(allow_leading_hyphen=True)],
    machine: str | None = None,
    rate: int | None = None,
    channels: int | None = None,
    sample_format: Annotated[Literal["s16le", "s32le", "f32le", "wav"] | None, Parameter(name="--format")] = None,
    channel: int | None = None,
    stall: float | None = None,
    once: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    windows: Annotated[bool, Parameter(negative=())] = False,
    mqtt: str | None = None,
    home_assistant: Annotated[bool, Parameter(negative=())] = False,
    webhook: str | None = None,
    state: Path | None = None,
    alarm: str | None = None,
    release_k: int | None = None,
    release_margin: float | None = None,
    cool_down: float | None = None,
    threshold: float | None = None,
    device: str = "cpu",
) -> None:
    """Listen to a machine and raise an alarm when it sounds wrong.

    Args:
        detector: File that `auscult learn` or `auscult pack` wrote.
        source: mic, mic:DEVICE, a sound file, a folder to watch, an rtsp or http URL, or - for standard input.
        machine: Which of the detector's machines it is; not needed if it knows only one.
        rate: Of raw samples (or the microphone), in Hz. Higher rates than the detector's are resampled.
        channels: Of raw samples; 1 by default.
        sample_format: Of standard input; s16le by default. wav says its rate and channels itself.
        channel: To listen to, counted from 0; the detector's by default. Of two microphones, the one near the machine.
        stall: Seconds without sound that are reported: 10 by default, 3600 for a folder.
        once: Hear what is in the folder, then end.
        json: JSON lines on standard output: alarms, troubles.
        windows: With --json, also a line for every window.
        mqtt: HOST[:PORT]/TOPIC, with mqtts:// before it for TLS; AUSCULT_MQTT_USERNAME and AUSCULT_MQTT_PASSWORD in
            the environment.
        home_assistant: With --mqtt, a device of Home Assistant: problem, score, threshold.
        webhook: URL that gets each alarm by POST; AUSCULT_WEBHOOK_AUTHORIZATION in the environment.
        state: Folder of the history (events, scores, sounds of alarms) and of what is needed after a restart; by
            default NAME-monitor here for a detector NAME.auscult, and none for a file.
        alarm: k/n, windows above the threshold among the last n that raise an alarm. This and the next four are as
            calibrated unless they are given.
        release_k: An alarm is over when fewer of the last n windows are above the release level.
        release_margin: How far that lies below the threshold, in spreads of normal scores.
        cool_down: Seconds after an alarm in which none is raised.
        threshold: Instead of the calibrated one.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from auscult.cli.display.messages import print_warning
    from auscult.cli.display.scores import Patience

    rule = {"release_k": release_k, "release_margin": release_margin, "cool_down_seconds": cool_down}
    with Patience(f"loading {detector.name}"):
        import torch

        from auscult.detector import Detector
        from auscult.detector.alarms import k_of_n
        from auscult.live.history import file_hash
        from auscult.live.session import Outputs, listen
        from auscult.live.sources import SourceOptions
        from auscult.live.watch import DetectorScorer, watch_machine
        from auscult.training import choose_device

        if alarm is not None:
            rule["k"], rule["n"] = k_of_n(alarm)
        torch.set_num_threads(1)  # others need the computer too, and the scores are those of offline to the last bit
        loaded = Detector.load(detector, device=choose_device(device))
    watch, warnings = watch_machine(loaded, machine, name=file_hash(detector), threshold=threshold, **rule)
    for warning in warnings:
        print_warning(warning)
    options = SourceOptions(source, rate, channels, sample_format, loaded.listening(channel), stall, once)
    if state is None and options.kind != "file":
        state = Path(f"{detector.stem}-monitor")
    outputs = Outputs(json, windows, mqtt, webhook, home_assistant)
    listen(DetectorScorer(loaded, watch.machine_id), watch, options, state=state, outputs=outputs, warn=print_warning)


def history(state: Path, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Print what a monitor has written down: every alarm and trouble once, the oldest first.

    Args:
        state: Folder that the monitor was given as --state.
        json: JSON lines.
    """
    from auscult.live.events import dumps
    from auscult.live.history import read_events
    from auscult.live.terminal import describe

    for event in read_events(state):
        sys.stdout.write((dumps(event) if json else plain(describe(event))) + "\n")
