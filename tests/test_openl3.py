"""OpenL3: front end and network against plain numpy, exact times, the official files, and runs on embeddings."""

import gzip
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from auscult.errors import FeatureError, RecipeError
from auscult.features import OpenL3
from auscult.features import openl3_weights as weights
from auscult.features.openl3_network import AudioNetwork
from auscult.features.openl3_weights import OFFICIAL, file_name, git_sha1, read_state
from auscult.members.making import make_features

RATE = 48000
LAYERS = ["norm 1"]
for kernel in zip((1, 64, 64, 128, 128, 256, 256, 512), (64, 64, 128, 128, 256, 256, 512, 512), strict=True):
    LAYERS += [f"conv {kernel[0]} {kernel[1]}", f"norm {kernel[1]}"]
LAYERS.pop()  # the last convolution is the output
Arrays = dict[str, NDArray[np.float32]]


# The official layout, written by hand


def random_layers(seed: int = 0) -> dict[str, Arrays]:
    """The audio network's layers in Keras' names, order and shapes, with weights that keep the signal alive."""
    rng = np.random.default_rng(seed)
    found: dict[str, Arrays] = {}
    norms = convolutions = 0
    for kind, *sizes in map(str.split, LAYERS):
        if kind == "norm":
            norms, n = norms + 1, int(sizes[0])
            arrays = {
                "gamma": rng.uniform(0.5, 1.5, n),
                "beta": rng.normal(0, 0.3, n),
                "moving_mean": rng.normal(-40 if n == 1 else 0, 0.2, n),
                "moving_variance": rng.uniform(0.3, 2, n) * (400 if n == 1 else 1),
            }
            name = f"batch_normalization_{norms}"
        else:
            convolutions, (n_in, n_out) = convolutions + 1, map(int, sizes)
            arrays = {
                "kernel": rng.normal(0, np.sqrt(2 / (9 * n_in)), (3, 3, n_in, n_out)),
                "bias": rng.normal(0, 0.1, n_out),
            }
            name = f"conv2d_{convolutions}" if convolutions < 8 else "audio_embedding_layer"
        found[name] = {key: np.asarray(value, dtype=np.float32) for key, value in arrays.items()}
    return found


def write_keras(path: Path, layers: dict[str, Arrays], *, spectrogram: bool = False) -> Path:
    """Write weights as Keras' `save_weights` does, with layers that have none; packed where the name ends in .gz."""
    plain = path.with_name(path.name.removesuffix(".gz"))
    names = ["input_1", *(["melspectrogram_1"] if spectrogram else []), *layers, "max_pooling2d_1"]
    stored = {**layers, "melspectrogram_1": {"real_kernels": np.ones((4, 1, 1, 3), np.float32), "Variable": np.ones(5)}}
    with h5py.File(plain, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for name in names:
            group = file.create_group(name)
            arrays = stored.get(name, {})
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in arrays]
            for key, array in arrays.items():
                group.create_dataset(f"{name}/{key}:0", data=array)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes(), compresslevel=0, mtime=0))
        plain.unlink()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights under the official names of several variants."""
    folder = tmp_path_factory.mktemp("weights")
    first = write_keras(folder / file_name("env", "mel256", "0.2"), random_layers(), spectrogram=True)
    for content, input, generation in (("env", "mel256", "0.4"), ("env", "mel128", "0.2"), ("music", "mel128", "0.4")):
        (folder / file_name(content, input, generation)).hardlink_to(first)
    return folder


@pytest.fixture(scope="module")
def made(folder: Path) -> Callable[..., OpenL3]:
    """OpenL3 on the random weights."""
    sha1 = git_sha1(next(folder.iterdir()))
    return lambda **options: OpenL3(weights=str(folder), sha1=sha1, **options)


@pytest.fixture(autouse=True)
def no_weights_of_the_user(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    if "real_weights" not in request.fixturenames:
        monkeypatch.delenv("AUSCULT_WEIGHTS", raising=False)
    yield


def hum(seconds: float, *, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * np.sin(2 * np.pi * 440 * time) + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


# An independent reference, which knows only the file and the papers


def reference_spectrogram(window: NDArray[Any], n_mels: int, *, before: int, slaney: bool = False) -> NDArray[Any]:
    """Frame by frame: `[48000]` -> `[n_mels, 199]`."""
    hann = np.sin(np.pi * np.arange(2048) / 2048) ** 2
    padded = np.concatenate([np.zeros(before), window, np.zeros(4000)])
    magnitude = np.array([np.abs(np.fft.rfft(hann * padded[242 * i : 242 * i + 2048])) for i in range(199)]).T
    bins = np.arange(1025) * 24000 / 1024
    edges = (
        slaney_edges(n_mels) if slaney else 700 * (10 ** (np.linspace(0, np.log10(1 + 24000 / 700), n_mels + 2)) - 1)
    )
    filters = np.zeros((n_mels, 1025))
    for i, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        triangle = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0)
        filters[i] = triangle * 2 / (high - low)
    mel = filters @ magnitude if slaney else np.sqrt(filters @ magnitude**2)
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    return np.maximum(decibels - decibels.max(), -80)


def slaney_edges(n_mels: int) -> NDArray[Any]:
    """Linear up to 1 kHz at 15 mels, then 27 mels for each factor 6.4."""
    mels = np.linspace(0, 15 + 27 * np.log(24) / np.log(6.4), n_mels + 2)
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))


def reference_network(path: Path, image: NDArray[Any], pool: tuple[int, int]) -> NDArray[Any]:
    """Layer by layer in numpy, channels last as in Keras: `[height, width]` -> `[E]`."""
    x = image[:, :, None].astype(np.float32)
    content = gzip.decompress(path.read_bytes())
    temporary = path.with_name("reference.h5")
    temporary.write_bytes(content)
    with h5py.File(temporary) as file:

        def part(layer: str, name: str) -> NDArray[np.float32]:
            return np.asarray(file[layer][layer][f"{name}:0"])

        def norm(x: NDArray[Any], index: int) -> NDArray[Any]:
            layer = f"batch_normalization_{index}"
            scale = part(layer, "gamma") / np.sqrt(part(layer, "moving_variance") + 0.001)
            return (x - part(layer, "moving_mean")) * scale + part(layer, "beta")

        def convolve(x: NDArray[Any], layer: str) -> NDArray[Any]:
            kernel, (height, width, _) = part(layer, "kernel"), x.shape
            padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
            shifts = [(i, j) for i in range(3) for j in range(3)]
            return part(layer, "bias") + sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i, j in shifts)

        def halve(x: NDArray[Any], pool: tuple[int, int] = (2, 2)) -> NDArray[Any]:
            height, width = x.shape[0] // pool[0], x.shape[1] // pool[1]
            x = x[: height * pool[0], : width * pool[1]]
            return x.reshape(height, pool[0], width, pool[1], -1).max(axis=(1, 3))

        x = norm(x, 1)
        for index in range(1, 8):
            x = np.maximum(norm(convolve(x, f"conv2d_{index}"), index + 1), 0)
            if index in (2, 4, 6):
                x = halve(x)
        x = halve(convolve(x, "audio_embedding_layer"), pool)
    temporary.unlink()
    return x.ravel()


# The network


def test_the_network_has_the_parameters_of_the_paper() -> None:
    assert sum(parameter.numel() for parameter in AudioNetwork().parameters()) == 4_687_042


@pytest.mark.parametrize(
    ("input", "size", "pool"),
    [("mel256", 512, (32, 24)), ("mel128", 512, (16, 24)), ("mel128", 6144, (4, 8))],
)
def test_embeddings_are_those_of_a_plain_forward_pass(
    made: Callable[..., OpenL3], input: str, size: int, pool: tuple[int, int]
) -> None:
    openl3 = made(input=input, embedding_size=size)
    waveform = hum(1.0)
    ours = openl3(waveform)[5]  # the window that is the clip
    image = reference_spectrogram(waveform.astype(np.float64), int(input[3:]), before=982)
    theirs = reference_network(openl3.path, image, pool)
    assert ours.shape == theirs.shape == (size,)
    assert np.abs(theirs).max() > 0.1  # the signal came through
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_6144_dimensions_hold_the_512(made: Callable[..., OpenL3]) -> None:
    """The embedding of 512 is the maximum over the places of that of 6144, whose fastest axis is the channel."""
    waveform = hum(0.3)
    small, large = (made(input="mel128", embedding_size=size)(waveform) for size in (512, 6144))
    np.testing.assert_allclose(large.reshape(len(large), 12, 512).max(axis=1), small, atol=1e-5)


@pytest.mark.bf16
def test_bfloat16_is_near(made: Callable[..., OpenL3]) -> None:
    waveform = hum(0.1)
    full, half = (made(input="mel128", precision=precision)(waveform) for precision in ("fp32", "bf16"))
    assert 0 < np.abs(full - half).max() < 0.03 * np.abs(full).max()


def test_bfloat16_is_refused_on_a_processor_without_it(
    made: Callable[..., OpenL3], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.training.settings.bf16_slowness", lambda: 320.0)
    with pytest.raises(FeatureError, match=r"openl3: .* 320 times as slowly .* Choose fp32"):
        made(precision="bf16")


# The front end


@pytest.mark.parametrize(("generation", "before"), [("0.2", 982), ("0.4", 0)])
@pytest.mark.parametrize("mels", ["htk", "slaney"])
def test_spectrograms_are_those_of_a_plain_computation(
    made: Callable[..., OpenL3], generation: str, before: int, mels: str
) -> None:
    waveform = hum(1.0)
    waveform[:3000] = 0
    ours = made(generation=generation, mels=mels).spectrograms(torch.from_numpy(waveform)[None]).numpy()[0]
    theirs = reference_spectrogram(waveform.astype(np.float64), 256, before=before, slaney=mels == "slaney")
    assert ours.shape == (256, 199)
    assert ours.max() == 0
    assert ours.min() == -80  # the silence at the beginning
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_click_lies_where_each_generation_puts_it(made: Callable[..., OpenL3]) -> None:
    """In the frame whose middle is nearest: 982 samples of padding before the window, or none."""
    window = torch.zeros(1, RATE)
    window[0, 24200] = 1
    for generation, before in (("0.2", 982), ("0.4", 0)):
        loudness = made(generation=generation).spectrograms(window)[0].mean(dim=0)
        assert loudness.argmax() == round((24200 + before - 1024) / 242)


def test_loudness_does_not_count(made: Callable[..., OpenL3]) -> None:
    """A spectrogram is relative to its maximum."""
    openl3, window = made(), torch.from_numpy(hum(1.0))[None]
    assert torch.allclose(openl3.spectrograms(window), openl3.spectrograms(window / 8), atol=1e-4)


def test_silence_is_a_number(made: Callable[..., OpenL3]) -> None:
    embeddings = made(input="mel128")(np.zeros(RATE // 10, dtype=np.float32))
    assert embeddings.shape == (1, 512)
    assert np.isfinite(embeddings).all()


# Windows and their times


@pytest.mark.parametrize("hop", [0.1, 0.25, 1.0, 1 / 48])
@pytest.mark.parametrize("n_samples", [1, 24000, 24001, 28800, 28801, 48000, 480000, 480001])
def test_the_windows_cover_the_clip_and_no_more(made: Callable[..., OpenL3], hop: float, n_samples: int) -> None:
    """The last window reaches the last sample, and the one before it does not."""
    openl3 = made(hop=hop)
    times = openl3.timestamps(n_samples)
    assert times[0] == 0
    assert len(times) == openl3.n_frames(n_samples)
    ends = np.rint(times * RATE) + RATE // 2
    assert ends[-1] >= n_samples
    assert len(ends) == 1 or ends[-2] < n_samples


def test_ten_seconds_have_96_windows_ten_times_a_second(made: Callable[..., OpenL3]) -> None:
    openl3 = made()
    assert (openl3.sample_rate, openl3.frame_rate, openl3.n_bins) == (48000, 10.0, 512)
    assert openl3.timestamps(480000).tolist() == [index / 10 for index in range(96)]


def test_times_do_not_drift(made: Callable[..., OpenL3]) -> None:
    """Windows of a day of sound: a hop is no sum of tenths."""
    times = made().timestamps(24 * 3600 * RATE)
    assert times[-1] == (len(times) - 1) / 10


@pytest.mark.parametrize("hop", [0.25, 0.3])
def test_each_window_is_centred_on_its_time(
    made: Callable[..., OpenL3], monkeypatch: pytest.MonkeyPatch, hop: float
) -> None:
    """The samples around each timestamp, wherever the clip has some, are what the network gets."""
    openl3, seen = made(hop=hop), []

    def embed(windows: torch.Tensor) -> torch.Tensor:
        seen.extend(windows.numpy().copy())
        return torch.zeros(len(windows), 512)

    monkeypatch.setattr(openl3, "_embed", embed)
    waveform = np.arange(1, 1 + 100_000, dtype=np.float32)
    times = openl3.timestamps(len(waveform))
    assert len(openl3(waveform)) == len(seen) == len(times)
    for time, window in zip(times, seen, strict=True):
        where = round(time * RATE) - 24000 + np.arange(RATE)
        assert np.array_equal(window, np.where((where >= 0) & (where < 100_000), where + 1, 0))


def test_windows_do_not_depend_on_their_neighbours(made: Callable[..., OpenL3]) -> None:
    """A clip of many batches gives at each time what the second around it gives alone."""
    openl3, waveform = made(input="mel128", hop=0.5), hum(3.6)
    embeddings = openl3(waveform)
    assert len(embeddings) == 8
    alone = openl3(waveform[72000 : 72000 + RATE])[1]  # centred at 2 s
    assert np.array_equal(embeddings[4], alone)


def test_no_more_than_a_batch_of_windows_is_in_memory(
    made: Callable[..., OpenL3], monkeypatch: pytest.MonkeyPatch
) -> None:
    openl3, sizes = made(), []

    def embed(windows: torch.Tensor) -> torch.Tensor:
        sizes.append(len(windows))
        return torch.zeros(len(windows), 512)

    monkeypatch.setattr(openl3, "_embed", embed)
    assert len(openl3(np.zeros(60 * RATE, dtype=np.float32))) == sum(sizes) == 596
    assert max(sizes) <= 8


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"content": "speech"}, "content is 'speech'; choose one of env, music"),
        ({"embedding_size": 256}, "embedding_size is 256; choose one of 512, 6144"),
        ({"generation": "0.3"}, "choose one of 0.2, 0.4"),
        ({"hop": 0.1 + 1e-6}, "whole number of samples at 48000 Hz apart, 0.1 for instance"),
        ({"hop": 0.0}, "whole number of samples"),
        ({"hop": -0.1}, "whole number of samples"),
        ({"device": "mps"}, "choose cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, "not on this machine"),
    ],
)
def test_arguments_out_of_range_are_named(made: Callable[..., OpenL3], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        made(**arguments)


def test_waveforms_that_are_none_are_refused(made: Callable[..., OpenL3]) -> None:
    with pytest.raises(FeatureError, match="no samples"):
        made()(np.zeros(0, dtype=np.float32))
    with pytest.raises(FeatureError, match=r"one channel, \[T\]"):
        made()(np.zeros((2, 100), dtype=np.float32))


def test_the_configuration_makes_the_same_features_again_and_knows_the_weights(
    made: Callable[..., OpenL3], folder: Path
) -> None:
    openl3 = made(input="mel128", embedding_size=6144, hop=0.5)
    arguments = openl3.arguments()
    assert arguments.pop("kind") == "openl3"
    assert OpenL3(**arguments).arguments() == openl3.arguments()
    assert openl3.config()["sha1"] == git_sha1(openl3.path)
    assert str(folder) not in str(openl3.config())  # weights that moved are the same weights


# Weights


def test_the_network_gets_what_the_file_holds_packed_or_not(tmp_path: Path) -> None:
    layers = random_layers(seed=3)
    packed = read_state(write_keras(tmp_path / "a.h5.gz", layers, spectrogram=True))
    plain = read_state(write_keras(tmp_path / "a.h5", layers))
    assert packed.keys() == plain.keys()
    assert all(torch.equal(packed[name], plain[name]) for name in plain)
    assert torch.equal(plain["convolutions.2.weight"][7, 5], torch.from_numpy(layers["conv2d_3"]["kernel"][:, :, 5, 7]))
    assert torch.equal(
        plain["norms.4.running_var"], torch.from_numpy(layers["batch_normalization_5"]["moving_variance"])
    )


def test_numbers_in_names_do_not_count(tmp_path: Path) -> None:
    """Keras counts on where another network was built before."""
    layers = random_layers()
    shifted = {name.replace("_", "_1") if name[-1].isdigit() else name: arrays for name, arrays in layers.items()}
    assert list(shifted) != list(layers)
    ours, theirs = (read_state(write_keras(tmp_path / f"{i}.h5", x)) for i, x in enumerate((layers, shifted)))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_unpacked_file_is_found_too(tmp_path: Path, made: Callable[..., OpenL3]) -> None:
    name = file_name("music", "mel128", "0.2").removesuffix(".gz")
    path = write_keras(tmp_path / name, random_layers())
    openl3 = OpenL3(content="music", input="mel128", weights=str(tmp_path))
    assert openl3.path == path
    np.testing.assert_array_equal(openl3(hum(0.1)), made(input="mel128")(hum(0.1)))


def test_the_environment_names_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUSCULT_WEIGHTS", str(folder))
    assert OpenL3(content="music", input="mel128", generation="0.4").path.parent == folder


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = r"openl3_audio_mel256_env-v0_2_0\.h5\.gz"
    with pytest.raises(
        FeatureError, match=rf"{name} and no folder .*`auscult download openl3 --to DIR`.*AUSCULT_WEIGHTS"
    ):
        OpenL3()
    monkeypatch.setenv("AUSCULT_WEIGHTS", str(tmp_path))
    with pytest.raises(FeatureError, match=rf"{tmp_path} has no such file; .*`auscult download openl3 --to DIR`"):
        OpenL3()
    with pytest.raises(FeatureError, match=r"--to DIR --generation 0\.4`"):
        OpenL3(generation="0.4")
    with pytest.raises(
        FeatureError, match=r"fetch https://github.com/marl/openl3/raw/models/openl3_audio_mel128_music"
    ):
        OpenL3(content="music", input="mel128")


def test_a_file_that_is_not_the_official_one_is_refused(folder: Path) -> None:
    official = OFFICIAL[file_name("env", "mel256", "0.4")]
    with pytest.raises(
        FeatureError, match=rf"v0_4_0\.h5\.gz is not the official one: .* not {official}.*give their own sha1"
    ):
        OpenL3(weights=str(folder), generation="0.4")
    with pytest.raises(FeatureError, match="is not the one that was asked for"):
        OpenL3(weights=str(folder), sha1="0" * 40)


def test_the_hash_is_git_s(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello\n")
    assert git_sha1(tmp_path / "a") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object of the same


@pytest.mark.parametrize("suffix", [".h5", ".h5.gz"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = write_keras(tmp_path / f"a{suffix}", random_layers())
    content = path.read_bytes()
    for number, damaged in enumerate((content[: len(content) // 2], content[:100], b"", b"<html>", content[:-9])):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(damaged)
        with pytest.raises(FeatureError, match=rf"{number}{suffix} cannot be read as weights that Keras saved"):
            read_state(path)


def test_another_network_is_refused(tmp_path: Path) -> None:
    layers = random_layers()
    fewer = {name: arrays for name, arrays in layers.items() if name != "conv2d_4"}
    wider = layers | {"conv2d_1": {**layers["conv2d_1"], "kernel": np.ones((3, 3, 3, 64), np.float32)}}
    partly = layers | {"batch_normalization_2": {"gamma": np.ones(64, np.float32)}}
    infinite = layers | {"conv2d_2": {**layers["conv2d_2"], "bias": np.full(64, np.inf, np.float32)}}
    for index, (wrong, message) in enumerate(
        [
            (fewer, "8 norms and 7 convolutions, 8 of each are expected"),
            (wider, r"convolutions\.0\.weight has the shape \(64, 3, 3, 3\), expected is \(64, 1, 3, 3\)"),
            (partly, "a layer without 'beta'"),
            (infinite, "not finite"),
        ]
    ):
        with pytest.raises(FeatureError, match=message):
            read_state(write_keras(tmp_path / f"{index}.h5", wrong))


# Runs


RECIPE = """
name = "embedded"
[training]
epochs = 2
[[member]]
name = "hvae"
family = "hvae"
pooling = "median"
features = {{ kind = "openl3", input = "mel128", hop = 0.25, sha1 = "{sha1}" }}
model = {{ context = 1, hidden = [32], n_latent = 4 }}
"""


@pytest.fixture
def recipe(tmp_path: Path, folder: Path) -> Path:
    path = tmp_path / "embedded.toml"
    path.write_text(RECIPE.format(sha1=git_sha1(next(folder.iterdir()))))
    return path


def test_hvae_trains_on_embeddings_from_wav_to_report(
    command: Callable[..., Any], pumps: Path, tmp_path: Path, folder: Path, recipe: Path
) -> None:
    """The second run is on the same weights elsewhere: nothing is computed anew."""
    out, store = tmp_path / "out", tmp_path / "store"
    done = command("run", recipe, "--data", pumps, "--out", out, "--weights", folder, "--store", store)
    assert done.code == 0, done.err
    banks = sorted((store / "bank").iterdir())
    frames = np.concatenate([np.fromfile(bank / "frames.f32", dtype=np.float32) for bank in banks])
    assert frames.size % 512 == 0
    assert np.isfinite(frames).all()
    assert (out / "report.html").is_file()
    elsewhere = tmp_path / "elsewhere"
    folder_copy = elsewhere / file_name("env", "mel128", "0.2")
    elsewhere.mkdir()
    folder_copy.hardlink_to(folder / folder_copy.name)
    done = command("run", recipe, "--data", pumps, "--out", tmp_path / "b", "--weights", elsewhere, "--store", store)
    assert done.code == 0, done.err
    assert sorted((store / "bank").iterdir()) == banks
    assert len(list((store / "model").iterdir())) == 1


def test_a_run_without_weights_stops_before_any_work(
    command: Callable[..., Any], pumps: Path, tmp_path: Path, recipe: Path
) -> None:
    recipe.write_text(recipe.read_text().replace("mel128", "mel256"))
    done = command("run", recipe, "--data", pumps, "--out", tmp_path / "out")
    assert done.code == 2
    assert "member 'hvae': openl3 needs the weights" in done.error
    assert "`auscult download openl3 --to DIR`" in done.error
    assert not list((tmp_path / "out").glob("store/*/bank*"))


def test_a_run_with_weights_that_are_not_the_right_ones_stops_before_any_work(
    command: Callable[..., Any], pumps: Path, tmp_path: Path, recipe: Path
) -> None:
    """Truncated; of another network; of another hash than the recipe's; of another variant under this one's name."""
    name, text = file_name("env", "mel128", "0.2"), recipe.read_text()
    whole = write_keras(tmp_path / "whole.h5.gz", random_layers()).read_bytes()
    layers = random_layers()
    del layers["conv2d_4"]
    another = write_keras(tmp_path / "another.h5.gz", layers).read_bytes()
    for case, content, own_hash, words in (
        ("truncated", whole[: len(whole) // 2], True, "cannot be read as weights that Keras saved"),
        ("network", another, True, "7 convolutions, 8 of each are expected"),
        ("hash", whole, False, "is not the one that was asked for"),
    ):
        folder = tmp_path / case
        folder.mkdir()
        (folder / name).write_bytes(content)
        sha1 = git_sha1(folder / name) if own_hash else "0" * 40
        recipe.write_text(re.sub(r'sha1 = "\w+"', f'sha1 = "{sha1}"', text))
        done = command("run", recipe, "--data", pumps, "--out", tmp_path / f"run of {case}", "--weights", folder)
        assert done.code == 2
        assert words in done.error
        assert not list((tmp_path / f"run of {case}").glob("store/bank/*"))
    official = tmp_path / "official"
    official.mkdir()
    (official / file_name("env", "mel256", "0.2")).write_bytes(whole)
    recipe.write_text(re.sub(r', sha1 = "\w+"', "", text).replace("mel128", "mel256"))
    done = command("run", recipe, "--data", pumps, "--out", tmp_path / "run", "--weights", official)
    assert "is not the official one" in done.error


def test_an_outline_needs_no_weights_and_has_the_shape_and_the_configuration_of_the_real_ones(
    made: Callable[..., OpenL3],
) -> None:
    """So that a plan without the weights knows what is finished, how much disk it takes, and for how long."""
    real = made(input="mel128", hop=0.25)
    arguments = {name: value for name, value in real.config().items() if name != "kind"}
    found = OpenL3.outline(**arguments)
    assert found.config() == real.config()
    assert found(hum(0.8)).shape == real(hum(0.8)).shape == (real.n_frames(round(0.8 * RATE)), 512)
    assert OpenL3.outline().config()["sha1"] == OFFICIAL[file_name("env", "mel256", "0.2")]


def test_a_recipe_s_arguments_are_checked(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"has no argument 'contents' \(did you mean 'content'\?\)"):
        make_features({"kind": "openl3", "contents": "env"}, sample_rate=16000, weights=folder, where="here")
    with pytest.raises(RecipeError, match="embedding_size is 256"):
        make_features({"kind": "openl3", "embedding_size": 256}, sample_rate=16000, weights=folder, where="here")


def test_other_weights_are_another_bank(folder: Path, tmp_path: Path) -> None:
    other = write_keras(tmp_path / file_name("env", "mel128", "0.2"), random_layers(seed=1))
    configs = [
        OpenL3(input="mel128", weights=str(path.parent), sha1=git_sha1(path)).config()
        for path in (folder / other.name, other)
    ]
    assert configs[0] != configs[1]


# The real weights, where a user has them


@pytest.fixture
def real_weights() -> Path:
    place = os.environ.get(weights.VARIABLE)
    if not place:
        pytest.skip(f"{weights.VARIABLE} names no folder of OpenL3's weights")
    return Path(place)


@pytest.mark.parametrize("generation", ["0.2", "0.4"])
def test_the_official_files_are_read(real_weights: Path, generation: Any) -> None:
    name = file_name("env", "mel256", generation)
    if not any((real_weights / file).is_file() for file in (name, name.removesuffix(".gz"))):
        pytest.skip(f"{real_weights} has no {name}")
    embeddings = OpenL3(generation=generation)(hum(1.0))
    assert np.isfinite(embeddings).all()
    assert embeddings.std() > 0


@pytest.mark.parametrize(("generation", "mels"), [("0.2", "htk"), ("0.4", "slaney")])
def test_published_vectors_are_reproduced(real_weights: Path, generation: Any, mels: Any) -> None:
    """OpenL3's own regression test: `chirp_44k.wav` and `chirp_44k.npz` (music, mel256, 6144), from its tests/data.

    `AUSCULT_OPENL3_REGRESSION` names a folder that holds both below the name of the generation, 0.2 or 0.4.
    """
    place = os.environ.get("AUSCULT_OPENL3_REGRESSION")
    if not place or not (Path(place) / generation / "chirp_44k.npz").is_file():
        pytest.skip("AUSCULT_OPENL3_REGRESSION names no folder with the published vectors of this generation")
    resampy = pytest.importorskip("resampy", reason="the published vectors were resampled with resampy")
    import soundfile

    samples, rate = soundfile.read(Path(place) / generation / "chirp_44k.wav", always_2d=True)
    waveform = resampy.resample(samples.mean(axis=1), rate, RATE, filter="kaiser_best").astype(np.float32)
    published = np.load(Path(place) / generation / "chirp_44k.npz")
    openl3 = OpenL3(content="music", embedding_size=6144, generation=generation, mels=mels)
    np.testing.assert_allclose(openl3.timestamps(len(waveform)), published["timestamps"], atol=1e-9)
    np.testing.assert_allclose(openl3(waveform), published["embedding"], rtol=1e-3, atol=1e-2)
