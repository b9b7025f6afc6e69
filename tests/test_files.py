"""Writing files: whole or not at all, and the system's refusals in one clear line."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from auscult.errors import AuscultError, RunError
from auscult.files import replacing, saving, whole_folder

FULL = Path("/dev/full")
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full, a disk that is full")


def test_a_file_appears_at_the_end_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent, "a rename within one file system is one step"
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt()])
def test_what_broke_off_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_do_not_share_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with replacing(tmp_path / "x") as mine:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with replacing(tmp_path / "x") as other:
            assert mine != other
            other.touch()
        mine.touch()


@needs_full_device
def test_a_full_disk_is_named_as_such_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RunError, match=r"table\.csv .*disk is full; free some space"), replacing(path) as temporary:
        temporary.unlink()
        temporary.symlink_to(FULL)
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_under_safetensors_is_named_as_such(tmp_path: Path) -> None:
    """Safetensors has an error of its own, which keeps the system's number in its text alone."""
    from safetensors import SafetensorError

    path = tmp_path / "model.safetensors"
    with pytest.raises(RunError, match=r"model\.safetensors .*disk is full"), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["file", "missing"])
def test_safetensors_still_has_an_error_of_its_own(tmp_path: Path, folder: str) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "file").write_text("no folder")
    path = tmp_path / folder / "model.safetensors"
    with pytest.raises(RunError, match=r"model\.safetensors cannot be written"), replacing(path) as temporary:
        save_file({"weight": np.zeros(8)}, temporary)


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """Safetensors would hide its files from everybody else: nobody could share a store."""
    from safetensors.numpy import save_file

    (tmp_path / "plain").touch()
    with replacing(tmp_path / "model.safetensors") as temporary:
        save_file({"weight": np.zeros(8)}, temporary)
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_hold_the_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(RunError, match=r"file/x cannot be written: Not a directory; choose"),
        replacing(tmp_path / "file" / "x") as temporary,
    ):
        temporary.write_text("x")
    with (
        pytest.raises(RunError, match=r"missing/x cannot be written: No such file"),
        replacing(tmp_path / "missing" / "x") as temporary,
    ):
        temporary.write_text("x")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EROFS, "Read-only file system; choose")],
)
def test_refusals_of_the_system_say_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(RunError, match=words) as caught, saving(tmp_path / "run"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path / "run") in str(caught.value)


def test_errors_that_are_clear_already_pass() -> None:
    with pytest.raises(AuscultError, match=r"^clear$"), saving(Path("x")):
        raise AuscultError("clear")


def test_a_folder_appears_whole_in_the_place_of_another_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("first", "second"):
        with whole_folder(out) as fresh:
            (fresh / "file").write_text(text)
            assert not out.exists() or (out / "file").read_text() == "first"
        assert (out / "file").read_text() == text
    with pytest.raises(KeyboardInterrupt), whole_folder(out) as fresh:
        (fresh / "file").write_text("half")
        raise KeyboardInterrupt
    assert (out / "file").read_text() == "second"
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_killed_process_left_is_cleared_away_and_what_another_writes_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name, part in (("a", "fresh"), ("b", "old")):  # b was killed between two renames
        (tmp_path / f".out.{name}.unfinished" / part).mkdir(parents=True)
    with whole_folder(out) as fresh:
        assert out.is_dir(), "what had the name is back"
        with whole_folder(out) as other:
            (other / "other").touch()
        assert fresh.is_dir()
    assert list(tmp_path.iterdir()) == [out]
    assert list(out.iterdir()) == []
