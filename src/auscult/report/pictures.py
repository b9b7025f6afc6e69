"""Values as a small picture within an SVG drawing, in the few colours of a colour map."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

COLOURS = 250
"""Steps of the colour scale: a picture of few colours is small, and its steps cannot be seen."""


def picture(values: NDArray[np.float64], colours: str, low: float, high: float) -> str:
    """An SVG `<image>` that fills the plot area, transparent where values are NaN.

    Args:
        values: `[H, W]`, the first row on top.
        colours: a colour map of matplotlib.
        low: value of the first colour.
        high: value of the last colour.
    """
    from matplotlib import colormaps
    from PIL import Image

    shades = np.clip(COLOURS * (np.nan_to_num(values) - low) / ((high - low) or 1.0), 0, COLOURS - 1)
    image = Image.fromarray(np.where(np.isfinite(values), shades, COLOURS).astype(np.uint8), mode="P")
    palette = (255 * colormaps[colours](np.linspace(0, 1, COLOURS))[:, :3]).round().astype(np.uint8)
    image.putpalette([*palette.ravel().tolist(), 255, 255, 255])
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, transparency=COLOURS)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<image href="data:image/png;base64,{data}" width="100" height="100" preserveAspectRatio="none"/>'
