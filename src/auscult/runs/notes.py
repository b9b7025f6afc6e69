"""What a reader of a run must know of its data, a sentence each."""

from auscult.clips import Subset
from auscult.datasets.years import YEARS
from auscult.recipe import Recipe
from auscult.runs.plan import Plan
from auscult.runs.results import System
from auscult.scores.metrics import incomplete_ids
from auscult.scores.official import why_none


def notes_on_data(recipe: Recipe, plan: Plan, final: System, years: tuple[int, ...]) -> list[str]:
    """Sentences on what the settings saw, missing training data, machines without figures, and no official score.

    Args:
        recipe: of the run.
        plan: the jobs that are finished.
        final: the run's result.
        years: of DCASE Task 2 that the data may be of.
    """
    notes = [recipe.chosen_on] if recipe.chosen_on else []
    notes += _missing_training(recipe, plan, years)
    if not len(final.development):
        scored = "evaluation clips" if len(final.evaluation) else "training clips"
        tested = any((bank.split, bank.subset) == ("test", "development") for job in plan.members for bank in job.test)
        lacking = f"{final.name} scored no development test clip" if tested else "There is no development test clip"
        notes.append(f"{lacking}: only the {scored} were scored.")
    tables = [final.development]
    if any(row.label for row in final.evaluation):
        tables.append(final.evaluation)
    elif len(final.evaluation):
        notes.append("The evaluation clips have no labels: they were scored and not evaluated.")
    alike: dict[str, list[str]] = {}
    for table in tables:
        for (machine_type, machine_id), reason in incomplete_ids(table).items():
            alike.setdefault(reason, []).append(f"{machine_type} {machine_id}")
    notes += [
        f"{', '.join(machines)} {f'have {reason} each: they have' if machines[1:] else f'has {reason}: it has'} no AUC "
        f"and {'are' if machines[1:] else 'is'} left out of all means."
        for reason, machines in alike.items()
    ]
    return notes + _no_official_score(final, years)


def _no_official_score(final: System, years: tuple[int, ...]) -> list[str]:
    """A sentence on each labelled set of clips of the challenge that has no official score."""
    tables = {"development": final.development, "evaluation": final.evaluation}
    notes = []
    for subset, table in tables.items():
        judged = any(row.label == "anomaly" for row in table)
        if years and judged and (why := why_none(table, years, option=f"--layout, for instance dcase{years[-1]}")):
            notes.append(f"There is no official score of the {subset} clips: {why}.")
    return notes


def _missing_training(recipe: Recipe, plan: Plan, years: tuple[int, ...]) -> list[str]:
    """Sentences on training data that the recipe asks for and the data lack, and on machines that nobody heard.

    Nothing is missing of a machine type that the challenge's year does not have in that part.
    """
    banks = [bank for job in plan.members for bank in (*job.train, *job.test)]
    notes = []
    for subset in recipe.train_on:
        there = {bank.machine_type for bank in banks if (bank.split, bank.subset) == ("train", subset)}
        wanted = [kind for kind in plan.machine_types if _is_in(kind, subset, years)]
        if missing := [kind for kind in wanted if kind not in there]:
            notes.append(f"No {subset} training data of {', '.join(missing)}, on which the recipe would train too.")
    tested = {(clip.machine_type, clip.machine_id) for bank in banks if bank.split == "test" for clip in bank.clips}
    train = [clip for bank in banks if bank.split == "train" for clip in bank.clips]
    heard = {(clip.machine_type, clip.machine_id) for clip in train}
    heard_in = {(clip.machine_type, clip.machine_id, clip.domain) for clip in train}
    for domain, other in (("source", "target"), ("target", "source")):
        if lacking := sorted(
            " ".join(one) for one in heard if (*one, domain) not in heard_in and (*one, other) in heard_in
        ):
            notes.append(f"Trained without a clip of the {domain} domain: {', '.join(lacking)}.")
    if unheard := sorted(" ".join(machine) for machine in tested - heard):
        notes.append(f"Tested without a training clip of the same machine: {', '.join(unheard)}.")
    return notes


def _is_in(machine_type: str, subset: Subset, years: tuple[int, ...]) -> bool:
    """Whether a part of the challenge has a machine type; yes for one that none of these years has."""
    known = [YEARS[year] for year in years if machine_type in YEARS[year].machine_types]
    parts = [facts.development if subset == "development" else facts.evaluation for facts in known]
    return not parts or any(machine_type in part for part in parts)
