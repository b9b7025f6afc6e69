"""The golden chain: a baseline trained by others, its Keras file and its published scores."""

import csv
from pathlib import Path

import pytest

from auscult.errors import ModelError
from auscult.features import LogMel
from auscult.models.keras import load_keras_baseline
from auscult.sound.audio import read_waveform


def test_published_scores_of_real_clips_are_reproduced_from_wav(shared_data: Path) -> None:
    published = {}
    for path in sorted((shared_data / "golden").glob("anomaly_score_ToyCar_id_*.csv")):
        with path.open(newline="") as file:
            published |= {name: float(score) for name, score in csv.reader(file)}
    model = load_keras_baseline(shared_data / "golden" / "baseline_toycar.h5")
    features = LogMel(16000, n_fft=1024, hop_length=512, n_mels=128)
    paths = sorted((shared_data / "dcase2020_mini" / "dev_data" / "ToyCar" / "test").glob("*.wav"))
    assert len(paths) == 16
    for path in paths:
        log_mel = features(read_waveform(path, sample_rate=16000))[50:250]
        score = model.score_clips([log_mel], ["unknown"])[0]
        assert score == pytest.approx(published[path.name], rel=1e-4), path.name


def test_what_is_no_keras_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.hdf5"
    path.write_text("no model")
    with pytest.raises(ModelError, match="Keras"):
        load_keras_baseline(path)


def test_another_network_is_refused(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "model.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"config": {"layers": [{"class_name": "Conv2D", "config": {"name": "c"}}]}}'
        file.create_group("model_weights/c")
    with pytest.raises(ModelError, match="Conv2D"):
        load_keras_baseline(path)
