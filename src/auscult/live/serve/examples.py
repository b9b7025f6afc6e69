"""Examples of answers, for `/openapi.json`."""

from typing import Any

NOTE: dict[str, Any] = {
    "number": 3,
    "machine": "pump-3",
    "incident": "pump-3-20260102T030405Z-1f2e-1",
    "start": 1767345011.1,
    "end": 1767345071.1,
    "verdict": "normal",
    "text": "the tank was being filled",
    "author": "Ines",
    "said": 1767348000.0,
    "undone": None,
    "undone_by": None,
    "score": 4.1,
    "threshold": 3.2,
    "heard": True,
}
PROPOSAL: dict[str, Any] = {
    "note": 3,
    "before": 3.2,
    "after": 4.1,
    "promised": "1/day",
    "hours": 21.5,
    "alarms": 1,
    "kept": False,
    "reason": "1 alarm of normal sound in 21.5 hours, and 1/day are promised: …",
}
INCIDENT: dict[str, Any] = {
    "id": NOTE["incident"],
    "machine": "pump-3",
    "kind": "alarm",
    "raised": 1767345011.1,
    "cleared": 1767345071.1,
    "score": 4.1,
    "threshold": 3.2,
    "words": "a tone at 3.2 kHz, 8 dB above normal, since 12.3 s",
    "differences": [],
    "trouble": None,
    "message": "",
    "sound": {"start": 1767344990.0, "seconds": 24.0, "before": 10.0, "bytes": 402113},
    "notes": [NOTE],
    "verdict": "normal",
}
MACHINE: dict[str, Any] = {
    "name": "pump-3",
    "title": "Pump 3, hall 2",
    "state": "alarm",
    "since": 1767345011.1,
    "message": "",
    "score": 4.1,
    "threshold": 3.2,
    "warning": None,
    "last_window": 1767345071.1,
    "heard_seconds": 77400.0,
    "detector": "pump.auscult",
    "detector_file": "same",
    "source": "mic:2",
    "words": INCIDENT["words"],
    "caveat": "",
    "promised": "1/day",
    "window_seconds": 10.0,
    "step_seconds": 5.0,
    "sample_rate": 16000,
    "clock": 1767345071.3,
    "replay": False,
    "open": [INCIDENT["id"]],
    "alarms_day": 1,
    "trend": {"time": [1767344400.0], "high": [4.1], "step": 600},
    "faults": {"confirmed": 2, "heard": 2},
}
SCORES: dict[str, Any] = {
    "step": 60,
    "time": [1767344940.0, 1767345000.0],
    "low": [0.2, 0.4],
    "mean": [0.9, 2.2],
    "high": [1.4, 4.1],
    "count": [12, 12],
    "scored": [12, 12],
    "above": [0, 5],
    "thresholds": [
        {"time": 1767258600.0, "threshold": 3.2, "warning": None, "why": "start", "note": None, "author": ""}
    ],
}
SCORE: dict[str, Any] = {
    "machine": "pump",
    "score": 0.4,
    "threshold": 3.2,
    "warning": None,
    "p_value": 0.31,
    "decision": "normal",
    "reason": "",
    "caveat": "",
    "windows": 1,
    "window_start": 0.0,
    "window_seconds": 10.0,
    "words": "",
    "differences": [],
    "members": {"near-mean": 0.3, "near-mean-flux": 0.5},
}
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "time": 1767345071.3,
    "machines": ["pump-3"],
    "storage": {"bytes": 1261568, "free_bytes": 51539607552, "problem": None},
    "access": {"token": True, "name": "Ines"},
    "limits": {"upload_bytes": 50000000, "upload_seconds": 600.0},
}


def answers(example: Any, media: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """What an endpoint answers, for its decorator."""
    return {200: {"description": "as in the example", "content": {media: {"example": example}}}}
