"""The command line: exit codes, messages on standard error, help that answers at once."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import auscult
import auscult.datasets.factory
import auscult.detector
import auscult.runs.request
from auscult.cli import main
from auscult.clips import LABELS
from auscult.scores.metrics import evaluate
from auscult.scores.table import ScoreRow, ScoreTable

COMMANDS = ("run", "recipes", "synth", "inspect", "download", "evaluate")
HEAVY = ("torch", "librosa", "matplotlib", "scipy", "sklearn", "soundfile", "soxr", "numpy", "requests", "pydantic")

ALONE = """
name = "alone"
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 24 }
"""

LOADED = f"""
import sys
from auscult.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    print("code", stop.code)
print("loaded", [name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A recipe of one model that trains at once."""
    path = tmp_path / "alone.toml"
    path.write_text(ALONE)
    return path


def write_scores(folder: Path, machine: str, **scores: float) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"anomaly_score_{machine}.csv"
    path.write_text("".join(f"{name}.wav,{score}\n" for name, score in scores.items()))
    return path


def test_help_names_every_command(command: Callable[..., Any]) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        outcome = command(*arguments)
        assert outcome.code == 0
        assert outcome.err == ""
        assert all(name in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_explains_every_option(command: Callable[..., Any], name: str) -> None:
    outcome = command(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"auscult {name}" in outcome.out
    options = {
        "run": "--data --out --machine-type --dataset --truth --clean --device --override --store --workers",
        "recipes": "",
        "synth": "--size --seed --snr --machine-type --force",
        "inspect": "--dataset --truth --quick",
        "download": "--to --part --machine-type --base-url --keep-archives",
        "evaluate": "--truth --json",
    }[name].split()
    assert all(option in outcome.out for option in options)
    assert not any(f"--no-{option[2:]}" in outcome.out for option in options)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["evaluate", "-h"], ["--version"], ["rnu"]])
def test_help_and_typing_errors_load_nothing_heavy(arguments: list[str]) -> None:
    """That is what makes them answer at once."""
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.splitlines()[-2:] == [f"code {2 if arguments == ['rnu'] else 0}", "loaded []"]


def test_listing_recipes_loads_no_torch() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, "recipes"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "torch" not in answer.stdout.splitlines()[-1]
    assert "baseline" in answer.stdout


def test_the_installed_command_and_the_module_are_the_same() -> None:
    for start in ([str(Path(sys.executable).with_name("auscult"))], [sys.executable, "-m", "auscult"]):
        answer = subprocess.run([*start, "--version"], capture_output=True, text=True, check=False, timeout=60)
        assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, auscult.__version__, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("rnu", 'Unknown command "rnu". Did you mean "run"?'),
        ("run quick --data d", "--out requires an argument"),
        ("run --data d --out o", "recipe requires an argument"),
        ("run quick --data d --out o --machine-typ fan", "--machine-typ. Did you mean --machine-type?"),
        ("run quick extra --data d --out o", "extra"),
        ("synth out --size tinny", 'Did you mean "tiny"?'),
        ("synth out --seed one", '"one"'),
        ("synth out --snr loud", '"loud"'),
        ("evaluate f --jsn", "--jsn. Did you mean --json?"),
        ("download dcase2019 --to d", "'dcase2019' cannot be downloaded"),
        ("inspect", "--data requires an argument"),
    ],
)
def test_a_typing_error_is_one_line_with_the_nearest_right_word(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command(*arguments.split())
    assert outcome.code == 2
    assert words.lower().replace('"', "") in outcome.error.lower().replace('"', "")
    assert "--help" in outcome.error
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_one_line_too(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage foresees everything."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", "/secret/data")

    monkeypatch.setattr(auscult.runs.request, "load_dataset", refuse)
    outcome = command("run", "quick", "--data", "/secret/data", "--out", "/nowhere")
    assert outcome.code == 2
    assert "Permission denied: '/secret/data'" in outcome.error


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback is for those who can mend the code."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(auscult.runs.request, "load_dataset", fail)
    with pytest.raises(ZeroDivisionError):
        main(["run", "quick", "--data", "d", "--out", "o"])


def test_ctrl_c_says_that_nothing_is_lost(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(auscult.runs.request, "load_dataset", interrupt)
    outcome = command("run", "quick", "--data", "d", "--out", "o")
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "\nstopped; what was finished is kept, and the same command continues\n"
    monkeypatch.setattr(auscult.datasets.factory, "write_factory", interrupt)
    assert "nothing was written" in command("synth", "o").err
    monkeypatch.setattr(auscult.detector.Detector, "load", interrupt)
    assert "the same command begins again" in command("score", "run", "run.wav").err
    assert command("info", "run").err == "\nstopped\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "none.auscult", "--onnx", "folder"), "folder is there already"),
        (("export", "none.auscult", "--onnx", "file/new"), "file/new cannot be written"),
        (("submit", "none", "--out", "file"), "file is a file"),
        (("submit", "none", "--data", "none", "--out", "file/new"), "file/new cannot be written"),
        (("train-denoiser", "none", "--clean", "none", "--machine-type", "fan", "--out", "file"), "file is a file"),
        (("train-denoiser", "none", "--clean", "none", "--machine-type", "fan", "--out", "other"), "holds another"),
        (("pack", "none", "--out", "file/x.auscult"), "file/x.auscult cannot be written"),
        (("pack", "none", "--out", "x.auscult", "--workers", "0"), "0 workers"),
        (("pack", "none", "--out", "x.auscult", "--calibrate", "sounds"), "sounds does not exist"),
        (("score", "none.auscult", "x.wav", "--workers", "0"), "0 workers"),
        (("synth", "file/new", "--size", "tiny"), "file/new"),
        (("download", "dcase2020", "--to", "file"), "cannot write to file"),
        (("run", "spectral", "--data", "none", "--out", "o", "--workers", "0"), "0 workers"),
    ],
)
def test_what_is_cheap_to_know_is_said_before_what_is_dear(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    Path("other").mkdir()
    Path("other/notes.txt").touch()
    done = command(*arguments)
    assert (done.code, words in done.error) == (2, True), done.error
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "notes.txt", "other"]


# run


def test_a_run_prints_its_table_and_where_its_report_is(
    command: Callable[..., Any], factory: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    outcome = command("run", alone, "--data", factory, "--out", out, "--device", "cpu")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == f"report: {out / 'report.html'}"
    rows = json.loads((out / "results.json").read_text())["rows"]
    for row in rows:
        line = f"{row['machine_id']} {rounded(row['auc'])} {rounded(row['pauc'])}"
        assert line in " ".join(outcome.out.split()), "development and evaluation machines"
    figures = evaluate(ScoreTable(row for kind in ("fan", "valve") for row in table(out, kind, "test")))
    last = f"mean {rounded(figures['mean']['auc'])} {rounded(figures['mean']['pauc'])}"
    assert last in " ".join(outcome.out.split())
    assert "error" not in outcome.err


def rounded(fraction: float) -> str:
    return "100" if fraction == 1 else f"{100 * fraction:.1f}"


def test_the_table_of_six_systems_fits_eighty_columns(
    command: Callable[..., Any], factory: Path, tmp_path: Path
) -> None:
    options = ("--device", "cpu", "--machine-type", "valve", "--override=member.*.training.epochs=1")
    outcome = command("run", "quick", "--data", factory, "--out", tmp_path / "run", *options)
    assert outcome.code == 0
    header = next(line for line in outcome.out.splitlines() if line.startswith("machine"))
    assert header.split() == ["machine", "id", "baseline", "spectral", "hvae", "idcae", "freak", "ensemble"]
    assert max(len(line.rstrip()) for line in outcome.out.splitlines() if not line.startswith(("report", "note"))) <= 80
    assert "…" not in outcome.out


def table(out: Path, machine_type: str, part: str) -> ScoreTable:
    return ScoreTable.read(out / "scores" / machine_type / f"gauss.{part}.csv")


def test_a_run_takes_machine_types_overrides_a_store_and_a_ground_truth(
    command: Callable[..., Any], factory: Path, alone: Path, tmp_path: Path
) -> None:
    arguments = ["--machine-type", "fan", "--override", "member.gauss.model.ratio=0.5", "--override=seed=3"]
    paths = ["--store", tmp_path / "store", "--truth", factory / "eval_data_list.csv"]
    outcome = command("run", alone, "--data", factory, "--out", tmp_path / "run", "--device", "cpu", *arguments, *paths)
    assert outcome.code == 0
    assert [path.name for path in (tmp_path / "run" / "weights").iterdir()] == ["fan"]
    recipe = (tmp_path / "run" / "recipe.toml").read_text()
    assert "ratio = 0.5" in recipe
    assert "seed = 3" in recipe
    assert (tmp_path / "store" / "model").is_dir()


def test_notes_are_printed(command: Callable[..., Any], pumps: Path, alone: Path, tmp_path: Path) -> None:
    for path in (pumps / "pump" / "test" / "anomaly").iterdir():
        path.unlink()
    outcome = command("run", alone, "--data", pumps, "--out", tmp_path / "run", "--device", "cpu")
    assert outcome.code == 0
    assert "note: pump id_00 has 2 normal and 0 anomalous clips" in outcome.out
    assert "machine " not in outcome.out, "no empty table"


def test_names_with_brackets_are_printed_as_they_are(
    command: Callable[..., Any], pumps: Path, alone: Path, tmp_path: Path
) -> None:
    """Brackets are no mark-up."""
    (pumps / "pump").rename(pumps / "pump [old]")
    data = pumps.rename(tmp_path / "hall [red]")
    out = tmp_path / "run [bold]"
    outcome = command("run", alone, "--data", data, "--out", out, "--device", "cpu")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "pump [old] id_00" in " ".join(outcome.out.split())
    missing = tmp_path / "missing [italic]"
    assert str(missing) in command("run", alone, "--data", missing, "--out", out).error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"recipe": "basline"}, "no recipe 'basline' (did you mean 'baseline'?)"),
        ({"recipe": "missing.toml"}, "the recipe missing.toml cannot be read"),
        ({"--machine-type": "vlave"}, "no machine type 'vlave' (did you mean 'valve'?); it has fan, valve"),
        ({"--dataset": "dcas"}, "unknown layout 'dcas' (did you mean 'dcase'?)"),
        ({"--dataset": "mimii"}, ""),
        ({"--device": "gpu"}, "device 'gpu' is unknown; choose auto, cpu, cuda, cuda:N or mps"),
        ({"--data": "nowhere"}, "the data folder nowhere does not exist"),
        ({"--data": "alone.toml"}, "the data folder alone.toml is no folder"),
        ({"--truth": "nowhere.csv"}, "nowhere.csv"),
        ({"--out": "alone.toml"}, "alone.toml is a file; give a folder"),
        ({"--out": "alone.toml/run"}, "alone.toml/run cannot be written: Not a directory"),
        ({"--out": "others"}, "others holds files that are not of a run; give another --out"),
        ({"--store": "alone.toml"}, "alone.toml cannot be written: Not a directory"),
        ({"--override": "sed=3"}, "the key 'sed' is unknown (did you mean 'seed'?)"),
        ({"--override": "seed"}, "'seed' is not of the form key=value"),
        ({"--override": "member.gaus.pooling=mean"}, "no member is named 'gaus' (did you mean 'gauss'?)"),
        ({"--override": "member.*.family=spektral"}, "'spektral' is unknown (did you mean 'spectral'?)"),
        ({"--override": "member.*.model.rati=1"}, "no argument 'rati' (did you mean 'ratio'?)"),
    ],
)
def test_a_mistake_in_a_run_is_one_line_and_does_not_begin(
    command: Callable[..., Any],
    factory: Path,
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "thesis.txt").write_text("mine")
    stated = {"recipe": "alone.toml", "--data": str(factory), "--out": "run", "--device": "cpu", **arguments}
    outcome = command("run", stated.pop("recipe"), *(word for pair in stated.items() for word in pair))
    assert outcome.code == 2
    assert words in outcome.error
    assert outcome.err.count("\n") == 1, "one line, and no empty ones"
    assert outcome.out == ""
    assert not list(tmp_path.glob("run/*.[!l]*")), "the lock may be there"


# The other commands


@pytest.mark.parametrize("name", ["run", "plan", "train-denoiser"])
def test_bfloat16_is_refused_where_it_would_take_hours(
    command: Callable[..., Any],
    factory: Path,
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr("auscult.training.settings.bf16_slowness", lambda: 320.0)
    clean, out = shared_data / "mechanical", tmp_path / "out"
    arguments = ["hvae", "--data", factory, "--override", "training.precision=bf16", "--out", out]
    if name == "train-denoiser":
        arguments = [factory, "--clean", clean, "--machine-type", "fan", "--precision", "bf16", "--out", out]
    refused = command(name, *arguments, "--device", "cpu")
    assert refused.code == 2
    assert "320 times as slowly as in float32" in refused.error
    assert "Choose fp32, or set the environment variable AUSCULT_SLOW_BF16" in refused.error


def test_recipes_are_listed_with_their_descriptions(command: Callable[..., Any]) -> None:
    outcome = command("recipes")
    assert (outcome.code, outcome.err) == (0, "")
    assert "The DCASE 2020 baseline auto-encoder with its published settings" in outcome.out
    assert "quick" in outcome.out


def test_synth_writes_a_factory_that_can_be_inspected(command: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "factory"
    outcome = command("synth", out, "--size", "tiny", "--machine-type", "valve")
    assert outcome.code == 0
    assert outcome.out == f"factory: {out}\n"
    assert len(list(out.glob("dev_data/valve/train/*.wav"))) > 0
    for extra in ([], ["--quick"]):
        inspected = command("inspect", out, *extra)
        assert inspected.code == 0
        assert "no problem found" in inspected.out
        assert "valve" in inspected.out


def test_synth_does_not_overwrite_unless_it_is_told_to(command: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "factory"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for extra in ([], ["--force"]):
        outcome = command("synth", out, "--size", "tiny", "--machine-type", "valve", *extra)
        assert outcome.code == 2
        assert str(out) in outcome.error
        assert outcome.err.count("\n") == 1, "no bar of what did not begin"
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--machine-type", "vlave"], "vlave in 2020; choose from ToyCar"),
        (["--seed", "-1"], "seed is -1; give 0 or more"),
        (["--snr", "100"], "100.0 dB; give -60 to 60"),
        (["--snr", "nan"], "nan dB"),
    ],
)
def test_a_factory_that_cannot_be_is_refused(
    command: Callable[..., Any], tmp_path: Path, arguments: list[str], words: str
) -> None:
    outcome = command("synth", tmp_path / "factory", "--size", "tiny", *arguments)
    assert outcome.code == 2
    assert words in outcome.error
    assert outcome.err.count("\n") == 1, "no bar of what did not begin"
    assert list(tmp_path.iterdir()) == []


def test_inspect_exits_with_1_for_problems_and_with_2_for_a_mistake(
    command: Callable[..., Any], pumps: Path, tmp_path: Path
) -> None:
    assert command("inspect", pumps).code == 0
    broken = pumps / "pump" / "train" / "broken.wav"
    broken.write_text("no sound")
    outcome = command("inspect", pumps)
    assert outcome.code == 1
    assert f"problem: {broken}" in outcome.out.replace("\n", "")
    assert command("inspect", tmp_path / "nowhere").code == 2
    (tmp_path / "empty").mkdir()
    assert "holds no wav, flac or ogg files" in command("inspect", tmp_path / "empty").error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--part", "dev"], "unknown part 'dev'; DCASE 2020 Task 2 has development, additional, evaluation"),
        (["--machine-type", "fans"], "fans"),
    ],
)
def test_a_download_of_what_does_not_exist_is_refused(
    command: Callable[..., Any], tmp_path: Path, arguments: list[str], words: str
) -> None:
    outcome = command("download", "dcase2020", "--to", tmp_path / "data", *arguments)
    assert outcome.code == 2
    assert words in outcome.error


# evaluate


def test_evaluate_prints_what_the_scores_give(command: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "scores [x]"
    write_scores(folder, "fan_id_00", normal_id_00_1=0.1, normal_id_00_2=0.3, anomaly_id_00_1=0.2, anomaly_id_00_2=0.4)
    write_scores(folder, "fan_id_02", normal_id_02_1=0.1, anomaly_id_02_1=0.2)
    (folder / "notes [y].txt").write_text("mine")
    outcome = command("evaluate", folder)
    assert outcome.code == 0
    assert outcome.err == f"ignored: {folder / 'notes [y].txt'}\n"
    text = " ".join(outcome.out.split())
    assert str(folder) in outcome.out.replace("\n", "")
    assert "fan id_00 75.00 /" in text
    assert "fan id_02 100.00 / 100.00" in text
    assert "fan mean 87.50 /" in text

    as_json = command("evaluate", folder, "--json")
    assert (as_json.code, as_json.err) == (0, outcome.err)
    figures = json.loads(as_json.out)
    assert list(figures) == ["fan", "mean", "official"]
    assert figures["official"]["score"] == pytest.approx((figures["mean"]["auc"] + figures["mean"]["pauc"]) / 2)
    assert list(figures["fan"]) == ["id_00", "id_02", "mean"]
    assert figures["fan"]["id_00"]["auc"] == 0.75
    assert figures["mean"] == figures["fan"]["mean"]


def test_evaluate_takes_labels_from_the_ground_truth(command: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    write_scores(folder, "fan_id_01", id_01_00000000=0.1, id_01_00000001=0.2)
    truth = tmp_path / "truth.csv"
    truth.write_text("fan\r\nid_01_00000000.wav,a.wav,0\r\nid_01_00000001.wav,b.wav,1\r\n")
    outcome = command("evaluate", folder)
    assert outcome.code == 2
    assert "--truth" in outcome.error
    figures = json.loads(command("evaluate", folder, "--truth", truth, "--json").out)
    assert figures["fan"]["id_01"] == {"auc": 1.0, "pauc": 1.0}


def test_evaluate_judges_decisions_and_says_why_there_is_no_official_score(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    names = [
        f"section_00_{domain}_test_{label}_{n:04}"
        for domain in ("source", "target")
        for label in LABELS
        for n in (0, 1)
    ]
    write_scores(tmp_path / "scores", "fan_section_00_test", **{name: n / 10 for n, name in enumerate(names)})
    decided = tmp_path / "scores" / "decision_result_fan_section_00_test.csv"
    decided.write_text("".join(f"{name}.wav,{int(n in (0, 2))}\n" for n, name in enumerate(names)))
    outcome = command("evaluate", tmp_path / "scores", "--json")
    assert "there is no official score: these may be machines of 2021 or 2022 or" in outcome.err
    assert "ignored" not in outcome.err
    figures = json.loads(outcome.out)
    assert list(figures) == ["fan", "mean", "decisions"]
    domains = figures["decisions"]["fan"]["section_00"]
    assert domains["source"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert domains["target"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    outcome = command("evaluate", tmp_path / "scores", "--year", "2025")
    text = " ".join(outcome.out.split())
    assert "fan section_00 source 50.00 50.00 50.00" in text
    assert "official score of 2022 to 2026: " in text
    decided.write_text(decided.read_text().replace(",1", ",0.5"))
    assert re.search(
        r"decision_result_fan.*0000\.wav is 0\.5; it must be 0", command("evaluate", tmp_path / "scores").error
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("normal_id_00_2.wav,nan\n", "line 3: the score is nan"),
        ("normal_id_00_2.wav,high\n", "line 3: the score is 'high'"),
        ("normal_id_00_1.wav,0.1\n", "line 3: normal_id_00_1.wav has a score in line 1 already"),
        ("normal_id_00_2.wav\n", "line 3: 'normal_id_00_2.wav' is no score"),
        ("normal_id_02_2.wav,1\n", "line 3: normal_id_02_2.wav is a clip of id_02"),
    ],
)
def test_a_damaged_score_file_is_named_with_its_line(
    command: Callable[..., Any], tmp_path: Path, line: str, words: str
) -> None:
    path = write_scores(tmp_path / "scores", "fan_id_00", normal_id_00_1=0.1, anomaly_id_00_1=0.2)
    path.write_text(path.read_text() + line)
    outcome = command("evaluate", tmp_path / "scores")
    assert outcome.code == 2
    assert f"{path}, {words}" in outcome.error


def test_scores_that_cannot_be_evaluated_are_refused(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no score file" in command("evaluate", tmp_path / "empty").error
    assert "No such file" in command("evaluate", tmp_path / "nowhere").error
    write_scores(tmp_path / "one", "fan_id_00", normal_id_00_1=0.1)
    assert "1 normal and 0 anomalous clips" in command("evaluate", tmp_path / "one").error
    outcome = command("evaluate", tmp_path / "one", "--truth", tmp_path / "nowhere.csv")
    assert (outcome.code, "nowhere.csv" in outcome.error) == (2, True)


def test_the_published_scores_of_the_baseline_give_its_published_figures(
    command: Callable[..., Any], shared_data: Path
) -> None:
    outcome = command("evaluate", shared_data / "golden", "--json")
    assert outcome.code == 0
    assert outcome.err.count("ignored: ") == outcome.err.count("\n") > 0
    figures = json.loads(outcome.out)
    assert list(figures) == ["ToyCar", "mean", "official"]
    with (shared_data / "golden" / "result.csv").open() as file:
        _, _, *lines = csv.reader(file)  # after the machine type and the heading
    published = {fields[0]: [float(field) for field in fields[1:]] for fields in lines if fields}
    assert len(published) == len(figures["ToyCar"])
    for name, values in figures["ToyCar"].items():
        expected = published["Average" if name == "mean" else name.removeprefix("id_")]
        assert [values["auc"], values["pauc"]] == pytest.approx(expected, abs=5e-7)


def test_a_run_can_be_evaluated_from_its_challenge_files(
    command: Callable[..., Any], factory: Path, alone: Path, tmp_path: Path
) -> None:
    """Scores written as the challenge wants them give the figures of the run."""
    out = tmp_path / "run"
    command("run", alone, "--data", factory, "--out", out, "--machine-type", "fan")
    rows: list[ScoreRow] = list(table(out, "fan", "test"))
    for machine_id in {row.machine_id for row in rows}:
        mine = {row.file.removesuffix(".wav"): row.score for row in rows if row.machine_id == machine_id}
        write_scores(tmp_path / "scores", f"fan_{machine_id}", **mine)
    figures = json.loads(command("evaluate", tmp_path / "scores", "--json").out)
    for row in json.loads((out / "results.json").read_text())["rows"]:
        if row["subset"] == "development":
            assert figures["fan"][row["machine_id"]] == {"auc": row["auc"], "pauc": row["pauc"]}
