"""From a run to the challenge's folder: `auscult submit`, its metadata and its refusals."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from auscult.clips import Label
from auscult.errors import AuscultError, ModelError, RunError, ScoreError
from auscult.recipe import Member, parse_recipe
from auscult.runs.run import run as run_recipe
from auscult.scores.table import ScoreRow, ScoreTable
from auscult.submission import metadata, read_submission, write_submission
from auscult.submission.metadata import Author, Identity, metadata_text, parse_author, unfilled
from auscult.submission.run_folder import RunData, choose, data_of, members_of, read_model_head, read_run

RECIPE = """
name = "two"
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 24 }
[[member]]
name = "hvae"
family = "hvae"
pooling = "median"
features = { n_mels = 24 }
model = { n_latent = 2, hidden = [8] }
training = { epochs = 1 }
"""


@pytest.fixture(scope="module")
def real(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run, which no test changes."""
    out = tmp_path_factory.mktemp("run") / "two"
    run_recipe(parse_recipe(RECIPE, "test"), data=factory, out=out)
    return out


def rows_of(kind: str, labels: Sequence[Label | None], shift: float) -> list[ScoreRow]:
    return [ScoreRow(kind, "id_01", f"id_01_{n:08d}.wav", label, n + shift) for n, label in enumerate(labels)]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A run folder as runs with protocols write it: ensembles `final` and `family`, the member `hvae`."""
    folder = tmp_path / "made"
    (folder / "scores").mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    rows = []
    for shift, name in enumerate(("final.paper", "final.uniform", "final.leave-one-id-out", "family.uniform", "hvae")):
        for kind in ("fan", "valve"):
            (folder / "scores" / kind).mkdir(exist_ok=True)
            table = ScoreTable(rows_of(kind, [None, None], shift / 3))
            table.write(folder / "scores" / kind / f"{name}.evaluation.csv")
            system, _, protocol = name.partition(".")
            for machine_id, auc in (("id_00", 0.25), ("id_02", 0.5 + shift / 10)):
                row = {"machine_type": kind, "machine_id": machine_id, "system": system, "protocol": protocol or "none"}
                rows.append({**row, "auc": auc, "pauc": auc / 2, "subset": "development"})
    content = {
        "headline": {"system": "final", "protocol": "uniform"},
        "rows": rows,
        "choices": [],
        "failures": [],
        "notes": [],
    }
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# Which scores


def test_the_default_is_the_headline_s_system_with_the_development_weights(made: Path) -> None:
    choice = choose(read_run(made))
    assert (choice.system, choice.protocol) == ("final", "paper")
    assert choice.others == ["uniform", "leave-one-id-out"]
    assert choice.table == ScoreTable(rows_of("fan", [None, None], 0) + rows_of("valve", [None, None], 0))
    assert choice.figures["fan"] == {"auc": 0.375, "pauc": 0.1875}


@pytest.mark.parametrize(
    ("system", "protocol", "shift", "found"),
    [
        (None, "uniform", 1, "uniform"),
        ("final", "leave-one-id-out", 2, "leave-one-id-out"),
        ("family", None, 3, "uniform"),
        ("hvae", None, 4, "none"),
    ],
)
def test_system_and_protocol_choose_the_file(
    made: Path, system: str | None, protocol: str | None, shift: int, found: str
) -> None:
    choice = choose(read_run(made), system=system, protocol=protocol)
    assert choice.protocol == found
    assert choice.table.scores.tolist() == [shift / 3, 1 + shift / 3] * 2
    assert choice.figures["valve"]["auc"] == pytest.approx((0.25 + 0.5 + shift / 10) / 2)


def test_a_protocol_that_lacks_a_type_is_no_default(made: Path) -> None:
    (made / "scores" / "fan" / "final.paper.evaluation.csv").unlink()
    assert choose(read_run(made)).protocol == "uniform"
    assert list(choose(read_run(made), protocol="paper").table.groups()) == ["valve"]


def test_the_figures_are_of_the_seed_whose_scores_are_submitted(made: Path) -> None:
    first = choose(read_run(made)).figures
    content = json.loads((made / "results.json").read_text())
    content["rows"] += [{**row, "seed": 1, "auc": 1.0, "pauc": 1.0} for row in content["rows"]]
    (made / "results.json").write_text(json.dumps(content))
    assert choose(read_run(made)).figures == first


def test_a_type_without_ensemble_takes_the_plain_file(made: Path) -> None:
    for path in (made / "scores" / "fan").glob("final.*"):
        path.unlink()
    ScoreTable(rows_of("fan", [None], 7)).write(made / "scores" / "fan" / "final.evaluation.csv")
    table = choose(read_run(made), protocol="paper").table
    assert [row.score for row in table if row.machine_type == "fan"] == [7]


@pytest.mark.parametrize(
    ("system", "protocol", "words"),
    [
        ("finl", None, "no evaluation scores of a system 'finl' (did you mean 'final'?); it has them of"),
        (None, "papr", "under 'papr' (did you mean 'paper'?); choose paper, uniform, leave-one-id-out"),
        ("family", "paper", "under 'paper'; choose uniform"),
        ("hvae", "paper", "is a single model, which has no protocol"),
    ],
)
def test_a_wrong_name_is_told_the_right_ones(made: Path, system: str | None, protocol: str | None, words: str) -> None:
    with pytest.raises(RunError) as caught:
        choose(read_run(made), system=system, protocol=protocol)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: (run / "results.json").unlink(), "is no finished run"),
        (lambda run: (run / "results.json").write_text("[{"), "is damaged"),
        (lambda run: (run / "results.json").write_text('{"rows": 3}'), "is damaged"),
        (lambda run: (run / "recipe.toml").unlink(), "lacks recipe.toml"),
        (lambda run: shutil.rmtree(run / "scores"), "has no evaluation scores: its data have no evaluation clips"),
        (lambda run: (run / "results.json").write_text("[]"), "of another version"),
        (lambda run: (run / "scores" / "fan" / "final.paper.evaluation.csv").write_text("a,b\n"), "columns"),
    ],
)
def test_what_is_no_finished_run_is_refused(made: Path, spoil: Callable[[Path], Any], words: str) -> None:
    spoil(made)
    with pytest.raises(AuscultError) as caught:
        choose(read_run(made))
    assert words in str(caught.value)


# The folder


def test_scores_survive_in_full_precision_and_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = [*rng.normal(size=20).tolist(), 1e-300, -0.1, 1 / 3, 12345678.9]
    rows = [ScoreRow("fan", "id_01", f"id_01_{n:08d}.wav", None, value) for n, value in enumerate(values)]
    files = write_submission(ScoreTable(reversed(rows)), "text\n", label="A_B_task2_1", out=tmp_path / "out")
    assert [path.name for path in files] == ["anomaly_score_fan_id_01.csv", "A_B_task2_1.meta.yaml"]
    assert sorted(tmp_path.glob("out/*")) == sorted(files)
    lines = files[0].read_text().splitlines()
    assert lines == [f"{row.file},{row.score!r}" for row in rows]


def test_only_a_submission_is_replaced_and_only_by_force(tmp_path: Path) -> None:
    table, out = ScoreTable(rows_of("fan", [None], 0)), tmp_path / "out"
    out.mkdir()
    write_submission(table, "one", label="A_B_task2_1", out=out)
    with pytest.raises(RunError, match="--force"):
        write_submission(table, "two", label="A_B_task2_2", out=out)
    assert (out / "A_B_task2_1.meta.yaml").read_text() == "one"
    write_submission(table, "two", label="A_B_task2_2", out=out, force=True)
    assert [path.name for path in sorted(out.iterdir())] == ["A_B_task2_2.meta.yaml", "anomaly_score_fan_id_01.csv"]
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"of no submission, such as thesis\.txt"):
        write_submission(table, "three", label="A_B_task2_1", out=out, force=True)
    with pytest.raises(RunError, match="is a file"):
        write_submission(table, "three", label="A_B_task2_1", out=out / "thesis.txt", force=True)
    assert (out / "thesis.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing temporary is left"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, out = ScoreTable(rows_of("fan", [None], 0)), tmp_path / "out"
    write_submission(table, "one", label="A_B_task2_1", out=out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunError, match="the disk is full"):
        write_submission(table, "two", label="A_B_task2_1", out=out, force=True)
    assert (out / "A_B_task2_1.meta.yaml").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_machine_without_a_name_in_the_challenge_is_refused(tmp_path: Path) -> None:
    table = ScoreTable([ScoreRow("fan", "north", "a.wav", None, 0.0)])
    with pytest.raises(ScoreError, match="fan north has no name in the challenge"):
        write_submission(table, "", label="A_B_task2_1", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# The metadata


def test_the_metadata_has_the_fields_of_a_published_submission(real: Path, shared_data: Path, tmp_path: Path) -> None:
    run = read_run(real)
    text, notes = metadata_text(run, choose(run), Identity())
    (tmp_path / "ours.yaml").write_text(text)
    ours = parsed(tmp_path / "ours.yaml")
    folder = shared_data / "submissions_2020" / "Haunschmid_CPJKU_task2_1"
    theirs = parsed(folder / f"{folder.name}.meta.yaml")
    assert notes == []
    assert list(ours) == list(theirs)
    assert list(ours["submission"]) == list(theirs["submission"])
    assert set(ours["submission"]["authors"][0]) == set(theirs["submission"]["authors"][0])
    assert set(ours["submission"]["authors"][0]["affiliation"]) == {"institution", "department", "location"}
    assert list(ours["system"]) == list(theirs["system"])
    assert list(ours["system"]["description"]) == list(theirs["system"]["description"])
    assert set(theirs["results"]["development_dataset"]["fan"]) == set(ours["results"]["development_dataset"]["fan"])


def test_the_metadata_say_what_the_run_is(real: Path, tmp_path: Path) -> None:
    run = read_run(real)
    text, _ = metadata_text(run, choose(run), Identity(authors=[parse_author('Noether; Emmy; ; "Göttingen"')]))
    (tmp_path / "ours.yaml").write_text(text, encoding="utf-8")
    ours = parsed(tmp_path / "ours.yaml")
    assert ours["submission"]["name"] == "two: ensemble, uniform"
    assert ours["submission"]["authors"][0]["affiliation"]["institution"] == '"Göttingen"'
    assert ours["submission"]["authors"][0]["email"] == metadata.PLACEHOLDER
    description = ours["system"]["description"]
    assert description["machine_learning_method"] == "Gaussian, VAE, ensemble"
    assert description["aggregation_method"] == "weighted ranking, median"
    assert (description["ensemble_method_subsystem_count"], description["decision_making"]) == (2, "average")
    assert description["front_end"] is description["external_data_usage"] is None
    rows = json.loads((real / "results.json").read_text())["rows"]
    mine = [row for row in rows if (row["machine_type"], row["system"]) == ("fan", "ensemble")]
    aucs = [row["auc"] for row in mine if row["subset"] == "development"]
    assert ours["results"]["development_dataset"]["fan"]["averaged_auc"] == pytest.approx(100 * np.mean(aucs))


def test_denoiser_and_embeddings_count_and_are_named(real: Path, tmp_path: Path) -> None:
    shutil.copytree(real, tmp_path / "run", ignore=shutil.ignore_patterns("store"))
    alone, _ = metadata_text(run := read_run(tmp_path / "run"), choose(run), Identity())
    text = RECIPE.replace('pooling = "median"\nfeatures = { n_mels = 24 }', 'features = { kind = "openl3" }')
    text = text.replace('family = "spectral"', 'family = "spectral"\ndenoise_level = 3')
    (tmp_path / "run" / "recipe.toml").write_text(text)
    (tmp_path / "ours.yaml").write_text(metadata_text(run := read_run(tmp_path / "run"), choose(run), Identity())[0])
    ours = parsed(tmp_path / "ours.yaml")
    (tmp_path / "alone.yaml").write_text(alone)
    total = parsed(tmp_path / "alone.yaml")["system"]["complexity"]["total_parameters"]
    more = metadata.DENOISER_PARAMETERS + metadata.OPENL3_PARAMETERS
    assert ours["system"]["complexity"]["total_parameters"] == total + more
    assert ours["system"]["external_datasets"] == [{"name": metadata.PLACEHOLDER, "url": metadata.PLACEHOLDER}]
    description = ours["system"]["description"]
    assert (description["embeddings"], description["input_sampling_rate"]) == ("OpenL3", "16kHz, 48kHz")
    assert description["acoustic_features"] == "log-mel energies"
    assert "U-Net" in description["front_end"]


def test_statistics_are_named_by_what_they_are_of() -> None:
    def member_of(**features: Any) -> Member:
        return Member.model_validate({"name": "a", "family": "spectral", "features": features})

    assert metadata._encoder(member_of(kind="statistics", of={"kind": "yamnet"})) == metadata._ENCODERS["yamnet"]
    assert metadata._features(member_of(kind="statistics", of={"kind": "modulation"})) == "modulation spectrum"


def test_missing_weights_are_named(made: Path) -> None:
    run = read_run(made)
    text, notes = metadata_text(run, choose(run, system="hvae"), Identity())
    assert notes == ["the run has no weights of hvae of fan, hvae of valve; total_parameters is without them"]
    assert "total_parameters: !!null" in text


def test_what_is_to_be_filled_in_is_named() -> None:
    author = Author("Noether", "Emmy", "a@b.c", "I", "L")
    full = Identity("Noether_Uni_task2_2", "a name", "short", [author])
    assert full.label == "Noether_Uni_task2_2"
    text = 'label: "FILL IN"  # why\nauthors:\n  - lastname: FILL IN\n    email: "FILL IN or not"\nname: "x"\n'
    assert unfilled(text) == ["label", "lastname"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Identity(label="mine"), "must be <last name>_<institution>_task2_<1 to 4>"),
        (lambda: Identity(label="../A_B_task2_1"), "must be"),
        (lambda: Identity(label="A_B_task2_5"), "must be"),
        (lambda: Identity(abbreviation="eleven char"), "1 to 10 characters"),
        (lambda: parse_author("; Emmy"), "not of the form"),
        (lambda: parse_author("a;b;c;d;e;f"), "not of the form"),
    ],
)
def test_labels_and_authors_of_another_form_are_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ScoreError, match=words):
        make()


def test_the_head_of_a_model_s_file_counts_what_was_trained(tmp_path: Path) -> None:
    from auscult.models import MODELS
    from auscult.training import Training

    clips = np.random.default_rng(0).normal(size=(20, 40, 16)).astype(np.float32)
    for family, kind in MODELS.items():
        model = kind(n_bins=16).fit(clips, ["id_00", "id_01"] * 10, training=Training(epochs=1))
        model.save(tmp_path / f"{family}.safetensors")
        head = read_model_head(tmp_path / f"{family}.safetensors")
        assert (head.family, head.parameters) == (family, model.n_parameters or head.parameters)
        assert head.parameters > 0
        assert head.arguments == json.loads(json.dumps(model.arguments))


def test_fixed_networks_have_the_parameters_that_are_counted_for_them() -> None:
    from benchmarks import parameters

    text = (Path(parameters.__file__).parents[1] / "docs" / "parameters.md").read_text()
    assert f"| 2.6 M | {metadata.DENOISER_PARAMETERS:,} |" in text
    assert f"| OpenL3's audio network | not given | {metadata.OPENL3_PARAMETERS:,} |" in text


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 20, (2).to_bytes(8, "little") + b"{}", b"\x04" + bytes(7) + b"[1]x"]
)
def test_a_damaged_model_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hvae.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"hvae\.safetensors cannot be read as a model"):
        read_model_head(path)


def test_an_ensemble_s_members_are_those_of_positive_weight(made: Path) -> None:
    """Through the ensembles beneath it, under the protocol that is submitted."""
    content = json.loads((made / "results.json").read_text())
    facts = {"machine_type": "fan", "reached": 0.5, "seed": 0}
    content["choices"] = [
        {**facts, "ensemble": ensemble, "protocol": protocol, "held_out": held_out, "weights": weights}
        for ensemble, protocol, held_out, weights in (
            ("family", "paper", None, {"hvae": 1.0}),
            ("final", "paper", None, {"family": 0.5, "gauss": 0.0}),
            ("family", "uniform", None, {"hvae": 1.0}),
            ("final", "uniform", None, {"family": 0.5, "gauss": 0.5}),
            ("final", "leave-one-id-out", "id_00", {"gauss": 1.0}),
        )
    ]
    (made / "results.json").write_text(json.dumps(content))
    run = read_run(made)
    for protocol, names in (("paper", ["hvae"]), ("uniform", ["gauss", "hvae"])):
        assert [member.name for member in members_of(run, choose(run, protocol=protocol), "fan")] == names
    assert [member.name for member in members_of(run, choose(run, system="hvae"), "fan")] == ["hvae"]


# The command


def test_a_run_becomes_a_submission_with_the_run_s_own_figures(
    command: Callable[..., Any], real: Path, factory: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out [x]"
    outcome = command("submit", real, "--out", out, "--label", "A_B_task2_1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "system: ensemble, protocol uniform: members combined with equal weights" in outcome.out
    assert f"submission: {out}: 2 score files and A_B_task2_1.meta.yaml" in outcome.out
    assert f"no problem: 2 machines, 12 clips, checked against the evaluation clips of {factory}" in outcome.out
    assert "still to be filled in: abbreviation, lastname" in outcome.out
    truth = factory / "eval_data_list.csv"
    assert f"evaluated with {truth}" in outcome.out
    figures = json.loads(command("evaluate", out, "--truth", truth, "--json").out)
    rows = json.loads((real / "results.json").read_text())["rows"]
    mine = [row for row in rows if (row["system"], row["subset"]) == ("ensemble", "evaluation")]
    assert len(mine) == 2
    for row in mine:
        assert figures[row["machine_type"]][row["machine_id"]] == {"auc": row["auc"], "pauc": row["pauc"]}
        assert f"{100 * row['auc']:.2f} / {100 * row['pauc']:.2f}" in outcome.out
    again = command("submit", real, "--out", out)
    assert (again.code, "holds a submission" in again.error) == (2, True)
    assert command("submit", real, "--out", out, "--force", "--system", "hvae").code == 0
    names = sorted(path.name for path in out.iterdir())
    assert names[0] == "Lastname_Institution_task2_1.meta.yaml"
    for extra in (["--data", factory], ["--truth", truth], ["--data", factory, "--truth", truth]):
        checked = command("submit", "--check", out, *extra)
        assert (checked.code, "fan id_01" in " ".join(checked.out.split())) == (0, True)


def test_the_run_s_own_layout_and_ground_truth_list_are_used(
    command: Callable[..., Any], factory: Path, tmp_path: Path
) -> None:
    data, truth = tmp_path / "data", tmp_path / "elsewhere.csv"
    shutil.copytree(factory, data)
    (data / "eval_data_list.csv").rename(truth)
    recipe = parse_recipe(RECIPE.split('[[member]]\nname = "hvae"', maxsplit=1)[0], "test")
    done = run_recipe(recipe, data=data, out=tmp_path / "run", dataset="dcase", truth=truth)
    assert data_of(done.folder) == RunData(data, "dcase", truth)
    outcome = command("submit", done.folder, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert f"evaluated with {truth}:" in outcome.out
    truth.unlink()
    assert data_of(done.folder) == RunData(data, "dcase", None)
    assert run_recipe(recipe, data=data, out=tmp_path / "run").failures == [], "the list is not part of the identity"
    assert data_of(done.folder) == RunData(data, None, None)


def test_scores_of_a_submission_are_those_of_the_run(real: Path, tmp_path: Path, factory: Path) -> None:
    from auscult.datasets.truth import read_list

    run = read_run(real)
    write_submission(choose(run).table, "", label="A_B_task2_1", out=tmp_path / "out")
    table, _ = read_submission(tmp_path / "out", truth=read_list(factory / "eval_data_list.csv").clips)
    tables = [ScoreTable.read(real / "scores" / kind / "ensemble.uniform.evaluation.csv") for kind in ("fan", "valve")]
    assert table == ScoreTable(row for one in tables for row in one)


def test_an_incomplete_submission_is_written_and_exits_with_2(
    command: Callable[..., Any], real: Path, shared_data: Path, tmp_path: Path
) -> None:
    truth = shared_data / "ground_truth_2020" / "eval_data_list.csv"
    outcome = command("submit", real, "--out", tmp_path / "out", "--truth", truth)
    assert outcome.code == 2
    assert f"problem: {tmp_path / 'out'}: the machine type ToyCar is missing" in outcome.out
    assert f"problem: {tmp_path / 'out' / 'anomaly_score_fan_id_03.csv'}: is missing" in outcome.out
    assert "evaluated with" not in outcome.out
    assert (tmp_path / "out" / "anomaly_score_fan_id_01.csv").is_file()


def test_a_run_whose_data_are_gone_is_checked_by_the_challenge_s_ids(
    command: Callable[..., Any], made: Path, tmp_path: Path
) -> None:
    (made / "run.json").write_text(json.dumps({"data": str(tmp_path / "gone")}))
    outcome = command("submit", made, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "checked against the machine ids of DCASE 2020 Task 2" in outcome.out
    assert "its other protocols: uniform, leave-one-id-out" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a run folder and --out FOLDER, or --check FOLDER"),
        (["{run}"], "give a run folder and --out"),
        (["{run}", "--check", "x"], "remove RUN"),
        (["--check", "x", "--force"], "remove --force"),
        (["--check", "{run}/nowhere"], "cannot read the submission"),
        (["nowhere", "--out", "o"], "so it is no finished run"),
        (["{run}", "--out", "{run}"], "holds what is of no submission"),
        (["{run}", "--out", "o", "--system", "hvea"], "did you mean 'hvae'?"),
        (["{run}", "--out", "o", "--label", "mine"], "the label is 'mine'"),
        (["{run}", "--out", "o", "--truth", "nowhere.csv"], "cannot read the ground-truth list"),
        (["{run}", "--out", "o", "--data", "nowhere"], "the data folder nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    command: Callable[..., Any],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("submit", *(word.format(run=made) for word in arguments))
    assert outcome.code == 2
    assert words in outcome.error
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_help_explains_every_option_and_loads_no_torch(command: Callable[..., Any]) -> None:
    outcome = command("submit", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    for option in "out system protocol label name abbreviation author force check data truth".split():
        assert f"--{option}" in outcome.out
    code = "import sys, auscult.cli.submission, auscult.submission; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "False\n"
