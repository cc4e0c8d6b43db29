"""Convolutions that are wrong in bf16 are found, remembered, and computed in float32."""

from __future__ import annotations

import copy
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.training import Experiment, QuietDisplay, train_here
from vidcls.models.bf16_check import compute_in_float32, wrong_in_bf16
from vidcls.models.build import build
from vidcls.models.kinds.base import VideoModel
from vidcls.process.signals import StoppedError
from vidcls.spec.model import CNN3DSection
from vidcls.spec.sections import Clip

CLIP = Clip(frames=4, size=(24, 24))


def make() -> VideoModel:
    torch.manual_seed(0)
    return build(CNN3DSection(kind="cnn3d"), num_classes=3, clip=CLIP)


def of_nan(conv: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor | None:
    """A library that is wrong in bf16."""
    return output * torch.nan if output.dtype == torch.bfloat16 else None


def test_nothing_is_wrong_where_the_library_is_right(tmp_path: Path) -> None:
    assert wrong_in_bf16(make(), torch.zeros(4, 3, 4, 24, 24), cache_dir=tmp_path) == []


def test_a_wrong_convolution_is_named_and_then_right(tmp_path: Path) -> None:
    model, clip = make(), torch.randn(4, 3, 4, 24, 24)
    name, conv = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Conv3d)][1]
    right = model.eval()(clip)
    conv.register_forward_hook(of_nan)
    state = torch.get_rng_state()
    assert wrong_in_bf16(model.train(), clip, cache_dir=tmp_path) == [name]
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    compute_in_float32(model, [name])
    for one in (model, copy.deepcopy(model)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(one.eval()(clip).float(), right, atol=0.05, rtol=0.1)
    assert model.state_dict().keys() == make().state_dict().keys()


def test_the_answer_is_remembered(tmp_path: Path) -> None:
    clip = torch.zeros(4, 3, 4, 24, 24)
    assert wrong_in_bf16(make(), clip, cache_dir=tmp_path) == []
    spoilt = make()
    for part in spoilt.modules():
        if isinstance(part, nn.Conv3d):
            part.register_forward_hook(of_nan)
    assert wrong_in_bf16(spoilt, clip, cache_dir=tmp_path) == [], "the same convolutions of the same size"
    assert len(wrong_in_bf16(spoilt, clip[:2], cache_dir=tmp_path)) == 3, "another batch"
    (tmp_path / "bf16").mkdir(exist_ok=True)
    for file in (tmp_path / "bf16").iterdir():
        file.write_text("{")
    assert len(wrong_in_bf16(spoilt, clip, cache_dir=tmp_path)) == 3, "damaged: asked anew"


def test_a_frozen_convolution_is_not_asked_for(tmp_path: Path) -> None:
    model = make()
    model.get_submodule("backbone").requires_grad_(False)
    assert wrong_in_bf16(model, torch.zeros(4, 3, 4, 24, 24), cache_dir=tmp_path) == []


def test_a_training_says_what_it_computes_in_float32_and_keeps_it(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = nn.Conv3d.forward

    def wrong_for_many_channels(conv: nn.Conv3d, clip: torch.Tensor) -> torch.Tensor:
        result = right(conv, clip)
        return result * 2 if result.dtype == torch.bfloat16 and conv.out_channels == 128 else result

    monkeypatch.setattr(nn.Conv3d, "forward", wrong_for_many_channels)
    spec = experiment.spec(train__precision="bf16")
    display = QuietDisplay(signal_at=(2, signal.SIGUSR1))
    with pytest.raises(StoppedError):
        train_here(spec, display)
    (name,) = experiment.run().provenance()["float32_convolutions"]
    conv = make().get_submodule(name)
    assert isinstance(conv, nn.Conv3d)
    assert conv.out_channels == 128
    assert [text for text in display.said if text.startswith("train.precision: bf16 is wrong")] == [
        f"train.precision: bf16 is wrong on this device for some convolutions of this model, which compute in "
        f"float32 instead: {name}"
    ]
    shutil.rmtree(experiment.folder / "store" / "bf16")
    monkeypatch.setattr(nn.Conv3d, "forward", right)
    assert train_here(spec).provenance()["float32_convolutions"] == [name], "a resume computes as before"
