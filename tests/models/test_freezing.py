"""What is frozen does not move: not its weights, not the statistics of its norms, not by chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn
from typer.testing import CliRunner

from vidcls.cli.main import app
from vidcls.errors import UserError
from vidcls.models.build import build
from vidcls.models.describe import describe
from vidcls.models.freezing import is_frozen
from vidcls.models.kinds.base import VideoModel
from vidcls.spec.experiment import Spec
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import AdamWSection, Clip
from vidcls.training.cost.memory import footprint
from vidcls.training.optim import build_optimizer

CLIP = Clip(frames=4, size=(32, 32))
KINDS: dict[str, dict[str, Any]] = {
    "cnn3d": {"kind": "cnn3d"},
    "frame_average": {"kind": "frame_average", "backbone": "shufflenet_v2_x0_5"},
    "early_fusion": {"kind": "early_fusion", "backbone": "mobilenet_v3_small"},
    "late_fusion": {"kind": "late_fusion", "hidden": 16, "backbone": "resnet18"},
}


def parse(**section: Any) -> ModelSection:
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(section, strict=False)
    return parsed


def make(clip: Clip = CLIP, **section: Any) -> VideoModel:
    torch.manual_seed(0)
    return build(parse(**section), num_classes=3, clip=clip)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


def train(model: VideoModel, *, num_steps: int = 3) -> set[str]:
    """Train with large steps; the names of what changed."""
    before = values(model)
    optimizer = build_optimizer(AdamWSection(lr=0.1), model)
    generator = torch.Generator().manual_seed(1)
    for _ in range(num_steps):
        model.train()
        logits = model(torch.randn(4, 3, CLIP.frames, *CLIP.size, generator=generator))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.eval()
    return changed(model, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_backbone_keeps_every_bit_and_the_head_learns(kind: str) -> None:
    moved = train(make(**KINDS[kind], freeze=["backbone"], dropout=0.2))
    assert not any(key.startswith("backbone.") for key in moved)
    assert {"classifier.weight", "classifier.bias"} <= moved


def test_a_frozen_stage_keeps_every_bit_and_those_beside_it_learn() -> None:
    frozen = ["backbone.body.conv1", "backbone.body.bn1", "backbone.body.layer1", "project.0.bias"]
    moved = train(make(**KINDS["late_fusion"], freeze=frozen))
    assert not any(key.startswith(tuple(frozen)) for key in moved)
    assert {
        "project.0.weight",
        "backbone.body.layer2.0.conv1.weight",
        "backbone.body.layer2.0.bn1.running_mean",
    } <= moved


def test_each_member_of_an_ensemble_has_its_own_frozen_parts() -> None:
    members = [{"kind": "cnn3d", "freeze": ["backbone"]}, {"kind": "cnn3d"}]
    moved = train(make(kind="ensemble", members=members))
    assert not any(key.startswith("members.0.backbone") for key in moved)
    assert {"members.0.classifier.weight", "members.1.backbone.body.0.0.weight"} <= moved


def test_what_is_frozen_is_the_same_in_training_as_in_evaluation() -> None:
    """No dropout, no stochastic depth, no statistics of the batch: the features of a clip are what they are."""
    section = parse(kind="frame_average", backbone="efficientnet_b0", freeze=["backbone"])
    model = build(section, num_classes=3, clip=CLIP)
    clip = torch.randn(2, 3, CLIP.frames, *CLIP.size)
    (evaluated,) = model.eval().encode(clip)
    (first,) = model.train().encode(clip)
    assert torch.equal(evaluated, first)
    assert model.training
    assert not first.requires_grad


@pytest.mark.parametrize(("which", "num_moving"), [("train", 20), ("partial", 1), ("frozen", 0)])
def test_batch_norms_of_the_weights_stay(which: str, num_moving: int) -> None:
    model = make(**KINDS["late_fusion"], weights="default", batch_norm=which)
    moved = train(model)
    norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]
    moving = [name for name in norms if any(key.startswith(f"{name}.") for key in moved)]
    assert len(norms) == 20
    assert len(moving) == num_moving
    assert which == "train" or moving in ([], ["backbone.body.bn1"])
    assert "backbone.body.layer1.0.conv1.weight" in moved


@pytest.mark.parametrize(
    ("settings", "message", "words"),
    [
        ({"freeze": ["backbone.body.layr1"]}, "no part backbone.body.layr1", "backbone.body.layer1"),
        ({"freeze": ["backbone.body.layer"]}, "has no part", "did you mean"),
        ({"freeze": ["zzz"]}, "no part zzz", "backbone, pool, project, join, dropout, classifier"),
        ({"freeze": ["dropout"]}, "no parameters", "no parameters that could be frozen"),
        ({"freeze": ["backbone", "project", "join", "classifier"]}, "nothing is left to train", "classifier"),
        ({"freeze": ["backbone"], "weights": "default", "batch_norm": "frozen"}, "batch_norm", "no effect"),
        ({"backbone": "squeezenet1_1", "weights": "default", "batch_norm": "frozen"}, "batch_norm", "has no"),
    ],
)  # fmt: skip
def test_refuses_with_what_to_do_next(settings: dict[str, Any], message: str, words: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make(**KINDS["late_fusion"] | settings)
    assert words in str(caught.value)
    assert caught.value.hint


def test_statistics_of_a_random_start_are_not_worth_keeping() -> None:
    with pytest.raises(ValidationError, match="set weights"):
        parse(kind="cnn3d", batch_norm="frozen")


def test_what_is_frozen_costs_no_gradients() -> None:
    summaries = [
        describe(parse(**KINDS["late_fusion"], freeze=freeze), clip=CLIP, num_classes=3)
        for freeze in ([], ["backbone"])
    ]
    assert summaries[0].num_params == summaries[0].num_trainable == summaries[1].num_params
    in_head = sum(stage.num_params for stage in summaries[1].stages if stage.level == 0)
    assert summaries[1].num_trainable == in_head
    whole, head = (
        footprint(
            Spec(name="x", model=parse(**KINDS["late_fusion"], freeze=freeze)),
            num_classes=3,
            precision="fp32",
        )
        for freeze in ([], ["backbone"])
    )
    assert head.weight_bytes == whole.weight_bytes
    assert head.optimizer_bytes < whole.optimizer_bytes / 2
    assert head.training_bytes < whole.training_bytes / 2
    # Of the backward pass only the gradient of the first layer's input is not computed.
    assert 2.5 < whole.gflops / head.gflops < 3


def test_is_frozen_means_all_of_it() -> None:
    model = make(kind="cnn3d", freeze=["backbone.body.0"])
    assert is_frozen(model.get_submodule("backbone.body.0"))
    assert not is_frozen(model.get_submodule("backbone.body"))
    assert not is_frozen(model.get_submodule("dropout"))


def test_show_says_what_trains_and_how_fast(tmp_path: Path) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("name: x\nclip: {frames: 4, size: [32, 32]}\nmodel: {kind: cnn3d}\n")
    runner = CliRunner()
    args = ["model", "show", str(spec), "--json", "model.freeze=[backbone.body.0]"]
    stages = {stage["name"]: stage for stage in json.loads(runner.invoke(app, args).stdout)["stages"]}
    assert [stages[f"backbone.body.{k}"]["level"] for k in range(3)] == [3, 2, 1]
    assert stages["backbone.body.0"]["num_trainable"] == 0
    shown = runner.invoke(
        app, ["model", "show", str(spec), "model.freeze=[backbone.body.0]", "optim.layer_decay=0.5"]
    )
    assert all(words in shown.stdout for words in ("learning rate", "frozen", "x 0.25", "x 0.5", "x 1"))
    assert "learning rate" not in runner.invoke(app, ["model", "show", str(spec)]).stdout
    wrong = runner.invoke(app, ["model", "show", str(spec), "model.freeze=[backbone.body.9]"])
    assert wrong.exit_code == 2
    assert "did you mean" in wrong.output
