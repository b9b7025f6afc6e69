"""Embeddings of windows that were heard before: a monitor's windows overlap, and are not embedded again and again."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Remembered:
    """Embeds what is new, and remembers the last embeddings by what was embedded, bit for bit.

    For embeddings that are the same numbers whatever is embedded with them.

    Args:
        most: embeddings that are kept.
    """

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, Array] = OrderedDict()

    def __call__(self, windows: Array, embed: Callable[[Array], Array]) -> Array:
        """The embeddings `[N, F]` of windows `[N, ...]`.

        Args:
            windows: of one shape.
            embed: makes embeddings `[M, F]` of some of them `[M, ...]`.
        """
        keys = [hashlib.blake2b(window.tobytes(), digest_size=16).digest() for window in windows]
        new = {key: place for place, key in enumerate(keys) if key not in self._kept}
        if new:
            made = embed(windows[list(new.values())])
            self._kept.update((key, one.copy()) for key, one in zip(new, made, strict=True))  # a view would keep all
        found = np.stack([self._kept[key] for key in keys])
        for key in keys:
            self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found
