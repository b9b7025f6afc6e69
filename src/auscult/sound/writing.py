"""A sound written to a file block by block, whose disk may be full."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import soundfile

MORE = 2**16  # bytes


@contextmanager
def new_sound(path: Path, sample_rate: int, *, format: str, subtype: str) -> Iterator["soundfile.SoundFile"]:
    """Give a new file of one channel, to whose end blocks `[T]` are written.

    Args:
        path: of the file.
        sample_rate: in Hz.
        format: of libsndfile, for instance `"FLAC"`.
        subtype: of the format, for instance `"PCM_16"`.

    Raises:
        OSError: if the system refuses to write.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path, "w", sample_rate, 1, subtype, format=format) as file:
            yield file
    except soundfile.LibsndfileError as error:
        with path.open("ab") as same:  # libsndfile does not say what the system said: it says it again
            same.write(bytes(MORE))
        raise OSError(errno.EIO, str(error)) from error
