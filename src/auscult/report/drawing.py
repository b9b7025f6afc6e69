"""How figures look, and how one becomes SVG: on the page in the colours of its theme, in a file in the light ones."""

import base64
import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib import rc_context, rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Affine2D, Transform, blended_transform_factory
from numpy.typing import ArrayLike

_SHEET = (files("auscult.report") / "style.css").read_text(encoding="utf-8")

COLOURS = dict(re.findall(r"--(\w+): (#\w{6});", _SHEET[: _SHEET.index("}")]))
"""The light theme. Figures are drawn in these; on the page each becomes the style sheet's variable of its name."""

SOUND, ERROR, SIGNED = "viridis", "inferno", "RdBu_r"
"""Colour maps: uniform steps of lightness for sounds and for errors; two hues for errors with a sign."""

SIZE = 11
"""Of the lettering, in pixels of the figure."""

STYLE = rc_params_from_file(str(files("auscult.report") / "figures.mplstyle"), use_default_template=False)
"""The one style of all figures, beside matplotlib's defaults."""

styled = rc_context(STYLE)
"""Decorates the functions that draw a figure."""

KEPT = ("d", "x", "y", "width", "height", "transform", "href", "clip-path")
"""The attributes of an element that have an effect."""

PAD = 10
"""Empty border of a file's figure, in pixels."""

_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A figure with what is said about it.

    Attributes:
        figure: drawn with `canvas` or `bare`; a pixel is a point.
        alt: what it shows, in words.
        shape: style class that gives it its width on the page.
        title: heading.
        note: words beside the heading, such as a figure of merit.
        name: of its file when it is exported, without an ending; empty for a plot of the page alone.
        times: ends of its time axis, in seconds, where it has one.
        boxes: top and height, in percent, of its parts that share a time axis; the style sheet has left and width.
    """

    figure: Figure
    alt: str
    shape: str
    title: str = ""
    note: str = ""
    name: str = ""
    times: tuple[float, float] = (0.0, 0.0)
    boxes: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How the lines of a system look: the name of a colour, a width in pixels, lengths of dashes and gaps."""

    colour: str
    width: float = 1.4
    dashes: tuple[float, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """For `Axes.plot`."""
        dashes: dict[str, Any] = {"dashes": self.dashes} if self.dashes else {}
        return {"color": COLOURS[self.colour], "linewidth": self.width, **dashes}


def bare(width: float, height: float) -> Figure:
    """An empty figure, in pixels."""
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def canvas(
    width: float, height: float, *, left: float = 46, right: float = 12, bottom: float = 34, top: float = 6
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; its size and margins in pixels."""
    figure = bare(width, height)
    return figure, axes_at(figure, left, bottom, width - left - right, height - bottom - top)


def axes_at(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes from `(x, y)` to the right and upwards, in pixels from the bottom left."""
    whole, high = figure.get_size_inches() * 72
    axes = figure.add_axes((x / whole, y / high, width / whole, height / high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    edge = blended_transform_factory(figure.transFigure, axes.transAxes)
    axes.yaxis.set_label_coords(SIZE / whole, 0.5, transform=edge)
    return axes


def pixels(axes: Axes) -> Transform:
    """From pixels, from the bottom left of the figure of some axes."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches() * 72
    return Affine2D().scale(1 / width, 1 / height) + figure.transFigure


def some_ticks(count: int, *, whole: bool = False) -> MaxNLocator:
    """About `count` ticks at round values, or at whole numbers."""
    return MaxNLocator(nbins=count, steps=[1, 2, 5, 10], integer=whole, min_n_ticks=1)


def limits(values: ArrayLike) -> tuple[float, float]:
    """The ends of a scale that holds all finite values, with a margin of a twentieth of their range."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    pad = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return low - pad, high + pad


def colour_scale(axes: Axes, end: tuple[float, float], colours: str, *, low: str, high: str) -> None:
    """The legend of a colour map of axes, to the left of a place in pixels from the bottom left of their figure."""
    right, y = end
    start = right - 6.4 * len(high) - 62
    strip = AxesImage(axes, cmap=colours, extent=(start, start + 54, y, y + 8))
    strip.set(data=np.linspace(0, 1, 12)[None], transform=pixels(axes), clip_on=False)
    axes.add_image(strip)
    axes.text(start - 5, y, safe(low), ha="right", transform=pixels(axes))
    axes.text(right, y, safe(high), ha="right", transform=pixels(axes))


def dots(axes: Axes, x: ArrayLike, y: ArrayLike, *, size: float, colour: str, **more: Any) -> None:
    """Discs of a diameter in pixels, above lines, also where they reach over the edge of the axes."""
    options: dict[str, Any] = {"marker": "o", "markeredgewidth": 0, "clip_on": False, "zorder": 3} | more
    axes.plot(x, y, linestyle="none", markersize=size, color=colour, **options)


def tick_text(value: float) -> str:
    """A tick's value, short, with a true minus sign.

    >>> tick_text(-0.5), tick_text(2000.0)
    ('−0.5', '2000')
    """
    return true_minus(f"{value:g}")


def true_minus(text: str) -> str:
    """A number's text with the typographer's minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def safe(text: str) -> str:
    """Text for a figure, whatever a name holds: fit for XML."""
    return _UNFIT.sub(UNREADABLE, text)


def embedded(plot: Plot, name: str) -> str:
    """The figure as an SVG element of a page: colours are its variables, lettering its font, numbers short.

    Args:
        plot: that is drawn.
        name: starts the element's ids, which must differ from those of other elements.
    """
    root = ET.fromstring(_svg(plot.figure, facecolor="none"))
    width, height = plot.figure.get_size_inches() * 72
    ids = {str(one.get("id")): f"{name}-{place}" for place, one in enumerate(root.iterfind(".//{*}defs//*[@id]"))}
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="--width:{width:.0f}px" role="img" '
        f'aria-label="{escape(safe(plot.alt))}">{"".join(_element(child, ids) for child in root)}</svg>'
    )


@styled
def figure_file(plot: Plot) -> str:
    """The figure as an SVG document of its own, with title, note and legend."""
    figure = plot.figure
    height = figure.get_size_inches()[1] * 72
    heads = [figure.text(0, 1 + 6 / height, safe(plot.note))] if plot.note else []
    heads.append(
        figure.text(0, 1 + (24 if plot.note else 8) / height, safe(plot.title), weight="bold", color=COLOURS["ink"])
    )
    lines = [one for axes in figure.axes for one in axes.get_legend_handles_labels()[0]]
    if lines and not any(axes.get_legend() for axes in figure.axes):
        figure.legend(handles=lines, loc="upper left", bbox_to_anchor=(0, 0))
    words = {"Title": safe(plot.title), "Description": safe(plot.alt)}
    text = _svg(figure, bbox_inches="tight", pad_inches=PAD / 72, facecolor="#ffffff", metadata=words)
    for extra in (*heads, *figure.legends):
        extra.remove()
    return text


def _svg(figure: Figure, *, metadata: Mapping[str, str] | None = None, **options: Any) -> str:
    file = io.StringIO()
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that no font here has; the reader's may
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, **(metadata or {})}, **options)
    return file.getvalue()


def _element(element: ET.Element, ids: Mapping[str, str]) -> str:
    """An element of matplotlib's SVG, brief: no groups without effect, no rules that the page has."""
    tag = element.tag.rpartition("}")[2]
    words = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    style = _style(words.pop("style", ""), tag)
    if tag in ("metadata", "style") or (tag == "path" and style.get("fill") == "none" and "stroke" not in style):
        return ""
    inside = "".join(_element(child, ids) for child in element) + escape((element.text or "").strip(), quote=False)
    kept = {key: _attribute(value, ids) for key, value in words.items() if key in KEPT or value in ids}
    if tag == "text":
        classes = style.pop("text-anchor", "")[:1] + (" b" if style.get("font-weight") == "700" else "")
        kept |= {"class": classes.strip()} if classes else {}
        style = {} if "b" in classes else style
    if tag == "path" and style.get("fill") == "none":
        del style["fill"]
    if style and tag != "image":
        kept["style"] = ";".join(f"{key}:{value}" for key, value in style.items())
    if (tag == "g" and not kept) or (tag == "defs" and not inside):
        return inside
    opening = " ".join([tag, *(f'{key}="{escape(value)}"' for key, value in kept.items() if value)])
    return f"<{opening}>{inside}</{tag}>" if inside else f"<{opening}/>"


def _attribute(value: str, ids: Mapping[str, str]) -> str:
    """A value with short numbers, its page's ids, and a small picture; empty if it has no effect."""
    if value.startswith("data:image"):
        return _picture(value)
    if value.startswith("rotate(-0 "):
        return ""
    if (name := value.strip("#url()")) in ids:
        return value.replace(name, ids[name])
    return re.sub(r" ?([A-Za-z(),]) ?", r"\1", " ".join(_NUMBER.sub(_short, value).split()))


def _style(text: str, tag: str) -> dict[str, str]:
    """The rules that the page's style sheet does not give by itself."""
    rules = {key.strip(): value.strip() for key, _, value in (rule.partition(":") for rule in text.split(";")) if key}
    names = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
    usual = {"font-size": f"{SIZE}px", "text-anchor": "start", "stroke-linecap": "square"}
    usual |= {"fill": COLOURS["muted"]} if tag == "text" else {}
    unused = ("font-family", "stroke-linejoin", "stroke-dashoffset")
    return {
        key: names.get(value, value) for key, value in rules.items() if key not in unused and usual.get(key) != value
    }


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.4g}"


def _picture(uri: str) -> str:
    """A picture's data URI, as lossless WebP where that is smaller."""
    from PIL import Image

    content = base64.b64decode(uri.split(",", 1)[1])
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, "WEBP", lossless=True)
    small = min(("webp", file.getvalue()), ("png", content), key=lambda pair: len(pair[1]))
    return f"data:image/{small[0]};base64,{base64.b64encode(small[1]).decode('ascii')}"
