"""The store: keys that change with what they stand for, artefacts made once, and killed or crowded builders."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import auscult.runs.store
from auscult.errors import AudioError, RunError
from auscult.runs.store import LIBRARIES, MEL_FILTERS, Store, environment, key_of

FACTS = {"features": {"kind": "log_mel", "n_mels": 128}, "clips": [["0f", "id_00"]]}

BUILDER = """
import sys, time
from pathlib import Path
from auscult.runs.store import Store, key_of
folder, name, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def build(working):
    with (folder / "builds").open("a") as file:
        file.write(name + "\\n")
    while not (folder / f"{other} is here").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    (working / "data").write_text(name)
store = Store(folder / "store")
(folder / f"{name} is here").touch()
print((store.make("bank", "k", {}, build) / "data").read_text())
"""

KILLED = """
import os, signal, sys
from pathlib import Path
from auscult.runs.store import Store
def build(working):
    (working / "checkpoint.safetensors").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
Store(Path(sys.argv[1])).make("model", "k", {}, build)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def write(text: str) -> Any:
    return lambda folder: (folder / "data").write_text(text)


def refuse(folder: Path) -> None:
    raise AssertionError("a finished artefact is never made twice")


def test_a_key_is_the_same_in_every_process_and_for_every_order() -> None:
    assert key_of("bank", FACTS) == "c599121c96142259e66e959b"
    assert key_of("bank", dict(reversed(FACTS.items()))) == key_of("bank", FACTS)
    assert key_of("bank", json.loads(json.dumps(FACTS))) == key_of("bank", FACTS)
    assert key_of("bank", {"hidden": (128, 8)}) == key_of("bank", {"hidden": [128, 8]}), "as constructors keep tuples"


def test_a_key_changes_with_the_kind_every_fact_and_the_format(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [
        ("model", FACTS),
        ("bank", {**FACTS, "channel": 0}),
        ("bank", {**FACTS, "clips": [["0f", "id_02"]]}),
        ("bank", {**FACTS, "clips": [["0f", "id_00"], ["0f", "id_00"]]}),
        ("bank", {**FACTS, "features": {"kind": "log_mel", "n_mels": 129}}),
        ("bank", {**FACTS, "features": {"kind": "log_mel", "n_mels": "128"}}),
    ]
    keys = [key_of(*facts) for facts in [("bank", FACTS), *changed]]
    monkeypatch.setattr(auscult.runs.store, "FORMAT", auscult.runs.store.FORMAT + 1)
    assert len({*keys, key_of("bank", FACTS)}) == len(changed) + 2


def test_the_environment_names_every_library_with_its_version() -> None:
    versions = environment()
    assert tuple(versions) == (*LIBRARIES, *MEL_FILTERS)
    assert all(version[0].isdigit() for version in versions.values())


def test_an_artefact_is_made_once(store: Store) -> None:
    assert not store.has("bank", "k")
    path = store.make("bank", "k", FACTS, write("frames"))
    assert path == store.path("bank", "k")
    assert store.has("bank", "k")
    assert store.make("bank", "k", FACTS, refuse) == path
    assert Store(store.folder).make("bank", "k", FACTS, refuse) == path
    assert (path / "data").read_text() == "frames"
    assert json.loads((path / "facts.json").read_text()) == FACTS
    assert not store.has("bank", "other")
    assert not store.has("model", "k")


def test_an_artefact_is_not_there_before_it_is_finished(store: Store) -> None:
    def build(folder: Path) -> None:
        (folder / "data").write_text("frames")
        assert not store.has("bank", "k")
        assert not store.path("bank", "k").exists()

    store.make("bank", "k", {}, build)
    assert store.has("bank", "k")


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt()])
def test_what_a_broken_build_left_is_handed_to_the_next_one(store: Store, error: BaseException) -> None:
    def broken(folder: Path) -> None:
        (folder / "checkpoint.safetensors").write_text("epoch 3")
        raise error

    with pytest.raises(type(error)):
        store.make("model", "k", {}, broken)
    assert not store.has("model", "k")
    found: list[str] = []

    def resume(folder: Path) -> None:
        found.append((folder / "checkpoint.safetensors").read_text())
        (folder / "model.safetensors").write_text("weights")

    path = store.make("model", "k", {}, resume)
    assert found == ["epoch 3"]
    assert sorted(file.name for file in path.iterdir()) == ["facts.json", "model.safetensors"], "no checkpoint stays"


def test_temporary_files_of_a_killed_build_are_no_part_of_the_artefact(store: Store) -> None:
    def killed(working: Path) -> None:
        (working / "scores").mkdir()
        (working / "scores" / "fan.csv.123.tmp").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make("analysis", "k", {}, killed)
    made = store.make("analysis", "k", {}, lambda working: None)
    assert [path.name for path in made.rglob("*") if path.is_file()] == ["facts.json"]


def test_a_killed_builder_leaves_its_lock_open_and_its_work_behind(store: Store) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.folder)], check=False, timeout=60)
    assert killed.returncode == -9
    assert not store.has("model", "k")
    found: list[str] = []
    store.make("model", "k", {}, lambda folder: found.extend(path.read_text() for path in folder.iterdir()))
    assert found == ["half"]


def test_two_processes_on_one_store_make_an_artefact_once(tmp_path: Path) -> None:
    """Both are there before the first has finished; the second waits and takes what the first made."""
    (tmp_path / "builds").touch()
    both = [
        subprocess.Popen([sys.executable, "-c", BUILDER, str(tmp_path), *names], stdout=subprocess.PIPE, text=True)
        for names in (("one", "two"), ("two", "one"))
    ]
    answers = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    (builder,) = (tmp_path / "builds").read_text().split()
    assert answers == [builder, builder]


def test_two_artefacts_are_made_at_the_same_time(store: Store) -> None:
    """The lock is the artefact's, not the store's: a build may need, and make, another one."""
    store.make("model", "k", {}, lambda _: store.make("bank", "k", {}, write("frames")))
    assert store.has("bank", "k")
    assert store.has("model", "k")


def test_content_hashes_are_those_of_the_contents_in_order(store: Store, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, text in zip(paths, ("sound", "other", "sound"), strict=True):
        path.write_text(text)
    first, second, third = store.content_hashes(paths)
    assert first == third != second
    assert first == "dd29442deca69f52c50006b831cb216edf78a7da33748f0a80ff19f2ebe57ecd"
    assert store.content_hashes(paths[::-1]) == [third, second, first]
    assert store.content_hashes([]) == []


def test_a_file_is_read_once_until_it_changes(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = auscult.runs.store.content_hash

    def counted(path: Path) -> str:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(auscult.runs.store, "content_hash", counted)
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in paths:
        path.write_text(path.name)
    before = store.content_hashes(paths)
    assert store.content_hashes(paths) == before
    assert Store(store.folder).content_hashes(paths) == before, "the next run remembers"
    assert read == ["a.wav", "b.wav"]

    status = paths[0].stat()
    paths[0].write_text("A.wav")  # the same size, another time
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = store.content_hashes(paths)
    assert read == ["a.wav", "b.wav", "a.wav"]
    assert (after[0] != before[0], after[1]) == (True, before[1])

    paths[0].write_text("longer")  # another size, the same time
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert store.content_hashes(paths)[0] != after[0]
    assert store.content_hashes(paths) == store.content_hashes(paths)
    assert len(read) == 4


def test_a_file_is_the_same_by_whatever_path(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_text("sound")
    store.content_hashes([tmp_path / "a.wav"])
    monkeypatch.setattr(auscult.runs.store, "content_hash", refuse)
    monkeypatch.chdir(tmp_path)
    store.content_hashes([Path("a.wav"), tmp_path / "store" / ".." / "a.wav"])


def test_a_file_that_cannot_be_hashed_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("sound")
    with pytest.raises(AudioError, match=r"gone\.wav cannot be read: No such file.*; check the path"):
        store.content_hashes([tmp_path / "there", tmp_path / "gone.wav"])
    with pytest.raises(AudioError, match="store cannot be read: Is a directory"):
        store.content_hashes([tmp_path / "store"])


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunError, match="file cannot be written: Not a directory"):
        Store(tmp_path / "file")


@pytest.mark.parametrize("there", [0, 2])
def test_a_store_of_another_version_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch, there: int) -> None:
    store.make("bank", "k", FACTS, write("frames"))
    with monkeypatch.context() as other:
        other.setattr(auscult.runs.store, "FORMAT", there)
        other.setattr(auscult.runs.store, "__version__", "9.9")
        (store.folder / "format.json").unlink()
        Store(store.folder)
    with pytest.raises(
        RunError, match=rf"was made by auscult 9\.9, in format {there}; this is .* reads format 1\. Give"
    ):
        Store(store.folder)
    assert (store.path("bank", "k") / "data").read_text() == "frames", "nothing is removed"


@pytest.mark.parametrize("text", ["", "{", "3", "null"])
def test_a_damaged_format_of_a_store_is_named(store: Store, text: str) -> None:
    (store.folder / "format.json").write_text(text)
    with pytest.raises(RunError, match=r"format\.json is damaged .*; remove the store .*, or give another --store"):
        Store(store.folder)


def test_the_reading_of_files_is_told_and_not_lost_when_it_is_stopped(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path / "store", on_read=stop).content_hashes(paths)
    assert steps == [(1, 3), (2, 3)]
    Store(tmp_path / "store", on_read=lambda *step: steps.append(step)).content_hashes(paths)
    assert steps == [(1, 3), (2, 3), (1, 1)]


def test_a_damaged_memory_of_hashes_is_named_and_may_be_removed(store: Store, tmp_path: Path) -> None:
    memory = store.folder / "hashes.sqlite"
    memory.write_text("no database, but long enough to be taken for one at first sight" * 20)
    with pytest.raises(RunError, match=r"hashes\.sqlite cannot be used: file is not a database.*remove it"):
        store.content_hashes([])
    memory.unlink()
    (tmp_path / "a.wav").write_text("sound")
    assert len(store.content_hashes([tmp_path / "a.wav"])) == 1


def test_a_disk_too_full_for_the_memory_of_hashes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{index}.wav" for index in range(200)]
    for path in paths:
        path.write_text(path.name)

    def small(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database = connect(*arguments, **options)
        database.execute("PRAGMA max_page_count = 3")
        return database

    connect = sqlite3.connect
    with monkeypatch.context() as full:
        full.setattr(sqlite3, "connect", small)
        with pytest.raises(RunError, match=r"hashes\.sqlite cannot be used: .*full; free some space"):
            store.content_hashes(paths)
    assert len(set(store.content_hashes(paths))) == 200


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, a disk that is full")
def test_a_disk_that_fills_up_in_a_build_loses_nothing(store: Store) -> None:
    store.make("bank", "finished", {}, write("frames"))

    def build(folder: Path) -> None:
        (folder / "done").write_text("half")
        Path("/dev/full").write_text("too much")

    with pytest.raises(RunError, match=r"store cannot be written: the disk is full; free some space"):
        store.make("bank", "k", {}, build)
    assert not store.has("bank", "k")
    store.make("bank", "finished", {}, refuse)
    found: list[str] = []
    store.make("bank", "k", {}, lambda folder: found.extend(path.name for path in folder.iterdir()))
    assert found == ["done"]
