"""The house in figures: lines, rooms, floors, circles, long functions, shared names, and what each command enters.

A room is a module or a folder directly in `src/auscult`. An arrow is an import, wherever it stands in a file. Floors
are the rooms on the longest way along arrows; a circle is a group of files each of which reaches the others.
"""

import argparse
import ast
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.places import PROJECT
from benchmarks.tracing import COMMANDS, entered

PACKAGE = PROJECT / "src" / "auscult"
LONG = 40
"""Lines of code from which on a function is listed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        source_lines: of the package, blank lines and comments as well.
        test_lines: of `tests`.
        rooms: in the package.
        floors: rooms on the longest way of imports.
        circles: files that import each other, a list for each group.
        shared_class_names: names of classes that several files of the package define, with these files.
        longest_function: lines of code of the longest function, without its docstring, comments and blank lines.
        long_functions: those over `LONG` such lines, as `file:name` -> lines.
        files_entered: command -> files of the package of which anything ran, an import or more.
        frames_entered: command -> functions of the package that ran.
        calls_to_score: functions that hand a window of the monitor on, from the source to the features and the model.
    """

    source_lines: int
    test_lines: int
    rooms: int
    floors: int
    circles: list[list[str]]
    shared_class_names: dict[str, list[str]]
    longest_function: int
    long_functions: dict[str, int]
    files_entered: dict[str, int] = field(default_factory=dict)
    frames_entered: dict[str, int] = field(default_factory=dict)
    calls_to_score: int = 0


def measure(*, commands: Collection[str] = COMMANDS) -> Figures:
    """All figures: those that can be read off the files, and what each of the commands enters."""
    found = entered(commands) if commands else {}
    sources = sorted(PACKAGE.rglob("*.py"))
    benchmarks = sorted((PROJECT / "benchmarks").glob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in [*sources, *benchmarks]}
    names = {_module(path): path for path in trees}
    imports = {name: _imported(trees[path], names) - {name} for name, path in names.items()}
    rooms = room_arrows({name: found for name, found in imports.items() if name.startswith("auscult.")})
    functions = {
        f"{path.relative_to(PROJECT)}:{node.name}": _code_lines(path, node)
        for path in trees
        for node in ast.walk(trees[path])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    return Figures(
        source_lines=_lines(sources),
        test_lines=_lines(sorted((PROJECT / "tests").rglob("*.py"))),
        rooms=len(rooms),
        floors=_floors(rooms),
        circles=[sorted(group) for group in _circles(imports)],
        shared_class_names=_shared_names({path: trees[path] for path in sources}),
        longest_function=max(functions.values()),
        long_functions=dict(sorted(((k, n) for k, n in functions.items() if n > LONG), key=lambda item: -item[1])),
        files_entered={command: counts["files"] for command, counts in found.items()},
        frames_entered={command: counts["frames"] for command, counts in found.items()},
        calls_to_score=found.get("monitor", {}).get("calls_to_score", 0),
    )


def _lines(paths: Iterable[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent if path.is_relative_to(PACKAGE) else PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, known: Mapping[str, Path]) -> set[str]:
    """The known modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                found.add(below if below in known else node.module)
    return found & known.keys()


def room_of(module: str) -> str:
    """The room of a module of the package."""
    return module.split(".")[1]


def room_arrows(imports: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Room -> the rooms that it imports.

    Args:
        imports: module of the package -> modules that it imports.
    """
    rooms: dict[str, set[str]] = {room_of(name): set() for name in imports if room_of(name) != "__main__"}
    for name, found in imports.items():
        if (room := room_of(name)) in rooms:
            rooms[room] |= {room_of(other) for other in found if other.startswith("auscult.")} - {room}
    return rooms


def _floors(arrows: Mapping[str, Iterable[str]]) -> int:
    """Rooms on the longest way; 0 if there is a circle of rooms, on which no way ends."""
    if _circles(arrows):
        return 0
    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            heights[room] = 1 + max(map(height, arrows[room]), default=0)
        return heights[room]

    return max(map(height, arrows), default=0)


def _circles(arrows: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Groups of which each member reaches all others."""
    reached = {name: _reached(name, arrows) for name in arrows}
    groups: list[set[str]] = []
    for name, there in reached.items():
        if name in there and not any(name in group for group in groups):
            groups.append({other for other in there if name in reached[other]})
    return groups


def _reached(start: str, arrows: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(arrows[start])
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += arrows.get(name, ())
    return found


def _shared_names(trees: Mapping[Path, ast.Module]) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def _code_lines(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function that hold code: no docstring, comment or blank line."""
    lines = path.read_text(encoding="utf-8").splitlines()[node.lineno - 1 : node.end_lineno]
    if ast.get_docstring(node) is not None:
        first, last = node.body[0].lineno - node.lineno, (node.body[0].end_lineno or 0) - node.lineno
        del lines[first : last + 1]
    return sum(1 for line in lines if line.strip() and not line.strip().startswith("#"))


def shown(figures: Figures) -> str:
    """The figures in lines."""
    rows = [
        f"lines of source        {figures.source_lines:,}",
        f"lines of tests         {figures.test_lines:,}",
        f"rooms                  {figures.rooms}",
        f"floors                 {figures.floors}",
        f"circles                {len(figures.circles)}",
        *(f"  {' '.join(circle)}" for circle in figures.circles),
        f"shared class names     {len(figures.shared_class_names)}",
        *(f"  {name}: {', '.join(files)}" for name, files in figures.shared_class_names.items()),
        f"longest function       {figures.longest_function} lines of code; over {LONG}:",
        *(f"  {name}: {count}" for name, count in figures.long_functions.items()),
        *(
            f"{command:<23}enters {count} files, {figures.frames_entered[command]} functions"
            for command, count in figures.files_entered.items()
        ),
        *([f"from source to score   {figures.calls_to_score} functions"] if figures.calls_to_score else []),
    ]
    return "\n".join(rows)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--static", action="store_true", help="leave out what runs commands")
    arguments = parser.parse_args()
    figures = measure(commands=() if arguments.static else COMMANDS)
    if arguments.json:
        print(json.dumps(asdict(figures), indent=2))
    else:
        print(shown(figures))


if __name__ == "__main__":
    main()
