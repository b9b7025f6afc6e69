"""Fills README.md and the pages with the tables of the measured figures in `benchmarks/results`.

`python -m benchmarks.page` writes each table between the comments `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import re
from collections.abc import Callable

from benchmarks import page_benchmarks, page_denoising, page_detector, page_neighbours, page_performance, page_serve
from benchmarks.places import PROJECT

PAGES = (
    PROJECT / "README.md",
    *(
        PROJECT / "docs" / f"{name}.md"
        for name in ("benchmarks", "denoising", "detector", "encoders", "monitor", "performance", "serve", "thresholds")
    ),
)

BLOCKS: dict[str, Callable[[], str]] = {
    "real": page_benchmarks.real,
    "protocols": page_benchmarks.protocols,
    "settings": page_benchmarks.settings,
    "bf16": page_benchmarks.bf16,
    "speed": page_benchmarks.speed,
    "cuda": page_benchmarks.cuda,
    "denoiser": page_denoising.denoiser,
    "front_ends": page_benchmarks.front_ends,
    "denoised": page_denoising.denoised,
    "denoised_verdict": page_denoising.denoised_verdict,
    "denoised_real": page_denoising.denoised_real,
    "denoised_sounds": page_denoising.denoised_sounds,
    "full_size": page_neighbours.full_size,
    "pieces": page_neighbours.pieces,
    "practical": page_detector.practical,
    "practical_alarms": page_detector.practical_alarms,
    "detector_speed": page_detector.detector_speed,
    "promise": page_detector.promise,
    "extrapolation": page_detector.extrapolation,
    "bounds": page_performance.bounds,
    "encoders": page_performance.encoders,
    "with_encoder": page_performance.with_encoder,
    "exponents": page_performance.exponents,
    "projection": page_performance.projection,
    "year": page_performance.year,
    "far": page_benchmarks.far,
    "monitored_slider": page_detector.monitored_slider,
    "monitored_speed": page_detector.monitored_speed,
    "monitored_factory": page_detector.monitored_factory,
    "served": page_serve.served,
    "served_year": page_serve.served_year,
    "history": page_serve.history,
}
"""Name of a table -> what renders it, or says how to measure it."""


def filled(text: str) -> str:
    """A page with its blocks rendered anew."""

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- begin {name} -->\n{BLOCKS[name]()}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin (?P<name>\w+) -->\n.*?<!-- end (?P=name) -->", block, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"written to {page}")
