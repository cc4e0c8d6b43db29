"""What cannot be exported is said in one message."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from vidcls.errors import UserError, VidclsError
from vidcls.export.graph import trace
from vidcls.export.inputs import VideoInput
from vidcls.export.to_onnx import refuse_large
from vidcls.spec.sections import Clip

CLIP = Clip(frames=4, size=(16, 16))


class Deciding(nn.Module):
    """Asks a value of the clip what to compute, as a model of a user may."""

    def forward(self, clip: Tensor) -> Tensor:
        means = clip.mean(dim=(2, 3, 4))
        return means if means.sum() > 0 else -means


class Counting(nn.Module):
    """Takes batches of two alone."""

    def forward(self, clip: Tensor) -> Tensor:
        first, second = clip.mean(dim=(2, 3, 4))
        return torch.stack([first, second])


@pytest.mark.parametrize("model", [Deciding(), Counting()])
def test_a_model_that_torch_cannot_trace_is_refused_with_the_reason(model: nn.Module) -> None:
    with pytest.raises(
        VidclsError, match=r"^runs/x: torch\.export cannot export this model: \w+: "
    ) as caught:
        trace(model, VideoInput(CLIP), name="runs/x")
    assert "\n" not in caught.value.message
    assert "batch size" in str(caught.value.hint)


def test_a_model_of_any_class_is_traced_and_left_as_it_is() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm3d(3), nn.Dropout(), nn.Flatten(), nn.Linear(3 * 4 * 16 * 16, 2)).half()
    model.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    program = trace(model, VideoInput(CLIP), name="runs/x").module()
    clips = torch.randint(0, 256, (5, 4, 16, 16, 3), dtype=torch.uint8)
    assert torch.equal(program(clips), program(clips))
    assert program(clips).dtype == torch.float32
    assert model.training
    assert not any(param.requires_grad for param in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_more_weights_than_an_onnx_file_can_hold_are_refused() -> None:
    refuse_large(2_000_000_000, name="runs/x")
    with pytest.raises(UserError, match=r"2\.5 GB of weights; an ONNX file holds less than 2 GB") as caught:
        refuse_large(2_500_000_000, name="runs/x")
    assert "--to torch-export" in str(caught.value.hint)
