"""Precision of a training: TF32, overflows of fp16, compiled models, and memory that is too small."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.support.training import Experiment, QuietDisplay, assert_same, rows, train_child, train_here
from vidcls.cli.main import app
from vidcls.cli.output.display import PlainDisplay
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate import score as score_module
from vidcls.models.build import build
from vidcls.models.compilation import compile_model
from vidcls.models.device import full_float32, pin
from vidcls.spec.model import FrameStatisticsSection
from vidcls.spec.sections import Clip
from vidcls.tracking.jsonl import read_rows
from vidcls.training.loop import Loop

pytestmark = pytest.mark.decoded


def tf32_is_on() -> bool:
    assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32
    return torch.backends.cuda.matmul.allow_tf32


class Flags(QuietDisplay):
    """Notes whether TF32 is on in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.in_steps: list[bool] = []

    def step(self, loop: Any) -> None:
        self.in_steps.append(tf32_is_on())


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_that_of_the_spec_in_steps_and_off_in_what_is_stored(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tf32: bool
) -> None:
    in_scores: list[bool] = []
    right = score_module.forward

    def noted(*args: Any, **named: Any) -> torch.Tensor:
        in_scores.append(tf32_is_on())
        return right(*args, **named)

    monkeypatch.setattr(score_module, "forward", noted)
    display = Flags()
    train_here(experiment.spec(train__tf32=tf32, train__epochs=1, train__keep_last=False), display)
    assert set(display.in_steps) == {tf32}
    num_val = 5
    assert in_scores[:num_val] == [tf32] * num_val, "validation at the precision of training"
    assert in_scores[num_val:] == [False] * num_val, "what is stored"
    with full_float32():
        assert not tf32_is_on()
    assert tf32_is_on() == tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


class Overflowing(QuietDisplay):
    """Scales the loss so far in the steps 7 and 8 that their gradients overflow in fp16."""

    def step(self, loop: Loop) -> None:
        super().step(loop)
        if loop.global_step in (6, 8):
            state = loop._amp.scaler.state_dict()
            scale = 2.0**40 if loop.global_step == 6 else 2.0**10
            loop._amp.scaler.load_state_dict({**state, "scale": scale})

    def epoch(self, loop: Loop, row: Any, *, is_best: bool) -> None:
        PlainDisplay().epoch(loop, row, is_best=is_best)


def test_steps_that_overflow_in_fp16_are_counted_and_resumed(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.settings = {"train__precision": "fp16", "model": {"kind": "early_fusion"}}

    class Cut(Overflowing):
        def step(self, loop: Loop) -> None:
            super().step(loop)
            if loop.global_step == 9:
                signal.raise_signal(signal.SIGUSR1)

    alone = train_here(experiment.spec(runs="alone"), Overflowing())
    with pytest.raises(VidclsError):
        train_here(experiment.spec(runs="cut"), Cut())
    cut = train_here(experiment.spec(runs="cut"), Overflowing())
    assert_same(alone, cut)
    counts = [row["overflow_steps"] for row in rows(alone) if row["kind"] == "epoch"]
    assert counts == [0, 2, 0]
    assert "  2 steps left out (fp16 overflow)" in capsys.readouterr().err


def test_other_precisions_count_no_overflows(experiment: Experiment) -> None:
    run = train_here(experiment.spec(train__precision="bf16", train__epochs=1))
    assert not any("overflow_steps" in row for row in rows(run))


class OutOfMemory(QuietDisplay):
    """A device without room, from the second epoch on."""

    def step(self, loop: Loop) -> None:
        if loop.position.epoch == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")


def test_out_of_memory_names_the_batch_and_what_would_help_and_loses_nothing(experiment: Experiment) -> None:
    spec = experiment.spec(train__precision="fp32", train__batch_size=8)
    with pytest.raises(VidclsError) as caught:
        train_here(spec, OutOfMemory())
    assert caught.value.message.startswith(
        "out of memory with a batch of 8 clips, whose step needs about 0.0"
    )
    assert caught.value.message.endswith("CUDA out of memory. Tried to allocate 20.00 GiB.")
    assert caught.value.hint is not None
    for setting in ("train.batch_size=4 (about 0.0", "train.precision=bf16", "clip.size=[12,12]"):
        assert setting in caught.value.hint
    status = experiment.run().status()
    assert status is not None
    assert (status.state, status.epoch) == ("failed", 1)
    assert train_here(spec, display := QuietDisplay()).status().state == "finished"  # type: ignore[union-attr]
    assert any(text.endswith("resumed") for text in display.said)


needs_compiler = pytest.mark.skipif(
    shutil.which("c++") is None and shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"
)


@needs_compiler
@pytest.mark.slow
def test_a_compiled_training_goes_on_as_if_it_had_been_left_alone(experiment: Experiment) -> None:
    experiment.settings = {"train__compile": True, "model": {"kind": "early_fusion"}, "train__batch_size": 6}
    assert train_child(experiment.spec(runs="alone")) == 0
    spec = experiment.spec(runs="killed", train__checkpoint_every_s=0.01)
    assert train_child(spec, die_at_step=5) == -signal.SIGKILL
    assert train_child(spec) == 0
    assert_same(experiment.run("alone"), experiment.run("killed"))
    speeds = [row["clips_per_s"] for row in read_rows(experiment.run("alone").metrics_file) if "time" in row]
    assert speeds[0] > speeds[1] / 3, "compiling took tens of seconds, and is no part of it"


@needs_compiler
@pytest.mark.slow
def test_a_frozen_backbone_is_not_compiled_and_computes_without_tf32(experiment: Experiment) -> None:
    """So that its features are those that are stored: with all else equal, stored and in the loop agree."""
    model = {"kind": "frame_statistics", "freeze": ["backbone"]}
    clip = Clip(frames=4, size=(24, 24))
    section = FrameStatisticsSection.model_validate(model, strict=False)
    compiled, plain = (build(section, num_classes=3, clip=clip).eval() for _ in range(2))
    compiled.load_state_dict(plain.state_dict())
    seen: list[bool] = []
    compiled.get_submodule("backbone").register_forward_pre_hook(lambda *_: seen.append(tf32_is_on()))
    compile_model(compiled, True, torch.device("cpu"))
    pin(threads=1, deterministic=False, tf32=True)
    try:
        batch = torch.randn(2, 3, 4, 24, 24)
        with torch.no_grad():
            torch.testing.assert_close(compiled(batch), plain(batch))
        assert seen == [False]
    finally:
        pin(threads=1, deterministic=False)


def test_cuda_graphs_need_cuda(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="cuda_graphs needs a CUDA device"):
        train_here(experiment.spec(train__compile="cuda_graphs"))


def test_without_a_compiler_nothing_is_trained(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler was found\nand more")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(UserError, match="cannot compile here: no compiler was found\n") as caught:
        train_here(experiment.spec(train__compile=True))
    assert caught.value.hint is not None
    assert "train.compile=false" in caught.value.hint


def test_a_head_on_stored_features_is_not_compiled(experiment: Experiment) -> None:
    model = {"kind": "frame_average", "freeze": ["backbone"]}
    with pytest.raises(UserError, match="has no effect on a head"):
        train_here(experiment.spec(train__compile=True, model=model))


def test_a_dry_run_refuses_what_a_training_refuses(experiment: Experiment) -> None:
    done = CliRunner().invoke(
        app, ["train", str(experiment.spec(train__compile="cuda_graphs")), "--dry-run", "--device", "cpu"]
    )
    assert done.exit_code == 2
    assert "cuda_graphs needs a CUDA device" in done.stderr


def test_another_word_is_refused_in_the_words_of_yaml(experiment: Experiment) -> None:
    done = CliRunner().invoke(app, ["spec", "check", str(experiment.spec()), "train.compile=yes"])
    assert done.exit_code == 2
    assert "train.compile: unknown value 'yes'; allowed: false, true, cuda_graphs" in done.stderr
