"""Learning rates of stages, and gradual unfreezing."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

import vidcls.training.optim as optim_module
from tests.support.training import Experiment, assert_same, rows, train_child, train_here
from vidcls.errors import UserError
from vidcls.models.build import build
from vidcls.models.kinds.base import BackboneModel, VideoModel
from vidcls.models.stages import stages_of
from vidcls.spec.load import load_spec
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import AdamWSection, Clip, SGDSection
from vidcls.training.optim import build_optimizer, set_learning_rate
from vidcls.training.unfreezing import Unfreezing

STEPS_PER_EPOCH = 5
CLIP = Clip(frames=4, size=(32, 32))


def make(**section: Any) -> VideoModel:
    torch.manual_seed(0)
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(section, strict=False)
    return build(parsed, num_classes=3, clip=CLIP)


def step_with(model: VideoModel, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    logits = model(torch.randn(4, 3, CLIP.frames, *CLIP.size))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def leaf_of(model: VideoModel) -> BackboneModel:
    (leaf,) = model.leaves()
    return leaf


def test_each_stage_steps_by_its_share_of_the_learning_rate() -> None:
    """With plain gradient descent, whose step is the learning rate times the gradient."""
    model = make(kind="late_fusion", backbone="resnet18", hidden=16)
    section = SGDSection(kind="sgd", layer_decay=0.5, momentum=0.0, nesterov=False, weight_decay=0.0)
    optimizer = build_optimizer(section, model)
    set_learning_rate(optimizer, 0.25)
    before = [param.detach().clone() for param in model.parameters()]
    step_with(model, optimizer)
    shares = {id(param): 1.0 for param in model.parameters()}
    for k, stage in enumerate(stages_of(leaf_of(model).backbone)):
        shares |= {id(param): 0.5 ** (k + 1) for param in stage.params}
    assert min(shares.values()) == 0.5**5
    for param, old in zip(model.parameters(), before, strict=True):
        assert param.grad is not None
        torch.testing.assert_close(
            param.detach(), old - 0.25 * shares[id(param)] * param.grad, rtol=0, atol=1e-6
        )


def test_every_parameter_that_trains_is_in_one_group_and_norms_do_not_decay() -> None:
    members = [{"kind": "cnn3d", "freeze": ["backbone.body.0"]}, {"kind": "frame_average"}]
    model = make(kind="ensemble", members=members)
    optimizer = build_optimizer(AdamWSection(layer_decay=0.7, weight_decay=0.1), model)
    grouped = [param for group in optimizer.param_groups for param in group["params"]]
    assert len(grouped) == len({id(param) for param in grouped})
    assert {id(param) for param in grouped} == {id(p) for p in model.parameters() if p.requires_grad}
    for group in optimizer.param_groups:
        assert all((param.ndim > 1) == (group["weight_decay"] > 0) for param in group["params"])
    assert optimizer.param_groups[0]["lr_scale"] == 1.0


def by_torch(section: AdamWSection | SGDSection, model: VideoModel) -> torch.optim.Optimizer:
    """The same groups, weights first, in torch's own class."""
    weights, others = ([p for p in model.parameters() if (p.ndim > 1) == many] for many in (True, False))
    groups = [
        {"params": weights, "lr_scale": 1.0, "weight_decay": section.weight_decay},
        {"params": others, "lr_scale": 1.0, "weight_decay": 0.0},
    ]
    if isinstance(section, AdamWSection):
        return torch.optim.AdamW(groups, lr=section.lr, betas=section.betas, fused=True)
    momentum, nesterov = section.momentum, section.nesterov
    return torch.optim.SGD(groups, lr=section.lr, momentum=momentum, nesterov=nesterov, fused=True)


SECTIONS = [AdamWSection(betas=(0.7, 0.9)), SGDSection(kind="sgd", momentum=0.6, weight_decay=0.1)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.kind)
def test_an_optimizer_does_all_that_torchs_own_does(section: AdamWSection | SGDSection) -> None:
    """A step with a closure, hooks, a group that comes later, gradients that end, and a state that moves."""
    ends: list[tuple[list[Any], dict[str, Any], list[torch.Tensor]]] = []
    for make_optimizer in (build_optimizer, by_torch):
        model = make(kind="cnn3d")
        optimizer = make_optimizer(section, model)
        late = nn.Parameter(torch.ones(2, 2))
        params = [*model.parameters(), late]
        seen: list[Any] = []

        def loss() -> torch.Tensor:
            optimizer.zero_grad()  # noqa: B023  (called in this round only)
            total = torch.stack([param.square().sum() for param in params]).sum()  # noqa: B023
            total.backward()  # type: ignore[no-untyped-call]
            return total

        optimizer.register_step_pre_hook(lambda *_: seen.append("before"))  # noqa: B023
        optimizer.register_step_post_hook(lambda *_: seen.append("after"))  # noqa: B023
        optimizer.register_state_dict_pre_hook(lambda *_: seen.append("asked"))  # noqa: B023
        optimizer.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))  # noqa: B023
        seen.append(optimizer.step(loss).item())
        optimizer.add_param_group({"params": [late], "lr_scale": 1.0, "weight_decay": 0.5})
        seen.append(optimizer.step(loss).item())
        state = optimizer.state_dict()
        seen.append(optimizer.step())
        optimizer.load_state_dict(state)
        seen.append(optimizer.step(loss).item())
        optimizer.zero_grad(set_to_none=False)
        seen.append([bool((param.grad == 0).all()) for param in params if param.grad is not None])
        optimizer.zero_grad()
        seen.append([param.grad for param in params])
        ends.append((seen, optimizer.state_dict(), params))
    (mine, state, params), (theirs, same, others) = ends
    assert mine == theirs
    assert mine.count("before") == mine.count("after") == 4
    assert state["param_groups"] == same["param_groups"]
    torch.testing.assert_close(state["state"], same["state"], rtol=0, atol=0)
    torch.testing.assert_close(params, others, rtol=0, atol=0)


def test_without_layer_decay_a_frozen_backbone_is_no_mistake() -> None:
    model = make(kind="frame_average", freeze=["backbone"])
    (weight, bias) = build_optimizer(AdamWSection(), model).param_groups
    assert [weight["lr_scale"], bias["lr_scale"]] == [1.0, 1.0]
    with pytest.raises(UserError) as caught:
        build_optimizer(AdamWSection(layer_decay=0.9), model)
    assert caught.value.message == "optim.layer_decay: has no effect, because the whole backbone is frozen"
    assert caught.value.hint == "leave one of the two out"


def test_stages_thaw_from_the_top_as_a_function_of_the_epoch() -> None:
    model = make(kind="cnn3d")
    unfreezing = Unfreezing(model, every=2)
    body = leaf_of(model).backbone.get_submodule("body")
    seen = []
    for epoch in [0, 1, 2, 3, 4, 5, 6, 7, 3]:
        unfreezing.enter(epoch)
        model.train()
        trains = ["".join("x" if part.training else "-" for part in list(body.children())[:3])]
        trains += [
            "".join("x" if part[0].weight.requires_grad else "-" for part in list(body.children())[:3])
        ]  # type: ignore[index]
        assert trains[0] == trains[1]
        seen.append(trains[0])
    assert seen == ["---", "---", "--x", "--x", "-xx", "-xx", "xxx", "xxx", "--x"]
    assert unfreezing.never(7) == []
    assert unfreezing.never(6) == ["body.0"]
    assert unfreezing.never(4) == ["body.1", "body.0"]


def test_what_is_frozen_by_name_never_thaws_and_takes_no_turn() -> None:
    model = make(kind="cnn3d", freeze=["backbone.body.2"])
    Unfreezing(model, every=1).enter(1)
    weights = [leaf_of(model).get_parameter(f"backbone.body.{k}.0.weight").requires_grad for k in range(3)]
    assert weights == [False, True, False]
    with pytest.raises(UserError, match="no effect") as caught:
        Unfreezing(make(kind="cnn3d", freeze=["backbone"]), every=1)
    assert caught.value.message == (
        "train.unfreeze_every: has no effect, because model.freeze freezes the whole backbone"
    )
    assert caught.value.hint == "leave one of the two out"


def test_an_ensemble_thaws_a_stage_of_each_member_and_names_both() -> None:
    model = make(
        kind="ensemble", members=[{"kind": "cnn3d", "freeze": ["backbone.body.2"]}, {"kind": "cnn3d"}]
    )
    unfreezing = Unfreezing(model, every=3)
    assert unfreezing.never(1) == ["body.1, body.2", "body.0, body.1", "body.0"]
    assert unfreezing.never(4) == ["body.0, body.1", "body.0"]
    assert unfreezing.never(9) == ["body.0"]
    assert unfreezing.never(10) == []


def test_without_gradual_unfreezing_all_trains_in_every_epoch() -> None:
    model = make(kind="cnn3d", freeze=["backbone.body.0"])
    before = [param.requires_grad for param in model.parameters()]
    unfreezing = Unfreezing(model, every=None)
    unfreezing.enter(0)
    assert [param.requires_grad for param in model.parameters()] == before
    assert unfreezing.never(1) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["train.unfreeze_every=1"], "set model.weights"),
        (["train.unfreeze_every=3", "model.weights=default"], "nothing would unfreeze"),
        (["optim.layer_decay=0"], "greater than 0"),
    ],
)
def test_refuses_what_would_do_nothing(experiment: Experiment, settings: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_spec(experiment.spec(), settings)


@pytest.mark.long
def test_a_training_that_thaws_resumes_to_the_bit(experiment: Experiment) -> None:
    """Killed before and after the first unfreeze."""
    start = train_here(experiment.spec(runs="start", seed=1, train__epochs=1)).checkpoint_file("best")
    experiment.settings = {
        "model": {"kind": "cnn3d", "dropout": 0.2, "weights": str(start)},
        "optim": {"layer_decay": 0.6},
        "train__unfreeze_every": 1,
    }
    assert train_child(experiment.spec(runs="alone")) == 0
    spec = experiment.spec(runs="killed", train__checkpoint_every_s=0.01)
    for step in (STEPS_PER_EPOCH - 1, 2 * STEPS_PER_EPOCH + 2):
        assert train_child(spec, die_at_step=step) == -signal.SIGKILL
    assert train_child(spec) == 0
    assert_same(experiment.run("alone"), experiment.run("killed"))
    last = torch.load(experiment.run("alone").checkpoint_file("last"), weights_only=True)["model"]
    begun = torch.load(start, weights_only=True)["model"]
    # Two of three stages unfrozen in three epochs.
    same = [torch.equal(last[key], begun[key]) for key in begun if key.startswith("backbone.body.0")]
    assert all(same)
    assert not torch.equal(last["backbone.body.1.0.weight"], begun["backbone.body.1.0.weight"])
    assert max(row["lr"] for row in rows(experiment.run("alone")) if "lr" in row) > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "residency"),
    [
        ("cnn3d", "mapped"),
        ("frame_average", "memory"),
        ("early_fusion", "streamed"),
        ("late_fusion", "device"),
    ],
)
def test_a_run_leaves_what_is_frozen_as_it_was_drawn(
    experiment: Experiment, kind: str, residency: str
) -> None:
    model: dict[str, Any] = {"kind": kind, "freeze": ["backbone"]}
    path = experiment.spec(model=model, data__residency=residency, train__epochs=1)
    run = train_here(path)
    trained = torch.load(run.checkpoint_file("last"), weights_only=True)["model"]
    spec = load_spec(path).spec
    torch.manual_seed(spec.seed)
    start = build(spec.model, num_classes=10, clip=Clip(frames=4, size=(24, 24))).state_dict()
    frozen = [key for key in start if key.startswith("backbone.")]
    assert frozen
    assert all(torch.equal(trained[key], start[key]) for key in frozen)
    assert not torch.equal(trained["classifier.weight"], start["classifier.weight"])


LIGHT = """
import sys, torch
import vidcls.sweep.worker.child
from vidcls.models.device import pin
from vidcls.spec.sections import AdamWSection, SGDSection
from vidcls.spec.model import CNN3DSection, FrameAverageSection
from vidcls.spec.sections import Clip
from vidcls.models.build import build
from vidcls.training.optim import build_optimizer

pin(threads=1, deterministic=True)
for network in (FrameAverageSection(kind="frame_average"), CNN3DSection(kind="cnn3d")):
    model = build(network, num_classes=2, clip=Clip(frames=4, size=(32, 32)))
    for section in (AdamWSection(), SGDSection(kind="sgd")):
        optimizer = build_optimizer(section, model)
        model(torch.zeros(1, 3, 4, 32, 32)).sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
assert torch.are_deterministic_algorithms_enabled()
print([name for name in ("torch._dynamo", "torch._inductor", "torchvision") if name in sys.modules])
"""


def test_a_start_and_a_step_do_not_load_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def fused_sgd(momentum: float = 0.9) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
    """SGD with fused kernels, which a CPU has too, over two parameters."""
    params = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))]
    groups = [{"params": params, "lr_scale": 1.0, "weight_decay": 0.0}]
    return params, optim_module._SGD(groups, lr=0.1, momentum=momentum, nesterov=momentum > 0, fused=True)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_fused_sgd_takes_parameters_that_are_unfrozen_later(momentum: float) -> None:
    (first, second), ours = fused_sgd(momentum)
    peers = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))]
    peer = torch.optim.SGD(peers, lr=0.1, momentum=momentum, nesterov=momentum > 0)
    for step in range(4):
        for param, other in zip((first, second), peers, strict=True):
            is_trained = param is first or step >= 2
            param.grad = torch.full_like(param, step + 1.0) if is_trained else None
            other.grad = torch.full_like(other, step + 1.0) if is_trained else None
        ours.step()
        peer.step()
    for param, other in zip((first, second), peers, strict=True):
        torch.testing.assert_close(param, other)


def test_fused_sgd_starts_from_zero_where_its_first_step_overflows() -> None:
    """torch keeps memory of undefined content as momentum then; with deterministic fill, NaN."""
    (first, second), ours = fused_sgd()
    torch.use_deterministic_algorithms(True)
    try:
        for found_inf in (1.0, 0.0, 0.0):
            first.grad, second.grad = torch.ones(3), torch.ones(2, 2)
            ours.grad_scale, ours.found_inf = None, torch.tensor(found_inf)  # type: ignore[attr-defined]
            ours.step()
    finally:
        torch.use_deterministic_algorithms(False)
    expected = nn.Parameter(torch.ones(3))
    peer = torch.optim.SGD([expected], lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(2):
        expected.grad = torch.ones(3)
        peer.step()
    torch.testing.assert_close(first, expected)


def test_a_state_of_other_kernels_is_taken_over() -> None:
    params, fused = fused_sgd()
    plain = optim_module._SGD(
        [{"params": params, "lr_scale": 1.0, "weight_decay": 0.0}], lr=0.1, momentum=0.9, nesterov=True
    )
    fused.load_state_dict(plain.state_dict())
    assert fused.param_groups[0]["fused"] is True
    plain.load_state_dict(fused.state_dict())
    assert plain.param_groups[0]["fused"] is None
