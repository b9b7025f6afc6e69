"""Incidents, kept up with the events: raised, then cleared; what was only noted is both at once."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, update
from sqlalchemy.dialects.sqlite import insert

from auscult.live.history.tables import incidents


def keep_up(connection: Connection, event: Mapping[str, Any]) -> None:
    """Bring the incidents up to an event that was just written, a row of the table `events`."""
    over = None if event["phase"] == "raised" else event["time"]
    if event["phase"] == "cleared":
        known = update(incidents).where(incidents.c.id == event["id"]).values(cleared=over)
        if connection.execute(known).rowcount:
            return
    details = json.loads(event["json"])
    row = {
        "id": event["id"],
        "machine": event["machine"],
        "kind": event["kind"],
        "raised": event["time"],
        "cleared": over,
        "score": details.get("score"),
        "threshold": details.get("threshold"),
        "trouble": details.get("kind") if event["kind"] == "trouble" else None,
        "message": details.get("message") or "",
        "words": details.get("words") or "",
        "json": event["json"],
    }
    connection.execute(insert(incidents).values(row).on_conflict_do_nothing())
