"""Damaged detectors and sounds and hostile recipes, each from a seed and its number, with the command that reads it."""

import io
import json
import struct
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
LEARNED = """
name = "attacked"
[training]
epochs = 1
[[member]]
name = "plain"
family = "spectral"
features = { n_mels = 16 }
[[member]]
name = "net"
family = "autoencoder"
features = { n_mels = 16 }
model = { hidden = [8], n_latent = 2 }
"""
SOUNDS: dict[str, dict[str, Any]] = {
    "a.flac": {}, "b.ogg": {"subtype": "VORBIS"}, "c.ogg": {"subtype": "OPUS"}, "d.wav": {"subtype": "FLOAT"},
    "e.wav": {"subtype": "PCM_24", "format": "WAVEX"}, "f.wav": {"format": "RF64"}, "g.wav": {},
}  # fmt: skip
SPLITS = ("train/normal", "test/normal", "test/anomaly")
ABSURD: tuple[Any, ...] = (
    0, -1, 1, 2**31, 2**63, 10**30, 1e308, -1e308, 1e-308, float("nan"), float("inf"), "", "x" * 5000, "../../x", True,
    None, [], {}, [[]] * 9, list(range(2000)), {"x": 1}, "\0", 16000, 0.5, 10**6,
)  # fmt: skip

Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """A file, the command that reads it, and its kind of damage."""

    what: str
    path: Path
    command: tuple[str, ...]


def of_bytes(content: bytes, rng: Rng) -> bytes:
    """Some bytes changed, left out, doubled, cut off, or replaced by zeros or noise."""
    data, kind = bytearray(content), rng.integers(7)
    first, last = sorted(int(place) for place in rng.integers(0, len(data) + 1, 2))
    if rng.random() < 0.5:  # most that is interesting is said at the beginning
        first, last = first % 120, first % 120 + int(rng.integers(1, 9))
    if kind <= 1:
        for place in rng.integers(0, len(data) if kind else min(len(data), 120), rng.integers(1, 20)):
            data[place] = rng.integers(256)
    elif kind == 2:
        del data[first:]
    elif kind == 3:
        del data[first:last]
    elif kind == 4:
        data[first:first] = data[first:last]
    elif kind == 5:
        data[first:last] = bytes(last - first)
    else:
        data[first:last] = rng.bytes(last - first)
    return bytes(data)


def of_tree(tree: Any, rng: Rng) -> Any:
    """JSON or TOML in which some leaves or branches are absurd, gone, or nested."""
    for _ in range(int(rng.integers(1, 4))):
        place = tree
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = keys[int(rng.integers(len(keys)))]
            below = place[key]
            if not isinstance(below, dict | list) or not below or rng.random() < 0.1:
                break
            place = below
        if rng.random() < 0.1:
            del place[key]
            if not tree:
                return tree
        elif rng.random() < 0.1:
            place[key] = json.loads("[" * 90 + "]" * 90)
        else:
            place[key] = ABSURD[int(rng.integers(len(ABSURD)))]
    return tree


def detector(content: bytes, rng: Rng) -> bytes:
    """A detector's file with damage: to its bytes, or within a zip that is whole again."""
    if rng.random() < 0.3:
        return of_bytes(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    names = list(entries)
    name = names[int(rng.integers(len(names)))] if rng.random() < 0.4 else "detector.json"
    kind = rng.integers(8)
    if name == "detector.json":
        entries[name] = json.dumps(of_tree(json.loads(entries[name]), rng)).encode()
    elif kind < 3:
        entries[name] = of_bytes(entries[name], rng)
    elif kind < 7:
        size = struct.unpack("<Q", entries[name][:8])[0]
        header = of_tree(json.loads(entries[name][8 : 8 + size]), rng)
        if kind == 3:
            some = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
            header |= {f"key {number}": some for number in range(200_000)}
        text = json.dumps(header).encode()
        entries[name] = struct.pack("<Q", len(text)) + text + entries[name][8 + size :]
    else:
        entries |= {f"more {number}": b"" for number in range(int(rng.integers(1, 9999)))}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.05 else zipfile.ZIP_STORED) as archive:
        for name, blob in entries.items():
            archive.writestr(name, blob)
    return file.getvalue()


def sound(content: bytes, rng: Rng) -> bytes:
    """A sound with damage: to its bytes, or to one number of its header."""
    if rng.random() < 0.5:
        return of_bytes(content, rng)
    data, place = bytearray(content), int(rng.integers(4, 60))
    number = (0, 1, 7, 2**15, 2**16 - 1, 2**31 - 4096, 2**31, 2**32 - 1, int(rng.integers(2**32)))[rng.integers(9)]
    width = 2 if rng.random() < 0.5 else 4
    data[place : place + width] = (number % 256**width).to_bytes(width, "little")
    return bytes(data)


def recipe(content: bytes, rng: Rng) -> bytes:
    """A recipe that asks for what cannot be, or that is no recipe."""
    kind = rng.integers(8)
    if kind == 0:
        return of_bytes(content, rng)
    if kind == 1:
        opening = ("[", "{a=", "[[", "a.", '"')[rng.integers(5)]
        return content + b"\nz = " + opening.encode() * int(rng.integers(1, 30_000))
    if kind == 2:
        many = int(rng.integers(100, 30_000))
        return content + b"".join(
            b'[[ensemble]]\nname = "e%d"\nmembers = ["e%d", "*"]\n' % (i, i + 1) for i in range(many)
        )
    if kind == 3:
        lists = ", ".join(f'"model.k{i}" = {list(range(int(rng.integers(2, 99))))}' for i in range(rng.integers(1, 9)))
        return content + f'[[member]]\nname = "g"\nfamily = "spectral"\ngrid = {{ {lists} }}\n'.encode()
    import tomli_w

    tree = tomllib.loads(content.decode())
    for member in tree.get("member", []):
        key, value = list(SIZES.items())[int(rng.integers(len(SIZES)))]
        member.setdefault("model" if key in ("context", "hidden", "n_latent", "m", "kernel") else "features", {})[
            key
        ] = value
    try:
        return tomli_w.dumps(of_tree(tree, rng)).encode()
    except TypeError:  # of what TOML cannot say
        return b"name = 1"


SIZES = {"context": 2000, "hidden": [16384] * 9, "n_latent": 10**9, "n_mels": 10**5, "hop_length": 1, "n_fft": 2**30,
         "m": 1000, "kernel": 1023, "sample_rate": 2**31}  # fmt: skip


def cases(folder: Path, learned: Path, numbers: dict[str, int], *, seed: int) -> Iterator[Case]:
    """The files, made one after the other; each is its command's only bad one.

    Args:
        folder: that `originals` has filled.
        learned: a detector.
        numbers: of detectors, sounds and recipes.
        seed: other seeds are other files.
    """
    good, data = folder / "good", folder / "data"
    sounds = sorted(good.iterdir())
    recipes = sorted(path for path in (resources.files("auscult") / "recipe" / "builtin").iterdir())  # type: ignore[type-var]
    sources: dict[str, tuple[Callable[[bytes, Rng], bytes], list[Any]]] = {
        "detectors": (detector, [learned]),
        "sounds": (sound, sounds),
        "recipes": (recipe, recipes),
    }
    for place, (what, number) in enumerate(numbers.items()):
        damage, listed = sources[what]
        for index in range(number):
            rng = np.random.default_rng([seed, place, index])
            source = listed[int(rng.integers(len(listed)))]
            where = folder / "bad" / f"{what}-{index}"
            path = where / "press" / "train" / f"bad-{index}{Path(source.name).suffix}"
            path.parent.mkdir(parents=True)
            path.write_bytes(damage(source.read_bytes(), rng))
            command: tuple[str, ...] = ("plan", str(path), "--data", str(data), "--no-estimate", "--device", "cpu")
            if what == "detectors":
                command = ("info", str(path)) if index % 4 == 0 else ("score", str(path), str(sounds[-1]), "--json")
            elif what == "sounds":
                command = ("inspect", str(where)) if index % 2 else ("score", str(learned), str(path), "--json")
            yield Case(what, path, command)


def originals(folder: Path) -> list[str]:
    """Whole sounds of all kinds and a data folder in a folder; gives the command that learns a detector there."""
    rng = np.random.default_rng(0)

    def hum(path: Path, *, seconds: int = 3, **options: Any) -> None:
        noise = 0.05 * rng.standard_normal(seconds * RATE)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise + 0.2 * np.sin(880 * np.arange(len(noise)) / RATE), RATE, **options)

    for name, options in SOUNDS.items():
        hum(folder / "good" / name, **options)
    for name in (f"{split}/id_0{number % 2}_{number}" for split in SPLITS for number in range(4)):
        hum(folder / "data" / "press" / f"{name}.wav")
    hum(folder / "normal.wav", seconds=120)
    (folder / "learned.toml").write_text(LEARNED)
    words = ("-o", folder / "pump.auscult", "--recipe", folder / "learned.toml", "--window", 2, "--workers", 1)
    return ["learn", str(folder / "normal.wav"), *map(str, words)]
