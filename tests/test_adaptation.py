"""Adaptation of encoders: low-rank additions learn, the rest stays; YAMNet's adapted weights are weights of YAMNet."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from auscult.cli import main
from auscult.datasets.factory import write_factory
from auscult.errors import ModelError
from auscult.features.yamnet import Yamnet
from auscult.features.yamnet_network import MobileNet
from auscult.models.adaptation import adapt_encoder, adaptable
from auscult.training import Training
from auscult.training.lora import add_low_rank, merge_low_rank


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, 4, 3, groups=1), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6)
    return nn.Sequential(*layers)


def test_additions_begin_as_nothing_are_of_the_rank_and_are_merged_into_the_same_layers() -> None:
    module, x = network(), torch.randn(5, 1, 8, 8)
    before, state = module(x), {name: value.clone() for name, value in module.state_dict().items()}
    add_low_rank(module, 2, torch.Generator().manual_seed(0))
    assert torch.equal(module(x), before)
    learning = {name: one for name, one in module.named_parameters() if one.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"0", "4"}  # not the depthwise one
    for one in learning.values():
        nn.init.normal_(one)
    changed = module(x)
    merge_low_rank(module)
    assert torch.equal(module(x), changed)
    assert sorted(module.state_dict()) == sorted(state)
    after = module.state_dict()
    ranks = {
        name: int(torch.linalg.matrix_rank((after[name] - state[name]).flatten(1))) for name in state if "w" in name
    }
    assert ranks == {"0.weight": 2, "1.weight": 0, "4.weight": 2}
    assert all(torch.equal(after[name], state[name]) for name in state if "bias" in name)


def separation(module: nn.Module, windows: torch.Tensor, classes: torch.Tensor) -> float:
    """Mean cosine within the classes, less that between them."""
    with torch.no_grad():
        points = nn.functional.normalize(module(windows))
    cosines, same = points @ points.T, classes[:, None] == classes
    return float(cosines[same].mean() - cosines[~same].mean())


def test_an_encoder_learns_to_tell_classes_apart_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    classes = torch.arange(60) % 3
    kinds = torch.randn(3, 1, 8, 8, generator=rng)
    windows = 0.6 * kinds[classes] + torch.randn(60, 1, 8, 8, generator=rng)

    def draw(places: list[int], generator: torch.Generator) -> torch.Tensor:
        return windows[places] + 0.1 * torch.randn(len(places), 1, 8, 8, generator=generator)

    def adapted(epochs: int, module: nn.Module, checkpoint: Path | None) -> nn.Module:
        training = Training(epochs=epochs, batch_size=16, learning_rate=1e-2)
        adapt_encoder(
            module, classes.tolist(), draw, width=6, training=training, rank=2, sub_clusters=1, checkpoint=checkpoint
        )
        return module

    whole = adapted(30, network(), None)
    first, last = (separation(module, windows, classes) for module in (network(), whole))
    assert last > 3 * first
    adapted(10, network(), tmp_path / "c")
    resumed = adapted(30, network(), tmp_path / "c")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_what_cannot_learn_is_refused() -> None:
    training = Training(epochs=1)
    with pytest.raises(ModelError, match="all 2 clips are of 1; give clips of more machines"):
        adapt_encoder(network(), ["a", "a"], lambda *_: torch.zeros(2, 1, 8, 8), width=6, training=training)
    with pytest.raises(ModelError, match="no linear layer"):
        adapt_encoder(nn.ReLU(), ["a", "b"], lambda *_: torch.zeros(2, 6), width=6, training=training)
    with pytest.raises(ModelError, match="rank of an adaptation is 0; give at least 1"):
        adaptable(["a", "b"], 0)


def test_adapted_weights_of_yamnet_are_used_as_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    (tmp_path / "old").mkdir()
    save_file(MobileNet().state_dict(), tmp_path / "old" / "yamnet.safetensors")
    data = write_factory(tmp_path / "data", size="tiny", machine_types=["fan"])
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "adaptation-0123.checkpoint").write_text("of another training")
    line = ["adapt-encoder", data, "--out", tmp_path / "new", "--weights", tmp_path / "old", "--epochs", "1"]
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, line), "--device", "cpu", "--rank", "1"])
    assert stopped.value.code == 0
    assert "--weights" in capsys.readouterr().out
    facts = json.loads((tmp_path / "new" / "adaptation.json").read_text())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["adaptation.json", "yamnet.safetensors"]
    old, new = (Yamnet(weights=str(tmp_path / name)) for name in ("old", "new"))
    assert (facts["from"], facts["sha256"], len(facts["history"])) == (old.sha256, new.sha256, 1)
    with pytest.raises(SystemExit) as stopped:
        main([*map(str, line), "--device", "cpu"])
    assert stopped.value.code == 2
    assert "holds yamnet.safetensors already; name another folder" in capsys.readouterr().err
    sound = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    assert not np.array_equal(old(sound), new(sound))
