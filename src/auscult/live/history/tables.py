"""The tables of the history, version 2."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

NAME = "history.sqlite"
VERSION = 2

LEVELS = (1, 60, 600, 3600)
"""Seconds of the buckets in which scores are kept, the finest first; each divides the next."""

TABLES = MetaData()

events = Table(
    "events",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("heard", Float, nullable=False),
    Column("json", Text, nullable=False),
    UniqueConstraint("key"),
)

outbox = Table(
    "outbox",
    TABLES,
    Column("output", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    sqlite_with_rowid=False,
)

files = Table(
    "files",
    TABLES,
    Column("machine", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    TABLES,
    Column("machine", Text, primary_key=True),
    Column("json", Text, nullable=False),
    sqlite_with_rowid=False,
)

incidents = Table(
    "incidents",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("raised", Float, nullable=False),
    Column("cleared", Float),
    Column("score", Float),
    Column("threshold", Float),
    Column("trouble", Text),
    Column("message", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("json", Text, nullable=False),
)

sounds = Table(
    "sounds",
    TABLES,
    Column("incident", Text, primary_key=True),
    Column("start", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("before", Float, nullable=False),
    Column("sample_rate", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("flac", LargeBinary, nullable=False),
)

scores = Table(
    "scores",
    TABLES,
    Column("machine", Text, primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("time", Integer, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("above", Integer, nullable=False),
    Column("low", Float),
    Column("sum", Float, nullable=False),
    Column("high", Float),
    sqlite_with_rowid=False,
)

thresholds = Table(
    "thresholds",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("warning", Float),
    Column("why", Text, nullable=False),
    Column("note", Integer),
    Column("author", Text, nullable=False),
)

notes = Table(
    "notes",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("incident", Text),
    Column("start", Float, nullable=False),
    Column("end", Float, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("said", Float, nullable=False),
    Column("undone", Float),
    Column("undone_by", Text),
    Column("score", Float),
    Column("threshold", Float),
    Column("heard", Integer, nullable=False),
)

# Both hold all by which incidents are chosen, so that they are counted without being read.
Index("incidents_newest", *(incidents.c[name] for name in "raised id machine kind cleared".split()))
Index("incidents_of_machine", *(incidents.c[name] for name in "machine raised id kind cleared".split()))
Index("thresholds_of_machine", thresholds.c.machine, thresholds.c.time)
Index("notes_of_machine", notes.c.machine, notes.c.verdict)
Index("notes_of_incident", notes.c.incident)
