"""A monitor's checkpoint, read again: how to go on after an end or a crash."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auscult.errors import MonitorError
from auscult.live.sound import FileKey
from auscult.live.watch import Watch


@dataclass(frozen=True, slots=True)
class SavedMonitor:
    """Where a monitor stood.

    Attributes:
        detector: what made its scores.
        alarm: state of the alarm, as JSON.
        warning: state of the warning; empty if there was no such level.
        troubles: state of the troubles.
        heard: seconds of sound before the recording that was being heard.
        listened: the same, and what was heard of that recording.
        time: of the wall clock, in seconds since 1970.
        file: that was being heard, if one was.
        windows: of that file which were scored.
    """

    detector: str
    alarm: Mapping[str, Any]
    warning: Mapping[str, Any]
    troubles: Mapping[str, Any]
    heard: float
    listened: float
    time: float
    file: FileKey | None
    windows: int

    @classmethod
    def of(cls, saved: Mapping[str, Any], watch: Watch) -> "SavedMonitor":
        """Read a checkpoint.

        Raises:
            MonitorError: if it is damaged, or of another machine.
        """
        try:
            machine, file = str(saved["machine_id"]), saved["file"]
            found = cls(
                saved["detector"],
                dict(saved["alarm"]),
                dict(saved.get("warning") or {}),
                dict(saved["troubles"]),
                float(saved["heard"]),
                float(saved.get("listened", saved["heard"])),
                float(saved["time"]),
                None if file is None else FileKey(**file),
                int(saved["windows"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MonitorError(f"the saved state of the monitor is damaged ({error!r}); name a new --state") from error
        if machine != watch.machine_id:
            raise MonitorError(
                f"the history belongs to the machine {machine}, not to {watch.machine_id}; name another folder with "
                "--state"
            )
        return found
