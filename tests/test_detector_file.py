"""The detector's file: whole or not there, and whatever is in it, reading gives a detector or one clear error."""

import copy
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.detector import Detector, Machine, Part
from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.errors import DetectorError
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.models import HVAE, Spectral
from auscult.sound.condition import band_levels, learn_condition
from auscult.training import Training

RATE = 16000
SPEC = "members/0.safetensors"


@pytest.fixture(scope="module")
def detector() -> Detector:
    rng = np.random.default_rng(0)
    front_end = FrontEnd(LogMel(RATE, n_mels=8))
    frames = rng.standard_normal((6, 30, 8)).astype(np.float32)
    hvae = HVAE(8, hidden=(8,), n_latent=2).fit(frames, ["a"] * 6, training=Training(epochs=1, batch_size=16))
    parts = [
        Part("one", "spectral", front_end, Spectral(8).fit(frames, ["a"] * 6), None, 0.0, 1.0, 0.5),
        Part("two", "hvae", front_end, hvae, "median", 0.0, 1.0, 0.5),
    ]
    alarm = AlarmSettings(k=2, n=3, cool_down_seconds=2.0)
    series = WindowScores(np.arange(300.0), rng.standard_normal(300), 1.0, 1.0)
    condition = learn_condition([band_levels(rng.standard_normal(RATE), sample_rate=RATE) for _ in range(3)])
    machines = {"pump": Machine("pump", "a", calibrate([series], 20.0, settings=alarm), condition)}
    return Detector(parts, machines, 1.0, 0.5, alarm, {"recipe": {"name": "x"}}, "CC0")


@pytest.fixture(scope="module")
def content(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "good.auscult"
    detector.save(path)
    return path.read_bytes()


def opened(content: bytes, path: Path) -> Detector | None:
    """The detector of some bytes, or none for the one clear line of a refusal."""
    path.write_bytes(content)
    try:
        return Detector.load(path)
    except DetectorError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return None


def test_random_damage_is_refused_or_harmless(content: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for case in range(300):
        damaged = bytearray(content)
        match case % 4:
            case 0:
                for place in rng.integers(0, len(damaged), rng.integers(1, 4)):
                    damaged[place] ^= 1 << rng.integers(8)
            case 1:
                del damaged[rng.integers(0, len(damaged)) :]
            case 2:  # where the zip's own directory stands
                place = len(damaged) - 1 - rng.integers(0, min(len(damaged), 400))
                damaged[place] = rng.integers(256)
            case _:
                start, length = rng.integers(0, len(damaged)), rng.integers(1, 200)
                damaged[start : start + length] = rng.bytes(rng.integers(0, 200))
        refused += opened(bytes(damaged), tmp_path / "bad.auscult") is None
    assert refused > 200


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values within JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*place, key)
        yield from leaves(item, (*place, key))


NONSENSE: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    2**40,
    2**70,
    float("nan"),
    float("-inf"),
    "",
    "x",
    "../x",
    [],
    {},
    [[]],
]


def test_a_description_of_nonsense_is_refused_or_harmless(content: bytes, tmp_path: Path) -> None:
    entries = unzipped(content)
    described = json.loads(entries["detector.json"])
    described["machines"][0]["calibration"]["reference"] = described["machines"][0]["calibration"]["reference"][:3]
    described["machines"][0]["calibration"]["rate_quantiles"][5:] = described["machines"][0]["calibration"][
        "rate_quantiles"
    ][5:]
    places = [place for place in leaves(described) if "rate_quantiles" not in place[:-1] and "provenance" not in place]
    rng = np.random.default_rng(1)
    for place in places:
        changed = copy.deepcopy(described)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if rng.random() < 0.25 and isinstance(inner, dict):
            del inner[place[-1]]
        else:
            inner[place[-1]] = NONSENSE[rng.integers(len(NONSENSE))]
        entries["detector.json"] = json.dumps(changed).encode()
        found = opened(zipped(entries), tmp_path / "bad.auscult")
        if found is not None:
            try:
                found.score(np.zeros(RATE, dtype=np.float32), sample_rate=RATE)
            except Exception as error:
                raise AssertionError(
                    f"{place} was accepted as {inner.get(place[-1]) if isinstance(inner, dict) else inner}"
                ) from error


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(entries: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def described(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    entries = unzipped(content)
    description = json.loads(entries["detector.json"])
    change(description)
    return zipped({**entries, "detector.json": json.dumps(description).encode()})


def tensors(content: bytes, change: Callable[[dict[str, np.ndarray]], None], entry: str = SPEC) -> bytes:
    from safetensors.numpy import load, save

    entries = unzipped(content)
    found = load(entries[entry])
    change(found)
    return zipped({**entries, entry: save(found)})


def references(description: dict[str, Any]) -> list[Any]:
    found: list[Any] = description["machines"][0]["calibration"]["reference"]
    return found


def named(number: int) -> bytes:
    """Safetensors of so many empty tensors."""
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"k{place}": entry for place in range(number)}).encode()
    return struct.pack("<Q", len(header)) + header


def bomb(content: bytes) -> bytes:
    return zipped({**unzipped(content), "members/9.safetensors": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)


def lying(content: bytes) -> bytes:
    """An entry whose sizes in the directory are far beyond the file."""
    found = bytearray(content)
    place = found.rindex(b"PK\x01\x02")
    found[place + 20 : place + 28] = struct.pack("<II", 2**31, 2**31)
    return bytes(found)


def doubled(content: bytes) -> bytes:
    buffer = io.BytesIO(content)
    with pytest.warns(UserWarning), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("detector.json", "{}")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: b"", "no detector"),
        (lambda c: b"PK\x05\x06" + bytes(18), "without detector.json"),
        (lambda c: zipped({**unzipped(c), "../evil": b"x"}), "no plain name"),
        (lambda c: zipped({**unzipped(c), "/etc/evil": b"x"}), "no plain name"),
        (lambda c: zipped({**unzipped(c), "a\\..\\evil": b"x"}), "no plain name"),
        (lambda c: zipped({**unzipped(c), "C:/evil": b"x"}), "no plain name"),
        (lambda c: zipped({**unzipped(c), **{f"x/{i}": b"" for i in range(5000)}}), "entries"),
        (bomb, "compressed"),
        (lying, "damaged|larger"),
        (doubled, "two entries"),
        (lambda c: zipped({**unzipped(c), "detector.json": b"[" * 100000}), "no JSON"),
        (lambda c: zipped({**unzipped(c), "detector.json": b"3"}), "describes no detector"),
        (lambda c: zipped({**unzipped(c), SPEC: b"\x80\x04K\x01."}), "no safetensors"),
        (lambda c: described(c, lambda d: d.update(format=2)), "format '2'"),
        (lambda c: described(c, lambda d: d.update(window_seconds=float("nan"))), "no JSON"),
        (lambda c: described(c, lambda d: d.update(surprise=1)), "surprise"),
        (lambda c: described(c, lambda d: d["parts"][0].update(family="os")), "family 'os'"),
        (lambda c: described(c, lambda d: d["parts"][0].update(front_end=3)), "front end"),
        (lambda c: described(c, lambda d: d["parts"][0].update(tensors="x")), "no entry 'x'"),
        (lambda c: described(c, lambda d: d["parts"][0].update(sd=0.0)), "sd"),
        (lambda c: described(c, lambda d: d["parts"][1].update(pooling="max")), "pooling"),
        (lambda c: described(c, lambda d: d["parts"][1].update(pooling="winmed")), "older definition, .* pack the de"),
        (lambda c: described(c, lambda d: d["parts"][0]["arguments"].update(n_bins=2**19)), "524288"),
        (lambda c: described(c, lambda d: d["parts"][0]["arguments"].update(n_bins=2**40)), "greater"),
        (lambda c: described(c, lambda d: d["parts"][1]["arguments"].update(hidden=[2**19] * 40)), "missing|float32"),
        (lambda c: described(c, lambda d: d["parts"][0]["arguments"].update(evil=1)), "no argument 'evil'"),
        (lambda c: described(c, lambda d: d["front_ends"][0]["features"].update(n_fft=2**30)), "n_fft"),
        (lambda c: described(c, lambda d: d["front_ends"][0]["features"].update(kind="os.system")), "kind"),
        (lambda c: described(c, lambda d: d["front_ends"][0]["features"].update(weights="/etc")), "weights"),
        (lambda c: described(c, lambda d: d["front_ends"][0]["features"].update(n_mels=16)), "bins"),
        (lambda c: described(c, lambda d: d["machines"].append(d["machines"][0])), "two machines"),
        (lambda c: described(c, lambda d: d["machines"][0]["calibration"].update(threshold="high")), "calibration"),
        (lambda c: described(c, lambda d: d.update(step_seconds=1e-308)), "step_seconds"),
        (lambda c: described(c, lambda d: d.update(window_seconds=1e5)), "window_seconds"),
        (lambda c: described(c, lambda d: d["alarm"].update(n=10**9)), "at most 3600"),
        (lambda c: described(c, lambda d: d["machines"][0]["calibration"].update(hours=1e300)), "hours"),
        (lambda c: described(c, lambda d: d["machines"][0]["condition"].update(frames=0)), "frames"),
        (lambda c: described(c, lambda d: d["parts"][1]["arguments"].update(hidden=[1] * 10**5)), "more than 256"),
        (lambda c: described(c, lambda d: d.update(provenance={"x": [[]] * 10**5, "y": float("nan")})), "no JSON"),
        (lambda c: described(c, lambda d: d.update({str(i): 0 for i in range(10**5)})), "keys in one place"),
        (lambda c: described(c, lambda d: references(d).extend([[]] * 10**5)), "reference"),
        (lambda c: zipped({**unzipped(c), SPEC: named(200_000)}), "names of tensors"),
        (lambda c: zipped({f"{number:080}": b"" for number in range(9000)}), "list of entries is too long"),
        (lambda c: tensors(c, lambda t: t.update(mean=t["mean"][:3])), r"'mean' as \[3\]"),
        (lambda c: tensors(c, lambda t: t.update(mean=t["mean"].astype("f8"))), "float64"),
        (lambda c: tensors(c, lambda t: t["mean"].fill(np.inf)), "finite"),
        (lambda c: tensors(c, lambda t: t.pop("mean")), "missing"),
        (lambda c: tensors(c, lambda t: t.update(more=t["mean"])), "'more'"),
    ],
)
def test_each_kind_of_damage_is_named(
    content: bytes, change: Callable[[bytes], bytes], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "here" / "bad.auscult"
    path.parent.mkdir()
    path.write_bytes(change(content))
    before = sorted(tmp_path.rglob("*"))
    begun = time.process_time()
    with pytest.raises(DetectorError, match=words):
        Detector.load(path)
    assert time.process_time() - begun < 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_file_and_a_folder_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="does not exist"):
        Detector.load(tmp_path / "none.auscult")
    with pytest.raises(DetectorError, match="is a folder"):
        Detector.load(tmp_path)


KILLED = """
import sys
from pathlib import Path
from auscult.detector import Detector
detector = Detector.load(sys.argv[1])
print("ready", flush=True)
while True:
    detector.save(sys.argv[2])
"""


def test_a_kill_while_writing_leaves_a_whole_file(content: bytes, tmp_path: Path) -> None:
    source, target = tmp_path / "source.auscult", tmp_path / "target.auscult"
    source.write_bytes(content)
    target.write_bytes(content)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, source, target],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert target.read_bytes() == content
