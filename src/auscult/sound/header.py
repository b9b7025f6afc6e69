"""What a sound file promises of its length, in its first and its last bytes, where libsndfile takes a part for all."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import soundfile

UNKNOWN = "the header does not say how long it is (a recorder that was stopped, or a pipe): it is read to its end"
_MOST_CHUNKS = 1000  # before the samples of a wav file
_OGG_PAGE = 65307  # bytes of the largest
_FLAC_TOTAL = 21  # place of the number of samples in a flac file; its last 36 bits in 5 bytes


@dataclass(frozen=True, slots=True)
class Promise:
    """What a file says of its length.

    Attributes:
        missing: what is not there though the file promises it.
        note: what is worth knowing of a file that says nothing.
        place: of bytes of the header that are to be read as others.
        others: these bytes.
    """

    missing: str = ""
    note: str = ""
    place: int = 0
    others: bytes = b""


def promise_of(path: Path) -> Promise:
    """What a wav, flac or ogg file says of its length; nothing is said of others.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
            return _wav(file, path.stat().st_size, head)
        if head[:4] == b"OggS":
            return _ogg(file, path.stat().st_size)
        if head[:4] == b"fLaC":
            file.seek(_FLAC_TOTAL)
            total = int.from_bytes(file.read(5), "big")
            if total & (2**36 - 1) == 0:
                return Promise(note=UNKNOWN, place=_FLAC_TOTAL, others=_counted(path, total))
    return Promise()


def open_mended(path: Path, promise: Promise) -> "soundfile.SoundFile":
    """The sound, with a header that tells its length."""
    import soundfile

    return soundfile.SoundFile(_Mended(path, promise) if promise.others else path)


def says_nothing(length: int) -> bool:
    """Whether a length of a wav header means that it is not known.

    Programs write 0, or about the most that 31 or 32 bits hold, often less a header or rounded to whole blocks.

    >>> [says_nothing(length) for length in (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 32000)]
    [True, True, True, True, False]
    """
    return length == 0 or any(top - 2**16 <= length <= top for top in (2**31, 2**32))


def _wav(file: IO[bytes], size: int, head: bytes) -> Promise:
    order = ">" if head[:4] == b"RIFX" else "<"
    whole, long = int(struct.unpack(f"{order}I", head[4:8])[0]), 0
    for _ in range(_MOST_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        name, length = struct.unpack(f"{order}4sI", chunk)
        start = file.tell()
        if name == b"ds64":  # sizes of 64 bits: of the file, of its samples
            long = int.from_bytes(file.read(16)[8:], "little")
        if name == b"data":
            length = long if long and length == 2**32 - 1 else length
            rest = size - start
            if length == 0 and rest > 0 and abs(whole + 8 - size) > 1:  # else the chunks behind are known: no sound
                return Promise(note=UNKNOWN, place=start - 4, others=b"\xff\xff\xff\xff")
            if length > rest and says_nothing(length):
                return Promise(note=UNKNOWN)
            return Promise(missing=f"{length - rest} bytes are missing at the end" if length > rest else "")
        file.seek(start + length + length % 2)
    return Promise()


def _ogg(file: IO[bytes], size: int) -> Promise:
    """The last page is whole and says that it ends the stream: else the sound went on."""
    file.seek(max(0, size - 2 * _OGG_PAGE))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    if len(page) < 27 or len(page) < 27 + page[26] + sum(lengths):
        return Promise(missing="it ends within a page")
    return Promise(missing="" if page[5] & 4 else "it ends before the page that ends the stream")


def _counted(path: Path, total: int) -> bytes:
    """The bytes of a flac header that tell the number of samples, which are counted by reading them all."""
    import soundfile

    count = 0
    with soundfile.SoundFile(path) as file:
        file.__dict__["seekable"] = lambda: False  # as it would look for an end that it does not know
        size = max(1, 2**20 // file.channels)
        while found := len(file.read(size, dtype="int16")):
            count += found
    return (total | count).to_bytes(5, "big")


class _Mended(io.FileIO):
    """A file of which some bytes are read as others."""

    def __init__(self, path: Path, promise: Promise) -> None:
        super().__init__(path)
        self.promise = promise

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer."""
        start = self.tell()
        count = super().readinto(buffer) or 0
        for place, byte in enumerate(self.promise.others, start=self.promise.place - start):
            if 0 <= place < count:
                buffer[place : place + 1] = bytes([byte])
        return count
