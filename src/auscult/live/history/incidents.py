"""Incidents, kept up with the events: raised, then cleared; what was only noted is both at once."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, update
from sqlalchemy.dialects.sqlite import insert

from auscult.live.history.tables import incidents

NEW = insert(incidents).on_conflict_do_nothing()
OVER = update(incidents).where(incidents.c.id == bindparam("which")).values(cleared=bindparam("over"))


def keep_up(connection: Connection, event: Mapping[str, Any]) -> None:
    """Bring the incidents up to an event that was just written, a row of the table `events`."""
    over = None if event["phase"] == "raised" else event["time"]
    if event["phase"] == "cleared":
        known = connection.execute(OVER, {"which": event["id"], "over": over})
        if known.rowcount:
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
    connection.execute(NEW, row)
