import csv
import dataclasses
import errno
import hashlib
import io
import json
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from auscult.datasets import download, load_clips, load_dataset, transfer, unpacking
from auscult.datasets.download import ARCHIVES, ARCHIVES_FOLDER, PARTS, download_dcase
from auscult.datasets.unpacking import unpack
from auscult.datasets.years import YEARS
from auscult.errors import DownloadError
from auscult.features import yamnet_weights
from auscult.features.openl3_weights import OFFICIAL, download_openl3

CLIPS = {
    "dev_data_fan.zip": ["fan/train/normal_id_00_00000000.wav", "fan/test/anomaly_id_00_00000000.wav"],
    "eval_data_train_fan.zip": ["fan/train/normal_id_01_00000000.wav"],
    "eval_data_test_fan.zip": ["fan/test/id_01_00000000.wav"],
    "dev_data_pump.zip": ["pump/train/normal_id_00_00000000.wav"],
}
CHUNK = transfer._CHUNK
NOISE = bytes(range(256)) * (2 * CHUNK // 256)  # two chunks in each clip


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `files` by name; counts requests and breaks off as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {name: zipped({path: NOISE + path.encode() for path in paths}) for name, paths in CLIPS.items()}
        self.requests: list[tuple[str, str | None]] = []  # file name, Range header
        self.break_after: list[int] = []  # bytes of the next answers, then they break off
        self.ranges = True
        self.early = 0  # bytes before the asked ones with which answers to ranges begin
        self.status: list[int] = []  # of the next answers

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested."""

    def list(self, record: str, names: list[str]) -> None:
        """Serve the listing of a record."""
        files = [
            {"key": name, "size": len(self.files[name]), "checksum": f"md5:{hashlib.md5(self.files[name]).hexdigest()}"}
            for name in names
        ]
        self.files[record] = json.dumps({"files": files}).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/records"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.rsplit("/api/records/", 1)[-1].rsplit("/", 1)[-1]
        asked = self.headers["Range"]
        self.server.requests.append((name, asked))
        content = self.server.files.get(name)
        status = self.server.status.pop(0) if self.server.status else 200 if content else 404
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.answer(content, int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.ranges else None)

    def answer(self, content: bytes, first: int | None) -> None:
        if first is not None and first >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if first is not None:
            first = max(0, first - self.server.early)
        body = content[first or 0 :]
        self.send_response(200 if first is None else 206)
        if first is not None:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.break_after:
            body = body[: self.server.break_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    table = [
        dataclasses.replace(archive, md5=hashlib.md5(server.files[archive.name]).hexdigest())
        for archive in ARCHIVES
        if archive.name in server.files
    ]
    monkeypatch.setattr(download, "ARCHIVES", tuple(table))
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(server, to: Path, **options) -> list[Path]:
    usual = {"parts": ["development"], "machine_types": ["fan"], "progress": False, "base_url": server.url}
    return download_dcase(2020, to, **(usual | options))


def contents(to: Path) -> dict[str, bytes]:
    return {
        path.relative_to(to).as_posix(): path.read_bytes()
        for path in to.rglob("*")
        if path.is_file() and ARCHIVES_FOLDER not in path.parts
    }


def expected(folder: str, *archives: str) -> dict[str, bytes]:
    return {f"{folder}/{path}": NOISE + path.encode() for name in archives for path in CLIPS[name]}


FAN = expected("dev_data", "dev_data_fan.zip")


def test_all_parts_make_the_layout_that_load_clips_reads(server, tmp_path):
    folders = fetch(server, tmp_path, parts=PARTS)
    assert folders == [tmp_path / "dev_data" / "fan", tmp_path / "eval_data" / "fan"]
    assert contents(tmp_path) == FAN | expected("eval_data", "eval_data_train_fan.zip", "eval_data_test_fan.zip")
    assert [(clip.machine_id, clip.split, clip.subset) for clip in load_clips(tmp_path)] == [
        ("id_00", "train", "development"),
        ("id_00", "test", "development"),
        ("id_01", "train", "additional"),
        ("id_01", "test", "evaluation"),
    ]
    assert not list(tmp_path.rglob("*.zip"))
    assert not list(tmp_path.rglob("*.part"))


def test_archives_can_be_kept(server, tmp_path):
    fetch(server, tmp_path, keep_archives=True)
    kept = tmp_path / ARCHIVES_FOLDER / "dev_data_fan.zip"
    assert kept.read_bytes() == server.files["dev_data_fan.zip"]
    assert len(load_clips(tmp_path)) == 2


def test_what_is_done_is_not_fetched_again_unless_files_are_gone(server, tmp_path):
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert server.requests == [("dev_data_fan.zip", None)]
    (tmp_path / "dev_data" / CLIPS["dev_data_fan.zip"][0]).unlink()
    fetch(server, tmp_path)
    assert contents(tmp_path) == FAN
    assert len(server.requests) == 2


def test_an_archive_that_was_published_anew_is_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    record = tmp_path / ARCHIVES_FOLDER / "dev_data_fan.zip.ok"
    record.write_text(record.read_text().replace(record.read_text()[:32], "0" * 32))
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ({"break_after": [2 * CHUNK, CHUNK + 5]}, [None, f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]),
        ({"break_after": [CHUNK], "ranges": False}, [None, f"bytes={CHUNK}-"]),  # ignores ranges: all comes anew
        ({"break_after": [CHUNK], "early": 10}, [None, f"bytes={CHUNK}-", None]),  # continues elsewhere: not believed
        ({"status": [503, 429]}, [None] * 3),  # refusals that pass
    ],
)
def test_a_transfer_that_breaks_is_completed(server, tmp_path, told, asked):
    vars(server).update(told)
    fetch(server, tmp_path)
    assert [ranges for _, ranges in server.requests] == asked
    assert contents(tmp_path) == FAN


@pytest.mark.parametrize(("more", "n_requests"), [(b"", 1), (b"more", 2)])
def test_a_transfer_that_broke_after_its_last_byte_is_complete_and_more_is_thrown_away(
    server, tmp_path, more, n_requests
):
    part = tmp_path / ARCHIVES_FOLDER / "dev_data_fan.zip.part"
    part.parent.mkdir()
    part.write_bytes(server.files["dev_data_fan.zip"] + more)
    fetch(server, tmp_path)
    assert len(server.requests) == n_requests
    assert contents(tmp_path) == FAN


def test_a_missing_file_is_named_at_once(server, tmp_path):
    del server.files["dev_data_fan.zip"]
    with pytest.raises(DownloadError, match=r"3678171/files/dev_data_fan\.zip: the server answers 404 Not Found"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_no_server_is_one_clear_error(server, tmp_path):
    with pytest.raises(DownloadError, match="could not be fetched"):
        fetch(server, tmp_path, base_url="http://127.0.0.1:9/records")


def test_a_disk_that_is_too_small_is_seen_before_the_transfer(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DownloadError, match=r"dev_data_fan\.zip needs [\d,]+ more bytes .* has 1,000 free"):
        fetch(server, tmp_path)
    assert contents(tmp_path) == {}


def test_a_disk_that_fills_up_is_one_clear_error(server, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", full)
        with pytest.raises(DownloadError, match=r"cannot write to .*No space left on device"):
            fetch(server, tmp_path)
    assert contents(tmp_path) == {}
    fetch(server, tmp_path)
    assert contents(tmp_path) == FAN
    assert len(server.requests) == 1


@pytest.mark.parametrize("moved", [0, 1])
def test_a_download_killed_while_unpacking_is_completed_by_the_next(server, tmp_path, monkeypatch, moved):
    moves = []
    replace = Path.replace

    def killed(self, target):
        if "unpacking" in str(self):
            if len(moves) == moved:
                raise KeyboardInterrupt
            moves.append(self)
        return replace(self, target)

    (tmp_path / "dev_data" / "fan").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr(unpacking.shutil, "rmtree", lambda *args, **options: None)  # as if there had been no time to tidy
        with pytest.raises(KeyboardInterrupt):
            fetch(server, tmp_path)
    assert contents(tmp_path) != FAN
    fetch(server, tmp_path)
    assert contents(tmp_path) == FAN
    assert len(server.requests) == 1
    assert sorted(path.name for path in (tmp_path / ARCHIVES_FOLDER).iterdir()) == ["dev_data_fan.zip.ok", "lock"]


def test_unknown_parts_and_machine_types_list_the_known(server, tmp_path):
    with pytest.raises(DownloadError, match=r"unknown part 'dev'.*; .* development, additional, evaluation"):
        fetch(server, tmp_path, parts=["dev"])
    with pytest.raises(
        DownloadError, match=r"unknown machine type 'Fan' .*'fan'.*; .* ToyCar, ToyConveyor, fan, pump, slider, valve"
    ):
        fetch(server, tmp_path, machine_types=["Fan"])
    assert server.requests == []


def test_the_table_is_the_official_one(shared_data):
    official = shared_data.parent / "reference" / "dcase2020_archives.csv"
    if not official.is_file():
        pytest.skip(f"the list of archives is not there: {official}")
    with official.open(newline="") as file:
        rows = [
            (row["part"], row["machine_type"], row["record"], row["archive"], row["md5"])
            for row in csv.DictReader(file)
        ]
    assert [(a.part, a.machine_type, a.record, a.name, a.md5) for a in ARCHIVES] == rows


# Records that say themselves what they hold


@pytest.fixture
def record(server):
    """The server lists the development record of 2026 as Zenodo does, with a file that was replaced."""
    kinds = list(YEARS[2026].development)
    names = [f"dev_{kind}.zip" for kind in kinds] + ["dev_ToyCar_r2.zip", "README.md", "dev_data_old_ToyCar.zip"]
    stem = "section_00_source_train_normal_0000_"
    for name in names:
        kind = name.removeprefix("dev_").split(".")[0].split("_")[0]
        server.files[name] = zipped({f"{kind}/train/{stem}.wav": NOISE + name.encode()})
    server.list("19336329", names)
    return server


def fetch_2026(server, to: Path, **options) -> list[Path]:
    return download_dcase(2026, to, **({"parts": ["development"], "progress": False, "base_url": server.url} | options))


def test_a_record_is_asked_what_it_holds_and_replaced_files_are_preferred(record, tmp_path):
    folders = fetch_2026(record, tmp_path)
    assert {folder.name for folder in folders} == set(YEARS[2026].development)
    car = tmp_path / "dev_data" / "ToyCar" / "train" / "section_00_source_train_normal_0000_.wav"
    assert car.read_bytes().endswith(b"dev_ToyCar_r2.zip")
    assert load_dataset(tmp_path).year == 2026
    fetched = [name for name, _ in record.requests]
    assert "dev_ToyCar.zip" not in fetched
    record.requests.clear()
    fetch_2026(record, tmp_path)
    assert record.requests == [("19336329", None)]


def test_one_machine_type_of_a_record_continues_where_it_broke(record, tmp_path):
    record.break_after = [10**6, CHUNK]  # the listing comes whole
    fetch_2026(record, tmp_path, machine_types=["fan"])
    assert record.requests[1:] == [("dev_fan.zip", None), ("dev_fan.zip", f"bytes={CHUNK}-")]
    with pytest.raises(DownloadError, match=r"unknown machine type 'pump'.*; DCASE 2026 Task 2 has ToyCar, ToyCarEmu"):
        fetch_2026(record, tmp_path, machine_types=["pump"])
    with pytest.raises(DownloadError, match="has no ToyDrone in development; there are ToyCar, ToyCarEmu"):
        fetch_2026(record, tmp_path, machine_types=["ToyDrone"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", r"api/records/19336329 is no listing of a record"),
        (b"{}", "lists no files with their checksums"),
        (
            b'{"files": [{"key": "moved.zip", "checksum": "md5:0"}]}',
            r"no archive of ToyCar, .* only moved\.zip; the record",
        ),
        (None, "the server answers 404"),
    ],
)
def test_a_record_that_was_moved_says_so(record, tmp_path, content, message):
    record.files["19336329"] = content
    with pytest.raises(DownloadError, match=message):
        fetch_2026(record, tmp_path)


@pytest.mark.parametrize(
    ("year", "part", "names"),
    [
        (2021, "development", "dev_data_{}.zip"),
        (2023, "additional", "eval_data_{}_train.zip"),
        (2022, "additional", "eval_data_{}_train_r2.zip"),
        (2024, "evaluation", "eval_data_{}_test.zip"),
    ],
)
def test_names_of_all_years_are_known(server, year, part, names):
    machines = YEARS[year].development if part == "development" else YEARS[year].evaluation
    record = YEARS[year].records[PARTS.index(part)]
    server.files |= {names.format(kind): b"x" for kind in machines}
    server.list(record, [names.format(kind) for kind in machines])
    found = download._published(year, part, server.url)
    assert {one.machine_type for one in found} == set(machines)
    assert {one.folder for one in found} == {"dev_data" if part == "development" else "eval_data"}


WEIGHTS = NOISE + b"weights"


@pytest.fixture
def models(server, monkeypatch):
    """The server has the weights of both generations."""
    for name in OFFICIAL:
        server.files[name] = WEIGHTS + name.encode()
        content = server.files[name]
        monkeypatch.setitem(OFFICIAL, name, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())
    server.files["yamnet.h5"] = WEIGHTS + b"yamnet"
    monkeypatch.setattr(yamnet_weights, "OFFICIAL", hashlib.sha256(WEIGHTS + b"yamnet").hexdigest())
    return server


def fetch_weights(server, to: Path, generation: str = "0.2") -> Path:
    return download_openl3(to, generation=generation, base_url=f"{server.url}/", progress=False)


# What both downloads promise


class Official(NamedTuple):
    """A file that is downloaded."""

    name: str
    hash: str
    fetch: Callable[[Server, Path], object]
    is_there: Callable[[Server, Path], bool]
    lock: str


BOTH = [
    Official("dev_data_fan.zip", "md5", fetch, lambda _, to: contents(to) == FAN, f"{ARCHIVES_FOLDER}/lock"),
    Official(
        next(iter(OFFICIAL)),
        "git blob SHA-1",
        fetch_weights,
        lambda server, to: (to / next(iter(OFFICIAL))).read_bytes() == server.files[next(iter(OFFICIAL))],
        ".lock",
    ),
]
BOTH.append(
    Official(
        "yamnet.h5",
        "SHA-256",
        lambda server, to: yamnet_weights.download_yamnet(to, base_url=server.url, progress=False),
        lambda server, to: (to / "yamnet.h5").read_bytes() == server.files["yamnet.h5"],
        ".lock",
    )
)
of_both = pytest.mark.parametrize("official", BOTH, ids=["archive", "weights", "yamnet"])


@of_both
def test_a_transfer_that_was_given_up_continues_in_the_next_run(models, tmp_path, official):
    models.break_after = [CHUNK, 0, 0, 0, 0, 0, 0]
    words = rf"{official.name} could not be fetched .*{CHUNK:,} bytes are kept.*again"
    with pytest.raises(DownloadError, match=words):
        official.fetch(models, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".wav", ".zip", ".gz")]
    models.break_after, before = [], len(models.requests)
    official.fetch(models, tmp_path)
    assert models.requests[before:] == [(official.name, f"bytes={CHUNK}-")]
    assert official.is_there(models, tmp_path)


@of_both
def test_a_wrong_hash_removes_the_file(models, tmp_path, official):
    right = models.files[official.name]
    models.files[official.name] = right[:-1] + b"?"
    words = rf"{official.name} is not the official file, its {official.hash} is not .* removed"
    with pytest.raises(DownloadError, match=words):
        official.fetch(models, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]
    models.files[official.name] = right
    official.fetch(models, tmp_path)
    assert official.is_there(models, tmp_path)


@of_both
def test_two_downloads_in_one_folder_do_not_mix(models, tmp_path, official):
    from filelock import FileLock

    lock = tmp_path / official.lock
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock), pytest.raises(DownloadError, match="another download is working in"):
        official.fetch(models, tmp_path)
    assert models.requests == []


# OpenL3's weights


@pytest.mark.parametrize("generation", ["0.2", "0.4"])
def test_weights_are_fetched_once_under_their_official_name(models, tmp_path, generation):
    file = fetch_weights(models, tmp_path / "new" / "folder", generation)
    assert file == tmp_path / "new" / "folder" / f"openl3_audio_mel256_env-v{generation.replace('.', '_')}_0.h5.gz"
    assert file.read_bytes() == models.files[file.name]
    assert fetch_weights(models, file.parent, generation) == file
    assert models.requests == [(file.name, None)]


def test_weights_that_were_damaged_here_are_fetched_again(models, tmp_path):
    file = fetch_weights(models, tmp_path)
    file.write_bytes(b"damaged")
    assert fetch_weights(models, tmp_path).read_bytes() == models.files[file.name]


def test_missing_weights_and_unknown_generations_are_named(models, tmp_path):
    with pytest.raises(DownloadError, match=r"no generation '0\.3'.*choose 0\.2 or 0\.4"):
        fetch_weights(models, tmp_path, "0.3")
    models.files.clear()
    with pytest.raises(DownloadError, match="answers 404"):
        fetch_weights(models, tmp_path)


def test_the_command_fetches_weights(models, tmp_path, command):
    done = command("download", "openl3", "--to", tmp_path, "--generation", "0.4", "--base-url", models.url)
    assert done.code == 0, done.err
    assert Path(done.out.strip()).read_bytes() == models.files["openl3_audio_mel256_env-v0_4_0.h5.gz"]


def test_the_command_fetches_yamnet(models, tmp_path, command):
    done = command("download", "yamnet", "--to", tmp_path, "--base-url", models.url)
    assert done.code == 0, done.err
    assert Path(done.out.strip()).read_bytes() == models.files["yamnet.h5"]


def test_options_of_the_other_download_are_refused(models, tmp_path, command):
    for arguments in (
        ("openl3", "--part", "development"),
        ("openl3", "--machine-type", "fan"),
        ("openl3", "--keep-archives"),
        ("yamnet", "--part", "development"),
        ("yamnet", "--generation", "0.2"),
        ("dcase2020", "--generation", "0.2"),
    ):
        done = command("download", *arguments, "--to", tmp_path, "--base-url", models.url)
        assert done.code == 2
        assert f"{arguments[0]} has no {arguments[1]}" in done.error
    assert models.requests == []


# Unpacking


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize("name", ["/etc/x", "../x", "fan/../../x", "fan\\..\\x", "C:/x", link("fan/x")])
def test_an_archive_that_reaches_out_is_refused_whole(tmp_path, name):
    archive = tmp_path / "inner" / "bad.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("fan/good.wav", b"x")
        entry = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo("placeholder")
        if isinstance(name, str):
            entry.filename = name  # past the constructor, which mends separators
        file.writestr(entry, b"../../x")
    with pytest.raises(DownloadError, match=r"bad\.zip holds a .*; it was not unpacked"):
        unpack(archive, tmp_path / "inner" / "out")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_damaged_archive_leaves_nothing(tmp_path):
    archive = tmp_path / "bad.zip"
    content = zipped({"fan/a.wav": NOISE, "fan/b.wav": NOISE})
    for damaged in (content[: len(content) // 2], content.replace(NOISE[:64], b"?" * 64, 1), b"no zip"):
        archive.write_bytes(damaged)
        with pytest.raises(DownloadError, match=r"bad\.zip is damaged"):
            unpack(archive, tmp_path / "out")
        assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    archive = tmp_path / "big.zip"
    archive.write_bytes(zipped({"fan/a.wav": NOISE}))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DownloadError, match=r"big\.zip needs .* GB unpacked"):
        unpack(archive, tmp_path / "out")


def test_unpacking_fills_a_folder_and_replaces_old_files(tmp_path):
    out = tmp_path / "out"
    (out / "fan" / "train").mkdir(parents=True)
    (out / "fan" / "train" / "old.wav").write_bytes(b"old")
    (out / "fan" / "train" / "new.wav").write_bytes(b"half")
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"fan/train/new.wav": b"new", "fan/test/a.wav": b"a"}))
    assert unpack(archive, out) == [out / "fan" / "train" / "new.wav", out / "fan" / "test" / "a.wav"]
    assert {path.name: path.read_bytes() for path in out.rglob("*.wav")} == {
        "old.wav": b"old",
        "new.wav": b"new",
        "a.wav": b"a",
    }
