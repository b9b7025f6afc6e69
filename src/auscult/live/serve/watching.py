"""By which rule a machine of a plant is watched: that of its detector, with what its table says."""

from dataclasses import replace
from typing import Any

from auscult.detector import Detector
from auscult.detector.alarms import k_of_n
from auscult.live.history import file_hash
from auscult.live.serve.settings import MachineTable
from auscult.live.watch import Watch, watch_machine


def watch_of(name: str, table: MachineTable, detector: Detector, threshold: float | None = None) -> Watch:
    """The rule.

    Args:
        name: of the machine in the plant.
        table: of it.
        detector: of the table.
        threshold: that a user has decided on; none for the table's or the detector's.

    Raises:
        AuscultError: if the detector does not know the machine, or the table says what cannot be.
    """
    rule: dict[str, Any] = {
        "release_k": table.release_k,
        "release_margin": table.release_margin,
        "cool_down_seconds": table.cool_down,
    }
    if table.alarm is not None:
        rule["k"], rule["n"] = k_of_n(table.alarm)
    used = table.threshold if threshold is None else threshold
    watch, _ = watch_machine(detector, table.machine, name=file_hash(table.detector), threshold=used, **rule)
    return replace(watch, machine_id=name)
