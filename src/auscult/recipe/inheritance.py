"""Inheritance: `extends` between recipes, `like` between members; what comes out is flat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auscult.errors import RecipeError, nearest
from auscult.recipe.ensembles import is_pattern, matching
from auscult.recipe.grids import expand_grid

Content = dict[str, Any]
"""What TOML holds."""

Find = Callable[[str], tuple[str, Content, "Find"]]
"""From a name in `extends` to that recipe's source and content, and what finds those that it extends."""

DEFAULTS = ("training", "train_on")
"""Keys at the top that are the members' defaults: an extended recipe's go with its members."""
APART = ("name", "description", "extends", "member", "ensemble", *DEFAULTS)
"""Keys at the top of an extended recipe that are not merged into the extending one's top."""


@dataclass
class _Draft:
    """A member's table, and defaults that came with it from an extended recipe; the extending recipe's beat them."""

    table: Content
    defaults: Content = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.table.get("name"))

    @property
    def types(self) -> frozenset[str] | None:
        types = self.table.get("machine_types")
        return frozenset(map(str, types)) if isinstance(types, list) else None

    def finished(self, top: Mapping[str, Any]) -> Content:
        """The table with the defaults that the recipe's own beat and the table's own keys beat again."""
        beaten = {key: self.defaults[key] for key in DEFAULTS if key in self.defaults}
        training = merged(beaten.pop("training", {}), top.get("training", {}))
        table = {**{key: value for key, value in beaten.items() if key not in top}, **self.table}
        if self.defaults.get("training") and isinstance(training, dict):
            table["training"] = merged(training, table.get("training", {}))
        return table


@dataclass
class _Resolved:
    """A recipe without inheritance: keys at the top, members, ensembles (none where it says nothing of them)."""

    top: Content = field(default_factory=dict)
    members: list[_Draft] = field(default_factory=list)
    ensembles: list[Content] | None = None


def merged(one: Any, other: Any) -> Any:
    """Tables key by key, in which the other's keys win; of anything else the other."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return other
    both = {key: merged(one[key], other[key]) for key in one if key in other}
    return {**one, **other, **both}


def flat(content: Content, source: str, find: Find) -> Content:
    """A recipe's content without `extends`, `like` and `grid`.

    Args:
        content: as it was read.
        source: names it in messages.
        find: finds what it extends.

    Raises:
        RecipeError: for cycles, names that do not exist, and grids that cannot be.
    """
    resolved = _resolve(content, source, find, ())
    result = {**resolved.top, **{key: content[key] for key in APART if key in content and key != "extends"}}
    if resolved.members:
        result["member"] = [draft.finished(content) for draft in resolved.members]
    if resolved.ensembles is not None:
        result["ensemble"] = resolved.ensembles
    return result


def _resolve(content: Content, source: str, find: Find, chain: tuple[str, ...]) -> _Resolved:
    if source in chain:
        cycle = " extends ".join((*chain[chain.index(source) :], source))
        raise RecipeError(f"recipes extend each other in a cycle: {cycle}; remove one `extends`")
    resolved = _Resolved()
    for name in _extended(content, source):
        where, base, find_further = find(name)
        _join(resolved, _resolve(base, where, find_further, (*chain, source)), base)
    own = {key: value for key, value in content.items() if key not in APART}
    resolved.top = merged(resolved.top, own)
    try:
        resolved.members = _with_own(resolved.members, _tables(content, "member"))
        listed = _tables(content, "ensemble")
    except RecipeError as error:
        raise RecipeError(f"the recipe {source}: {error}") from error
    if "ensemble" in content:
        resolved.ensembles = _joined(resolved.ensembles or [], listed) if listed else []
    return resolved


def _extended(content: Content, source: str) -> list[str]:
    names = content.get("extends", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecipeError(
            f"the recipe {source}: extends is {names!r}; give a built-in recipe's name, the path of a TOML file, or a "
            "list of these"
        )
    return names


def _tables(content: Content, key: str) -> list[Content]:
    tables = content.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RecipeError(f"{key} is {tables!r}: it should be a list of tables; write [[{key}]] above each")
    return tables


def _join(resolved: _Resolved, base: _Resolved, content: Content) -> None:
    """Add an extended recipe to those before it; where both say something, the later one does."""
    sentences = dict.fromkeys(str(one["chosen_on"]) for one in (resolved.top, base.top) if one.get("chosen_on"))
    resolved.top = merged(resolved.top, base.top)
    if sentences:
        resolved.top["chosen_on"] = " ".join(sentences)
    top = {key: content[key] for key in DEFAULTS if key in content}
    for draft in base.members:
        inherited = _Draft(draft.table, merged(draft.defaults, top))
        same = [i for i, one in enumerate(resolved.members) if (one.name, one.types) == (draft.name, draft.types)]
        if same:
            resolved.members[same[0]] = inherited
        else:
            resolved.members.append(inherited)
    if base.ensembles is not None:
        resolved.ensembles = _joined(resolved.ensembles or [], base.ensembles)


def _joined(ensembles: Sequence[Content], others: Sequence[Content]) -> list[Content]:
    """Ensembles and others; one with the name of an earlier one changes it in its place."""
    joined = [dict(ensemble) for ensemble in ensembles]
    names = [ensemble.get("name") for ensemble in joined]
    for other in others:
        if other.get("name") in names:
            index = names.index(other.get("name"))
            joined[index] = merged(joined[index], other)
        else:
            joined.append(other)
    return joined


def _with_own(inherited: Sequence[_Draft], tables: Sequence[Content]) -> list[_Draft]:
    """Inherited members and a recipe's own: those that change inherited ones do so in their places."""
    members = list(inherited)
    added: dict[int, list[_Draft]] = {}
    for index, table in enumerate(tables):
        if "like" not in table:
            added[index] = [draft for draft in _drafts(table) if not _changes(members, draft)]
    changing = {index for index, drafts in added.items() if not drafts}  # what is like their name is like the inherited
    fresh = {index: table for index, table in enumerate(tables) if index not in changing}
    for index, table in enumerate(tables):
        if "like" in table:
            drafts = _drafts(*_as_liked(index, fresh, members, ()))
            added[index] = [draft for draft in drafts if not _replaces(members, draft)]
    return members + [draft for index in sorted(added) for draft in added[index]]


def _drafts(table: Content, defaults: Content | None = None) -> list[_Draft]:
    return [_Draft(one, dict(defaults or {})) for one in expand_grid(table)]


def _changes(members: list[_Draft], own: _Draft) -> bool:
    """Merge an own member over the inherited ones that it means; whether there are any.

    Of its name, or of names that fit its pattern; for the same machine types, or for any if it gives none.
    """
    pattern = is_pattern(own.name)
    names = matching(own.name, [draft.name for draft in members]) if pattern else [own.name]
    meant = [
        index
        for index, draft in enumerate(members)
        if draft.name in names and (own.types is None or own.types == draft.types)
    ]
    for index in meant:
        table = {key: value for key, value in own.table.items() if key != "name"}
        members[index] = _Draft(over(members[index].table, table), members[index].defaults)
    if pattern and not meant:
        known = ", ".join(dict.fromkeys(draft.name for draft in members)) or "none"
        raise RecipeError(f"member {own.name!r} fits no inherited member; inherited: {known}")
    return bool(meant)


def _replaces(members: list[_Draft], own: _Draft) -> bool:
    """Put an own member in the place of the inherited one of its name and machine types; whether there is one."""
    for index, draft in enumerate(members):
        if (draft.name, draft.types) == (own.name, own.types):
            members[index] = own
            return True
    return False


def _as_liked(
    index: int, own: Mapping[int, Content], members: Sequence[_Draft], path: tuple[int, ...]
) -> tuple[Content, Content]:
    """Table and defaults of an own member with those of the member that it is like, and so on.

    Where several have the name, the one for the same machine types is meant, or else the first.
    """
    table = own[index]
    if "like" not in table:
        return table, {}
    if index in path:
        chain = " is like ".join(repr(str(own[one].get("name"))) for one in (*path[path.index(index) :], index))
        raise RecipeError(f"members are like each other in a cycle: {chain}; write one of them in full")
    name, like = str(table.get("name")), str(table["like"])
    named: list[tuple[Content, int | _Draft]] = [(draft.table, draft) for draft in members if draft.name == like]
    named += [(own[one], one) for one in own if one != index and own[one].get("name") == like]
    if not named:
        known = [str(one.get("name")) for one in own.values()] + [draft.name for draft in members]
        known = [one for one in dict.fromkeys(known) if one != name]
        there = f"known: {', '.join(known)}" if known else "there is no other"
        raise RecipeError(f"member {name!r} is like {like!r}, which is no other member{nearest(like, known)}; {there}")
    types = table.get("machine_types")
    same = [liked for one, liked in named if types is not None and one.get("machine_types") == types]
    meant = (same or [liked for _, liked in named])[0]
    if isinstance(meant, _Draft):
        first, defaults = meant.table, meant.defaults
    else:
        first, defaults = _as_liked(meant, own, members, (*path, index))
    return over(first, {key: value for key, value in table.items() if key != "like"}), defaults


def over(member: Content, changes: Content) -> Content:
    """A member's table with changes, key by key; not its model for another family, nor features of another kind."""
    base = dict(member)
    if changes.get("family", base.get("family")) != base.get("family"):
        base.pop("model", None)
    kinds = [one.get("features", {}) for one in (base, changes)]
    if all(isinstance(kind, dict) for kind in kinds):
        before, after = kinds[0].get("kind", "log_mel"), kinds[1].get("kind")
        if after not in (None, before):
            base.pop("features", None)
    both: Content = merged(base, changes)
    return both
