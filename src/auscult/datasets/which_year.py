"""Which year of DCASE Task 2 a tree is of, from folders, machine types and names; what they leave open stays open."""

import re
from collections.abc import Callable, Iterator, Sequence

from auscult.datasets.names import Found, Named
from auscult.datasets.tree import Problem
from auscult.datasets.years import NO_ATTRIBUTE, YEARS, Year
from auscult.errors import AudioError

_FOLDER = re.compile(r"dcase(20\d\d)(?:t2)?")

Evidence = tuple[str, Callable[[Year], bool], bool]
"""What a file says, which years it fits, and whether it must fit: what names do not say is a hint only."""


def found_years(found: Sequence[Found], years: Sequence[Year]) -> tuple[list[Year], list[Problem]]:
    """The years that all files may be of, and a problem where they are of several: the first file that fits no more."""
    known, seen = list(years), set()
    for one in found:
        for said, fits, sure in _evidence(one):
            if said in seen:
                continue
            seen.add(said)
            if left := [facts for facts in known if fits(facts)]:
                known = left
            if left or not sure:
                continue
            mine = [facts for facts in YEARS.values() if facts.year > 2020 and fits(facts)]
            text = f"{said}, as in {_named(mine)}, but the layout or other files say {_named(known)}"
            return known, [Problem(one.file.path, f"{text}; give each year a folder of its own, or remove the file")]
    if all(one.machine_id == "section_00" for one in found):  # archives hold all sections of a machine type
        known = [facts for facts in known if len(facts.sections) == 1] or known
    return _by_channels(found, known), []


def _named(years: Sequence[Year]) -> str:
    return f"DCASE {' or '.join(str(facts.year) for facts in years)}" if years else "no year of DCASE"


def _evidence(one: Found) -> Iterator[Evidence]:
    """What a file says of its year. A machine type of no year says nothing."""
    kind, named = one.machine_type, one.named
    for name in one.file.folders[-one.file.depth - 2 :]:
        if (match := _FOLDER.fullmatch(name)) and (year := int(match[1])) in YEARS:
            yield f"lies in a folder {name}", lambda facts, year=year: facts.year == year, True  # type: ignore[misc]  # of a default
    if any(kind in facts.machine_types for facts in YEARS.values()):
        if one.subset == "development":
            yield f"is a {kind} of the development data", lambda facts: kind in facts.development, True
        elif one.subset:
            yield f"is a {kind} of the evaluation data", lambda facts: kind in facts.evaluation, True
        else:
            yield f"is a {kind}", lambda facts: kind in facts.machine_types, True
    if one.folder == "supplemental":
        yield "lies in a folder supplemental", lambda facts: facts.supplemental, True
        return
    if one.folder not in ("train", "test"):
        yield f"lies in a folder {one.folder}", lambda facts: one.folder in facts.test_folders, True
    if named is not None:
        yield from _of_name(one, named)


def _of_name(one: Found, named: Named) -> Iterator[Evidence]:
    kind = one.machine_type
    yield f"is of {named.machine_id}", lambda facts: named.machine_id in facts.sections, True
    if named.label is None:
        words = f"{'says' if named.domain else 'hides'} its domain, and hides its label"
        yield words, lambda facts: facts.hidden_domain == (named.domain is not None), True
    elif named.rest in ("", NO_ATTRIBUTE):
        yield f"has {named.rest or 'an empty last field'}", lambda facts: facts.no_attribute == named.rest, True
    elif named.rest:
        words = f"has attributes of a {kind} in its name"
        yield words, lambda facts: kind not in (facts.without_attributes or ()), False
    elif one.split == "test":
        yield "is a test without attributes", lambda facts: not facts.attributes_in_tests, False


def _by_channels(found: Sequence[Found], known: list[Year]) -> list[Year]:
    """Where names leave open whether there are two channels, the first recording says it."""
    if len({facts.channels for facts in known}) < 2 or not found:
        return known
    from auscult.sound.audio import probe

    try:
        channels = probe(found[0].file.path).channels
    except AudioError:
        return known
    return [facts for facts in known if facts.channels == channels] or known
