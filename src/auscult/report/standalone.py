"""A plot of the page as an SVG file of its own: drawing, ticks, words and legend, in the light theme."""

import base64
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from auscult.report.data import Plot
from auscult.report.ternary import ASPECT

FONT = 11.0
"""Size of the lettering, in pixels."""

LINE = 1.45 * FONT
"""Distance of lines of text, in pixels."""

CHARACTER = 0.56 * FONT
"""Mean width of a character, in pixels; SVG has no way to ask."""

EDGE = 12.0
"""Empty border of the figure, in pixels."""

SIZES: Mapping[str, tuple[float, float]] = {
    "square": (260, 260),
    "bars": (340, 130),
    "map": (420, 160),
    "trace": (420, 70),
    "ternary": (320, 320 * ASPECT),
}
"""Shape of a plot -> width and height of its plot area, in pixels."""

_MARK = re.compile(r'<path class="(?P<style>[^"]*)" d="(?P<data>[^"]*)"/>|(?:src|href)="(?P<picture>data:image/[^"]+)"')
_STEP = re.compile(r"[MLHVZh]|-?\d*\.?\d+")
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a figure stand, in pixels from the top left.

    Attributes:
        left: of the plot area.
        top: of the plot area.
        width: of the plot area.
        height: of the plot area.
        legend: top of the legend.
        total_width: of the figure.
        total_height: of the figure.
    """

    left: float
    top: float
    width: float
    height: float
    legend: float
    total_width: float
    total_height: float

    def x(self, percent: float) -> float:
        """A place from the left of the plot area."""
        return self.left + self.width * percent / 100

    def y(self, percent: float) -> float:
        """A place from the bottom of the plot area."""
        return self.top + self.height * (1 - percent / 100)


def standalone_svg(plot: Plot) -> str:
    """The plot as an SVG document that needs nothing else."""
    layout = _layout(plot)
    size = f"{layout.total_width:.0f} {layout.total_height:.0f}"
    width, height = size.split()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" height="{height}" role="img">',
        f"<title>{_safe(plot.title)}</title>",
        f"<desc>{_safe(plot.alt)}</desc>",
        f"<style>{_style()}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_heading(plot),
        *_frame(plot, layout),
        *_drawing(plot, layout),
        *_lettering(plot, layout),
        *_legend(plot, layout),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _layout(plot: Plot) -> Layout:
    width, height = _size(plot)
    gutter = max((CHARACTER * len(tick.text) for tick in plot.y_ticks), default=0.0)
    outside = [word for word in plot.words if not 0 <= word.y <= 100]
    above = 1.6 * LINE if any(word.y > 100 for word in outside) else 0.5 * LINE
    below = 3.3 * LINE if any(word.y < 0 for word in outside) else 0.3 * LINE
    left = EDGE + gutter + (8 if gutter else 0) + (LINE if plot.y_label else 0)
    left = max(left, EDGE + 2 * LINE) if outside else left
    top = EDGE + LINE * (bool(plot.title) + bool(plot.note) + bool(plot.scale)) + above
    legend = top + height + below + LINE * (bool(plot.x_ticks) + bool(plot.x_label))
    words = max(len(plot.title) * 1.1, len(plot.note), max((len(key.text) + 7 for key in plot.keys), default=0))
    total_width = max(left + width + (left if outside else 2 * EDGE), 2 * EDGE + CHARACTER * words)
    return Layout(left, top, width, height, legend, total_width, legend + LINE * len(plot.keys) + EDGE)


def _size(plot: Plot) -> tuple[float, float]:
    """Width and height of the plot area, in pixels."""
    shape = plot.shape.split()[0]
    if shape == "strips":
        return 520, 20 + 28 * max(len(plot.y_ticks), 1)
    if shape == "heat":
        side = max(plot.rows, 1) * (28 if plot.words else 14)
        return side, side
    return SIZES.get(shape, (340, 180))


def _heading(plot: Plot) -> Iterator[str]:
    y = EDGE + FONT
    if plot.title:
        yield _text(EDGE, y, plot.title, "title")
        y += LINE
    if plot.note:
        yield _text(EDGE, y, plot.note)
        y += LINE
    if plot.scale:
        colours, low, high = plot.scale
        stops = colours.split(", ")
        yield '<defs><linearGradient id="scale">'
        for place, colour in enumerate(stops):
            yield f'<stop offset="{place / (len(stops) - 1):.4f}" stop-color="{escape(colour)}"/>'
        yield "</linearGradient></defs>"
        start = EDGE + CHARACTER * len(low) + 6
        yield _text(EDGE, y, low)
        yield f'<rect x="{start:.1f}" y="{y - 8:.1f}" width="90" height="8" fill="url(#scale)"/>'
        yield _text(start + 96, y, high)


def _frame(plot: Plot, layout: Layout) -> Iterator[str]:
    """The axes' lines, where the page has them."""
    if plot.shape.split()[0] not in ("map", "heat", "ternary"):
        corners = f"M{layout.left:.1f} {layout.top:.1f}V{layout.y(0):.1f}H{layout.x(100):.1f}"
        yield f'<path class="axis" d="{corners}"/>'


def _drawing(plot: Plot, layout: Layout) -> Iterator[str]:
    for mark in _MARK.finditer(plot.body):
        if mark["picture"]:
            box = f'x="{layout.left:.2f}" y="{layout.top:.2f}" width="{layout.width:.2f}" height="{layout.height:.2f}"'
            yield f'<image href="{_png(mark["picture"])}" {box} preserveAspectRatio="none"/>'
        else:
            yield f'<path class="{mark["style"]}" d="{_moved(mark["data"], layout)}"/>'


def _moved(data: str, layout: Layout) -> str:
    """Path data of a drawing in percent, in pixels of the figure."""
    words: list[str] = []
    step, place = "", 0
    for word in _STEP.findall(data):
        if word.isalpha():
            words.append("h0.01" if word == "h" else word)
            step, place = word, 0
            continue
        across = step == "H" or (step in "ML" and place % 2 == 0)
        if step != "h":
            y = layout.top + layout.height * float(word) / 100
            words.append(f"{layout.x(float(word)):.2f}" if across else f"{y:.2f}")
            words.append(" ")
        place += 1
    return "".join(words).strip()


def _lettering(plot: Plot, layout: Layout) -> Iterator[str]:
    """Ticks, axes' names and words within the plot area."""
    base = layout.top + layout.height
    for tick in plot.x_ticks:
        yield _text(layout.x(tick.place), base + LINE, tick.text, anchor="middle")
    for tick in plot.y_ticks:
        yield _text(layout.left - 6, layout.y(tick.place) + 0.35 * FONT, tick.text, anchor="end")
    if plot.x_label:
        below = base + LINE * (2 if plot.x_ticks else 1)
        yield _text(layout.x(50), below, plot.x_label, anchor="middle")
    if plot.y_label:
        x, y = EDGE + FONT, layout.y(50)
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"'
        yield _text(x, y, plot.y_label, anchor="middle", more=turned)
    for word in plot.words:
        yield _text(layout.x(word.x), layout.y(word.y) + 0.35 * FONT, word.text, word.style, anchor=word.anchor)


def _legend(plot: Plot, layout: Layout) -> Iterator[str]:
    for place, key in enumerate(plot.keys):
        y = layout.legend + LINE * (place + 0.5)
        yield f'<path class="{key.style}" transform="translate({EDGE:.1f} {y - 5:.1f})" d="{key.mark}"/>'
        yield _text(EDGE + 34, y + 0.35 * FONT, key.text)


def _text(x: float, y: float, text: str, style: str = "", *, anchor: str = "start", more: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}{more}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Text that is fit for XML, whatever a name holds."""
    return escape(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", text))


def _style() -> str:
    """The page's rules for marks in the colours of its light theme, and the lettering."""
    folder = files("auscult.report")
    page = (folder / "style.css").read_text(encoding="utf-8")
    marks = (folder / "marks.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"(--[\w-]+): (#\w+);", page[: page.index("}")]))
    rules = re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], marks)
    return (
        f"text {{ font: {FONT:g}px Helvetica, Arial, sans-serif; fill: {colours['--muted']}; }}"
        f".title {{ font-weight: bold; fill: {colours['--ink']}; }}"
        f".axis {{ stroke: {colours['--muted']}; stroke-width: 1; }}{rules}"
    )


def _png(uri: str) -> str:
    """A picture's data URI as one that every SVG program reads."""
    kind, content = uri.split(",", 1)
    if kind == "data:image/png;base64":
        return uri
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(content))).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
