"""The command line: each command parses, calls one function, prints."""

import atexit
import gc
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from auscult import __version__
from auscult.cli.data import download, inspect, synth
from auscult.cli.denoising import denoise, train_denoiser
from auscult.cli.deployment import export, info
from auscult.cli.detector import learn, pack, score
from auscult.cli.encoders import adapt_encoder
from auscult.cli.monitor import history, monitor
from auscult.cli.planning import bench, plan
from auscult.cli.runs import evaluate, recipes, run
from auscult.cli.serve import serve
from auscult.cli.submission import submit
from auscult.errors import AuscultError

app = App(
    name="auscult",
    version=__version__,
    help="Hear whether a machine is failing, from its normal sound alone.",
    suppress_keyboard_interrupt=False,  # `main` has a word to say
)
for command in (
    plan,
    bench,
    run,
    recipes,
    synth,
    inspect,
    download,
    evaluate,
    submit,
    train_denoiser,
    denoise,
    adapt_encoder,
    learn,
    pack,
    score,
    info,
    monitor,
    history,
    serve,
    export,
):
    app.command(command)


CONTINUES = "; what was finished is kept, and the same command continues"
NOTHING = "; nothing was written, and what was there before is as it was"
STOPPED = {
    "run": CONTINUES,
    "train-denoiser": CONTINUES,
    "adapt-encoder": CONTINUES,
    "download": CONTINUES,
    "learn": NOTHING,
    "pack": NOTHING,
    "export": NOTHING,
    "synth": NOTHING,
    "submit": NOTHING,
    "denoise": "; the recordings that were finished are kept, and the same command with --force makes all anew",
    "score": "; the scores above hold, and the same command begins again",
    "serve": "; the same command goes on",
    "monitor": "; the same command listens on",
}
"""Command -> what is true when it was stopped by Ctrl-C; of the others there is nothing to say."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command: exit code 0 if it succeeded, 2 for a user's mistake, 130 after Ctrl-C, or the command's own."""
    from auscult.cli.display.messages import print_error

    atexit.register(gc.freeze)  # to look through all of torch for garbage as the process ends takes half a second
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        print_error(f"{error} See `auscult --help`, or `auscult COMMAND --help`")
        sys.exit(2)
    except (AuscultError, OSError) as error:  # what the system refuses and no stage foresaw says its own reason
        print_error(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        given = sys.argv[1:] if arguments is None else arguments
        stopped = STOPPED.get(given[0], "") if given else ""
        sys.stderr.write(f"\nstopped{stopped}\n")
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
