"""One transaction of a monitor: all that waits goes into the tables."""

from typing import Any

from sqlalchemy import Connection, func
from sqlalchemy.dialects.sqlite import insert

from auscult.live.history.incidents import keep_up
from auscult.live.history.pending import Pending, PendingEvent
from auscult.live.history.rows import Sound
from auscult.live.history.tables import checkpoints, events, files, outbox, scores, sounds, thresholds

KEY = ("machine", "level", "time")


def _merging() -> Any:
    new = insert(scores)
    old, values = scores.c, new.excluded
    changes = {name: old[name] + values[name] for name in ("count", "scored", "above", "sum")}
    for name, best in (("low", func.min), ("high", func.max)):  # of None and a number, the number
        changes[name] = best(func.coalesce(old[name], values[name]), func.coalesce(values[name], old[name]))
    return new.on_conflict_do_update(index_elements=KEY, set_=changes)


MERGE = _merging()
"""Adds rows of scores to those that are there."""

EVENT, SOUND = insert(events).on_conflict_do_nothing(), insert(sounds).on_conflict_do_nothing()
OUTBOX, THRESHOLD = insert(outbox), insert(thresholds)
FILE, CHECKPOINT = (insert(table).prefix_with("OR REPLACE") for table in (files, checkpoints))


def write(connection: Connection, pending: Pending, machine: str) -> None:
    """Write all that waits, within the caller's transaction.

    Args:
        connection: in a transaction that may write.
        pending: what waits.
        machine: whose it is; of events without one, their own.
    """
    for key, waiting in pending.events.items():
        _write_event(connection, key, waiting, machine)
    if pending.delivered:
        got = [{"o": output, "n": number} for output, number in pending.delivered]
        connection.exec_driver_sql("DELETE FROM outbox WHERE output = :o AND number = :n", got)
    for file in pending.files.values():
        row = {"machine": machine, "name": file.name, "size": file.size, "mtime_ns": file.mtime_ns}
        connection.execute(FILE, row)
    if pending.checkpoint is not None:
        saved = {"machine": machine, "json": pending.checkpoint}
        connection.execute(CHECKPOINT, saved)
    if pending.buckets:
        connection.execute(MERGE, [bucket.row(machine, place) for place, bucket in pending.buckets.items()])
    for incident, sound in pending.sounds.items():
        write_sound(connection, incident, sound)
    for threshold in pending.thresholds:
        connection.execute(THRESHOLD, {**threshold.to_json(), "machine": threshold.machine})


def write_sound(connection: Connection, incident: str, sound: Sound) -> None:
    """Write the sound of an incident, if it has none."""
    row = {name: getattr(sound, name) for name in ("start", "seconds", "before", "sample_rate", "channels", "flac")}
    connection.execute(SOUND, {"incident": incident, **row})


def _write_event(connection: Connection, key: str, waiting: PendingEvent, machine: str) -> None:
    event = waiting.event
    row: dict[str, Any] = {
        "key": key,
        "machine": machine or event.machine_id,
        "kind": event.kind,
        "phase": event.phase,
        "id": event.id,
        "time": event.time,
        "heard": event.heard_seconds,
        "json": waiting.line,
    }
    added = connection.execute(EVENT, row)
    if not added.rowcount:
        return
    missing = [{"output": output, "number": added.lastrowid} for output in waiting.missing]
    if missing:
        connection.execute(OUTBOX, missing)
    keep_up(connection, row)
