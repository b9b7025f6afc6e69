"""What the detectors of a plant say of its machines, read by a worker before anything else begins."""

from pathlib import Path
from typing import Any

from auscult.errors import AuscultError, MonitorError, nearest
from auscult.live.mqtt import MqttAddress
from auscult.live.serve.desk import Desk
from auscult.live.serve.settings import MachineTable, Plant, source_options
from auscult.live.serve.work import check, look_at
from auscult.live.webhook import Webhook


def facts_of_plant(plant: Plant, desk: Desk) -> dict[str, dict[str, Any]]:
    """Machine -> what its detector says of it; all detectors are read, by a worker.

    Raises:
        MonitorError: if a detector cannot be read, or does not know its machine.
    """
    known: dict[Path, dict[str, Any]] = {}
    found: dict[str, dict[str, Any]] = {}
    for name, table in plant.machines.items():
        if table.detector not in known:
            known[table.detector] = machines_of(table.detector, desk)
        machines = known[table.detector]
        listed = ", ".join(machines)
        if table.machine is None and len(machines) != 1:
            raise MonitorError(f"machines.{name}: {table.detector} knows {listed}; say which it is: machine = …")
        machine = table.machine or next(iter(machines))
        if machine not in machines:
            near = nearest(machine, machines)
            raise MonitorError(f"machines.{name}: {table.detector} does not know {machine!r}{near}; it knows {listed}")
        found[name] = machines[machine]
        if table.source is not None:
            _check(name, table, plant, desk)
    return found


def _check(name: str, table: MachineTable, plant: Plant, desk: Desk) -> None:
    """Refuse at the start what a listener would refuse later."""
    try:
        options = source_options(table, table.channel or 0)
        options.check()
        if options.kind not in ("file", "folder") and (table.speed, table.replay) != (None, None):
            raise MonitorError(f"speed and replay are for files and folders, not for {options.shown}; leave them out")
        for outputs in (table.outputs, plant.outputs):
            if outputs.mqtt is not None:
                MqttAddress.parse(outputs.mqtt)
            if outputs.webhook is not None:
                Webhook(outputs.webhook)
            if outputs.home_assistant and not (table.outputs.mqtt or plant.outputs.mqtt):
                raise MonitorError("home_assistant is told by MQTT; give mqtt = HOST[:PORT]/TOPIC under outputs, too")
    except AuscultError as error:
        raise MonitorError(f"machines.{name}: {error}") from error
    if answer := desk.give(check, name, table).result().error:
        raise MonitorError(f"machines.{name}: {answer}")


def not_there(plant: Plant) -> list[str]:
    """Sentences about files and folders of a plant that are not there: most come later, some are slips of the pen."""
    found = []
    for name, one in plant.machines.items():
        if one.source is not None and source_options(one, 0).kind == "file" and not Path(one.source).exists():
            found.append(f"machines.{name}: the source {one.source} is not there; it is heard as soon as it is")
        if one.normals is not None and not one.normals.exists():
            found.append(
                f"machines.{name}: normals {one.normals} are not there; no normal sound stands beside an alarm"
            )
    return found


def machines_of(detector: Path, desk: Desk) -> dict[str, Any]:
    """Machine -> facts of a detector's file, read by a worker.

    Raises:
        MonitorError: if it cannot be read.
    """
    answer = desk.give(look_at, detector).result()
    if answer.error:
        raise MonitorError(answer.error)
    return dict(answer.content)
