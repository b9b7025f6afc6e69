"""Parameter counts of our networks beside those that follow from the report's text, as `docs/parameters.md`.

`python -m benchmarks.parameters` builds every network that the report describes and writes the page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks.places import PROJECT

if TYPE_CHECKING:
    from auscult.models import Model

PAGE = PROJECT / "docs" / "parameters.md"

FEATURES = {"OL3": (512, 1), "LM": (128, 5)}
"""Features of the report's Table 1: values of a frame, and frames per window."""

HVAE_ROWS = (
    ("TCar", "OL3", (512, 512, 256), 16, True),
    ("TCar", "OL3", (512, 512, 256), 16, False),
    ("TCar", "LM", (640, 512, 256), 16, True),
    ("TCar", "LM", (640, 512, 256), 16, False),
    ("TConv.", "OL3", (1024, 512), 16, False),
    ("TConv., slider, valve", "LM", (640, 512, 256), 20, True),
    ("fan", "OL3", (512, 256, 256), 8, True),
    ("fan", "LM", (640, 256, 256), 20, True),
    ("fan", "LM", (640, 256, 256), 20, False),
    ("pump, valve", "OL3", (512, 256, 256), 16, False),
    ("pump, valve", "OL3", (512, 256, 256), 16, True),
    ("pump", "OL3", (512, 256, 256), 8, False),
    ("slider", "LM", (640, 512, 256), 20, False),
    ("valve", "OL3", (512, 256, 256), 10, False),
)
"""The rows of Table 1 that differ in their network: machine types, features, hidden layers, Z, BP."""

IDCAE_IDS = 7
"""Machine ids of development and additional data together; ToyConveyor alone has six."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network.

    Attributes:
        line: the report's words on it.
        counted: parameters by the layer widths of that line, without building anything.
        built: parameters of our network.
    """

    line: str
    counted: int
    built: int


def dense(sizes: Sequence[int], *, norms: bool = False) -> int:
    """Parameters of dense layers with biases; with a batch norm's two for each unit of all but the last."""
    layers = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    return layers + (2 * sum(sizes[1:-1]) if norms else 0)


def convolution(n_in: int, n_out: int, *, kernel: int, groups: int) -> int:
    return n_out * (n_in // groups * kernel + 1)


def built(model: "Model", n_ids: int = 1) -> int:
    """Parameters of a model once its networks are made."""
    model.ids = tuple(f"id_{index:02d}" for index in range(n_ids))
    model.build()
    return model.n_parameters


def baseline_row() -> Row:
    from auscult.models import Autoencoder

    sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    return Row("640 - 128x4 - 8 - 128x4 - 640, batch norm, ReLU", dense(sizes, norms=True), built(Autoencoder()))


def hvae_rows() -> list[Row]:
    from auscult.models import HVAE

    rows = []
    for types, features, hidden, n_latent, big_precision in HVAE_ROWS:
        n_bins, context = FEATURES[features]
        n_values = n_bins * context
        encoder = dense([n_values, *hidden, 2 * n_latent])
        up = [n_latent, *reversed(hidden)]
        decoders = 2 * dense([*up, n_values]) if big_precision else dense([*up, 2 * n_values])
        model = HVAE(n_bins, context=context, hidden=hidden, n_latent=n_latent, big_precision=big_precision)
        line = f"{types}: {features}, {list(hidden)}, Z {n_latent}, BP {'+' if big_precision else 'no'}"
        rows.append(Row(line, encoder + decoders, built(model)))
    return rows


def idcae_rows() -> list[Row]:
    from auscult.models import IDCAE

    rows = []
    for n_mels in (128, 256):
        n_values = 10 * n_mels
        encoder = dense([n_values, 128, 64, 32, 16]) + 2 * (128 + 64 + 32 + 16)  # the code has a norm, too
        decoder = dense([16, 128, 128, 128, 128, n_values], norms=True)
        conditioning = 2 * dense([IDCAE_IDS, 16, 16])
        line = f"F 10, M {n_mels}: E 128, 64, 32, 16; D 128x4; H_gamma, H_beta 16, 16; {IDCAE_IDS} classes"
        rows.append(Row(line, encoder + decoder + conditioning, built(IDCAE(n_mels, context=10), IDCAE_IDS)))
    return rows


def freak_rows() -> list[Row]:
    from auscult.models import Freak

    rows = []
    for bins in (128, 64):
        for m in (5, 6):
            for n_layers in (3, 4):
                model = Freak(bins, m=m, n_layers=n_layers, norm="clip")
                line = f"{bins} bins, m {m}, {n_layers} layers (receptive field {model.receptive_field()} frames)"
                rows.append(Row(line, freak_count(bins, m, n_layers), built(model)))
    return rows


def freak_count(bins: int, m: int, n_layers: int) -> int:
    """Table 5: blocks of m x bins channels, then a causal convolution to the bins; four groups, a norm before each."""
    hidden, total = m * bins, 0
    for n_in in [bins] + [hidden] * (n_layers - 1):
        total += 2 * n_in + convolution(n_in, hidden, kernel=3, groups=4)  # causal
        total += 2 * hidden + 2 * convolution(hidden, hidden, kernel=1, groups=4)  # gate and value share a norm
        total += 2 * hidden + convolution(hidden, hidden, kernel=1, groups=4)  # out
        total += convolution(n_in, hidden, kernel=1, groups=4)  # skip, without a norm
    return total + 2 * hidden + convolution(hidden, bins, kernel=3, groups=4)


SECTIONS: tuple[tuple[str, str, Callable[[], list[Row]]], ...] = (
    (
        "Baseline",
        "The challenge's auto-encoder, which the report compares with. Keras counts 269,992 for it: these trained "
        "parameters and 2,064 moving means and variances of the batch norms, which we keep as buffers.",
        lambda: [baseline_row()],
    ),
    (
        "HVAE",
        "The report's Table 1 (section 2): encoder and decoder have the same hidden layers, and the encoder has two "
        "outputs for each latent dimension; BP + doubles the decoder, otherwise its output layer is doubled. OL3 is an "
        "embedding of 512 values, LM five frames of 128 mels. Rows that differ only in denoising, beta, epochs or "
        "pooling have the same network and stand here once.",
        hvae_rows,
    ),
    ("IDCAE", "The report's Table 2 (section 3).", idcae_rows),
    (
        "FREAK",
        "The report's Table 5 (section 4): three or four layers, five or six times as many channels as bins, 64 or 128 "
        "bins. Either norm has the same parameters.",
        freak_rows,
    ),
)

HEAD = """# Parameter counts

Written by `python -m benchmarks.parameters`; do not edit.

The report gives layer widths for every model and a number of parameters for the denoiser only, 2.6 M. So each line of
the report is counted twice: *by the report* from the widths in its text, and *built* from the network in
`src/auscult/models`. A test holds the two equal. Spectral, the yardstick, is not in the report and trains no parameter
by gradient descent.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, text, rows in SECTIONS:
        lines = [f"## {title}", "", text, "", "| the report's line | by the report | built |", "|---|---:|---:|"]
        lines += [f"| {row.line} | {row.counted:,} | {row.built:,} |" for row in rows()]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, front_ends()])


def front_ends() -> str:
    """The networks before the models, whose widths the report does not give."""
    from auscult.denoising.unet import UNet
    from auscult.features.openl3_network import AudioNetwork

    openl3 = sum(parameter.numel() for parameter in AudioNetwork().parameters())
    return f"""## Front ends

The report names both networks and says of the denoiser that "a single model contains 2.6M parameters" (section 2.2).
What we built, in real parameters; a complex weight counts twice:

| network | the report | built |
|---|---:|---:|
| denoiser, a Deep Complex U-Net | 2.6 M | {UNet().n_parameters:,} |
| OpenL3's audio network | not given | {openl3:,} |
"""


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")
