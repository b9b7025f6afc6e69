"""The frame bank: the frames of many clips as one array, all that a model learns from."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.errors import ModelError
from auscult.features.front_end import FrontEnd

if TYPE_CHECKING:
    from auscult.clips import Clip, Known


@dataclass(frozen=True)
class Bank:
    """Frames of C clips, one behind the other; arrays only, clips of any length.

    Attributes:
        frames: `[sum N, F]` float32, memory-mapped where it lies on disk.
        offsets: `[C + 1]` int64; clip i holds the frames `offsets[i]` to `offsets[i + 1]`.
        ids: machine id of each clip `[C]`.
        frame_rate: frames per second, where it is known.
        domains: domain of each clip `[C]`; empty where no clip has one.
        attributes: attributes of each clip `[C]`, as `Clip` has them; empty where no clip has any.
        others: normal clips of other machine types, one bank for each, from which these are to be told. Not saved.
    """

    frames: NDArray[np.float32]
    offsets: NDArray[np.int64]
    ids: tuple[str, ...]
    frame_rate: float | None = None
    domains: tuple[str | None, ...] = ()
    attributes: tuple[tuple[tuple[str, str], ...], ...] = ()
    others: tuple["Bank", ...] = ()

    @property
    def n_clips(self) -> int:
        """Number of clips C."""
        return len(self.ids)

    @property
    def n_bins(self) -> int:
        """Width F of a frame."""
        return int(self.frames.shape[1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each clip `[C]`."""
        return np.diff(self.offsets)

    @property
    def known(self) -> "list[Known]":
        """What is known of each clip `[C]`."""
        domains, attributes = self.domains or (None,) * self.n_clips, self.attributes or ((),) * self.n_clips
        return list(zip(self.ids, domains, attributes, strict=True))

    def clip(self, index: int) -> NDArray[np.float32]:
        """Frames `[N, F]` of one clip."""
        return self.frames[self.offsets[index] : self.offsets[index + 1]]

    def select(self, indices: Sequence[int]) -> "Bank":
        """A bank of some of the clips, in the given order."""
        some = bank_of([self.clip(i) for i in indices], [self.ids[i] for i in indices], frame_rate=self.frame_rate)
        domains = tuple(self.domains[i] for i in indices) if self.domains else ()
        attributes = tuple(self.attributes[i] for i in indices) if self.attributes else ()
        return replace(some, domains=domains, attributes=attributes, others=self.others)

    def save(self, folder: Path) -> None:
        """Write to a folder that must exist; `load` reads it."""
        (folder / _FRAMES).write_bytes(np.ascontiguousarray(self.frames, dtype=np.float32).tobytes())
        self.save_index(folder)

    def save_index(self, folder: Path) -> None:
        """Write all but the frames."""
        index = {
            "n_bins": self.n_bins,
            "frame_rate": self.frame_rate,
            "ids": self.ids,
            "offsets": self.offsets.tolist(),
        }
        known = {"domains": self.domains, "attributes": self.attributes}
        index |= {name: values for name, values in known.items() if any(values)}
        (folder / _INDEX).write_text(json.dumps(index))

    @classmethod
    def load(cls, folder: Path) -> "Bank":
        """Open a saved bank, its frames memory-mapped."""
        index = json.loads((folder / _INDEX).read_text())
        offsets = np.asarray(index["offsets"], dtype=np.int64)
        shape = (int(offsets[-1]), int(index["n_bins"]))
        frames = np.memmap(folder / _FRAMES, dtype=np.float32, mode="r", shape=shape)
        domains = tuple(index.get("domains", ()))
        attributes = tuple(tuple((name, value) for name, value in one) for one in index.get("attributes", ()))
        return cls(frames, offsets, tuple(index["ids"]), index["frame_rate"], domains, attributes)


_FRAMES, _INDEX = "frames.f32", "bank.json"


def bank_of(features: "ArrayLike | Bank", machine_ids: Sequence[str], *, frame_rate: float | None = None) -> Bank:
    """Make a bank of arrays.

    Args:
        features: `[C, N, F]`, or a sequence of `[N, F]` of any lengths; a bank is given back as it is.
        machine_ids: `[C]`.
        frame_rate: frames per second; pooling `winmed` needs it.

    Raises:
        ModelError: for shapes that do not fit, frames that are not finite, or no clip at all.
    """
    if isinstance(features, Bank):
        return features
    clips = [np.asarray(clip, dtype=np.float32) for clip in features]  # type: ignore[union-attr]  # any sequence
    if not clips:
        raise ModelError("there is no clip; give at least one")
    widths = {clip.shape[1] if clip.ndim == 2 else None for clip in clips}
    if None in widths or len(widths) > 1:
        raise ModelError(
            f"clips have the shapes {sorted({clip.shape for clip in clips})}; give [N, F] with one width F"
        )
    if len(clips) != len(machine_ids):
        raise ModelError(f"{len(clips)} clips came with {len(machine_ids)} machine ids; give one id per clip")
    frames = np.concatenate(clips)
    if not np.isfinite(frames).all():
        bad = next(i for i, clip in enumerate(clips) if not np.isfinite(clip).all())
        raise ModelError(f"clip {bad} holds values that are not finite; repair or leave out the clip")
    offsets = np.concatenate([[0], np.cumsum([len(clip) for clip in clips])]).astype(np.int64)
    return Bank(frames, offsets, tuple(str(id_) for id_ in machine_ids), frame_rate)


def concatenate(banks: "Sequence[Bank]") -> Bank:
    """Some banks as one, their clips in order; one alone is given back as it is.

    Raises:
        ModelError: if there is none, or they differ in width or frame rate.
    """
    if not banks:
        raise ModelError("there is no bank; give at least one")
    first = banks[0]
    if len(banks) == 1:
        return first
    if any((bank.n_bins, bank.frame_rate) != (first.n_bins, first.frame_rate) for bank in banks):
        raise ModelError("the banks differ in width or frame rate; use one kind of features")
    lengths = np.concatenate([bank.lengths for bank in banks])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = tuple(id_ for bank in banks for id_ in bank.ids)
    domains = tuple(chain(*(bank.domains or (None,) * bank.n_clips for bank in banks)))
    attributes = tuple(chain(*(bank.attributes or ((),) * bank.n_clips for bank in banks)))
    frames = np.concatenate([bank.frames for bank in banks])
    known = domains if any(domains) else (), attributes if any(attributes) else ()
    return Bank(frames, offsets, ids, first.frame_rate, *known)


def build_bank(
    clips: "Sequence[Clip]",
    front_end: FrontEnd,
    folder: Path,
    *,
    on_clip: Callable[[int], None] | None = None,
) -> Bank:
    """Compute the features of many clips and write them to a folder clip by clip, so that memory holds one at a time.

    Args:
        clips: in the order of the bank.
        front_end: path -> `[N, F]`.
        folder: where the bank is written; it must exist.
        on_clip: called with the number of clips done, after each.

    Raises:
        AudioError, FeatureError: for a clip that cannot be read; they name the file.
    """
    lengths = [0]
    with (folder / _FRAMES).open("wb") as file:
        for done, clip in enumerate(clips, start=1):
            frames = front_end(clip.path)
            file.write(np.ascontiguousarray(frames).data)
            lengths.append(len(frames))
            if on_clip is not None:
                on_clip(done)
    frames, offsets = np.empty((0, front_end.features.n_bins), np.float32), np.cumsum(lengths, dtype=np.int64)
    ids, domains = tuple(clip.machine_id for clip in clips), tuple(clip.domain for clip in clips)
    attributes = tuple(clip.attributes for clip in clips)
    Bank(frames, offsets, ids, front_end.features.frame_rate, domains, attributes).save_index(folder)
    return Bank.load(folder)
