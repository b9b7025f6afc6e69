"""What the tables of all pages share: the measured figures, the words where there are none, Markdown."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from benchmarks.places import RESULTS

Results = Mapping[str, Any]


def read(name: str) -> Results | None:
    """A file of results, or none where it was not measured."""
    path = RESULTS / name
    if not path.is_file():
        return None
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    return results


def absent(file: str, command: str) -> str:
    """What stands where a file of results was not measured."""
    return f"Not measured yet: `{command}` writes `benchmarks/results/{file}`."


def measured(file: str, command: str, *keys: str) -> Callable[[Callable[[Results], str]], Callable[[], str]]:
    """Decorates what renders a file of results; where that or one of its parts was not measured, words stand instead.

    Args:
        file: of the results.
        command: measures them.
        keys: of the parts of the file that must be there.
    """

    def decorated(render: Callable[[Results], str]) -> Callable[[], str]:
        @wraps(render)
        def block() -> str:
            results = read(file)
            return absent(file, command) if results is None or not set(keys) <= set(results) else render(results)

        return block

    return decorated


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> str:
    """A table whose named columns, counted from 0, stand left, the others right."""
    rule = ["---" if place in left else "---:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def percent(figures: Results, name: str) -> str:
    """A mean and its standard deviation, in per cent."""
    return f"{100 * figures[name]:.1f} ± {100 * figures[f'{name}_sd']:.1f}"
