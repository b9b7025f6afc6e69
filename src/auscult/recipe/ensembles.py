"""Nested ensembles: patterns become names, children come before parents, cycles are found."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from auscult.errors import nearest
from auscult.recipe.tables import Ensemble

_MOST_PAIRS = 3_000_000


def is_pattern(name: str) -> bool:
    """Whether a name is a shell-style pattern; no member's own name holds these signs."""
    return any(sign in name for sign in "*?[")


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a shell-style pattern fits, in their order, each once; upper and lower case differ."""
    return [name for name in dict.fromkeys(names) if fnmatchcase(name, pattern)]


def resolve_ensembles(listed: Sequence[Ensemble], members: Sequence[str]) -> list[Ensemble]:
    """Ensembles with names in place of patterns, children before parents, the last one listed last.

    Args:
        listed: as a recipe lists them.
        members: names of the recipe's members, in order.

    Raises:
        ValueError: if two have one name, a pattern or name fits nothing, ensembles are in a cycle, or the last one
            listed is part of another.
    """
    names = [*dict.fromkeys(members), *(ensemble.name for ensemble in listed)]
    if (work := len(names) * sum(len(ensemble.members) for ensemble in listed)) > _MOST_PAIRS:
        raise ValueError(
            f"{len(names)} names and the patterns of {len(listed)} ensembles make {work} pairs; at most {_MOST_PAIRS} "
            "are allowed: name fewer"
        )
    for name, count in Counter(names).items():
        if count > 1:
            what = "a member and an ensemble are" if name in members else "two ensembles are"
            raise ValueError(f"{what} named {name!r}; rename one")
    expanded = {one.name: one.model_copy(update={"members": _expand(one, names)}) for one in listed}
    ordered: dict[str, Ensemble] = {}
    for ensemble in listed:
        _visit(ensemble.name, expanded, (), ordered)
    for ensemble in expanded.values():
        for part in (expanded[name] for name in ensemble.members if name in expanded):
            if (ensemble.fusion, part.fusion) != ("mean", "mean"):
                raise ValueError(
                    f"ensemble {ensemble.name!r} (fusion {ensemble.fusion}) has the ensemble {part.name!r} (fusion "
                    f"{part.fusion}) as a member; only means of means can be nested, so list members"
                )
        if listed[-1].name in ensemble.members:
            raise ValueError(
                f"the last ensemble listed, {listed[-1].name!r}, is the run's result and cannot be part of "
                f"{ensemble.name!r}; list {ensemble.name!r} behind it"
            )
    return list(ordered.values())


def _expand(ensemble: Ensemble, names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for pattern in ensemble.members:
        if is_pattern(pattern):
            some = matching(pattern, [name for name in names if name != ensemble.name])
        else:
            some = [pattern] if pattern in names else []
        if not some:
            raise ValueError(
                f"ensemble {ensemble.name!r}: no member or other ensemble is named {pattern!r}"
                f"{nearest(pattern.strip('*'), names)}; known: {', '.join(names)}"
            )
        found |= dict.fromkeys(some)
    return list(found)


def _visit(name: str, expanded: Mapping[str, Ensemble], path: tuple[str, ...], ordered: dict[str, Ensemble]) -> None:
    """Put an ensemble behind those that are part of it."""
    if name in path:
        chain = " is part of ".join(repr(one) for one in (*reversed(path[path.index(name) :]), path[-1]))
        raise ValueError(f"ensembles are in a cycle: {chain}; remove one of these names from the other's members")
    if name not in expanded or name in ordered:
        return
    for part in expanded[name].members:
        _visit(part, expanded, (*path, name), ordered)
    ordered[name] = expanded[name]
