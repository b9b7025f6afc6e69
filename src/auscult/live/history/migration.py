"""From version 1 of the history, which one monitor wrote for one machine, to version 2."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from auscult.live.history.incidents import keep_up
from auscult.live.history.tables import TABLES, checkpoints, events, files, outbox

_OLD = ("events", "outbox", "files", "checkpoint")


def migrate(connection: Connection) -> None:
    """Bring the tables to version 2 within the caller's transaction: events with their columns, incidents from them."""
    for name in _OLD:
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO old_{name}")
    TABLES.create_all(connection, checkfirst=False)
    machine = ""
    saved = connection.exec_driver_sql("SELECT json FROM old_checkpoint").scalar()
    for number, key, line in connection.exec_driver_sql("SELECT number, key, json FROM old_events ORDER BY number"):
        row = event_row(key, line)
        machine = row["machine"]
        connection.execute(insert(events), {"number": number, **row})
        keep_up(connection, row)
    if saved is not None:
        machine = str(json.loads(saved).get("machine_id", machine))
        connection.execute(insert(checkpoints), {"machine": machine, "json": saved})
    for output, number in connection.exec_driver_sql("SELECT output, number FROM old_outbox"):
        connection.execute(insert(outbox), {"output": output, "number": number})
    for name, size, mtime_ns in connection.exec_driver_sql("SELECT name, size, mtime_ns FROM old_files"):
        connection.execute(insert(files), {"machine": machine, "name": name, "size": size, "mtime_ns": mtime_ns})
    for name in _OLD:
        connection.exec_driver_sql(f"DROP TABLE old_{name}")


def event_row(key: str, line: str) -> dict[str, Any]:
    """The columns of an event that was written as a line of JSON."""
    found = json.loads(line)
    return {
        "key": key,
        "machine": found["machine_id"],
        "kind": found["type"],
        "phase": found["event"],
        "id": found["id"],
        "time": datetime.fromisoformat(found["time"]).timestamp(),
        "heard": found["heard_seconds"],
        "json": line,
    }
