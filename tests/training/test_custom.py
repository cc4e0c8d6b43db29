"""A model of the user's own, trained as any other: killed, resumed, frozen, kept with its run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import vidcls
from tests.support.training import Experiment, QuietDisplay, assert_same, train_child, train_here
from vidcls.cli.main import app
from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.models.kinds.custom import CustomModel
from vidcls.run.find import find_runs
from vidcls.spec.model import CustomSection
from vidcls.spec.sections import Clip
from vidcls.user_code.find import find_code

OWN = Path(__file__).parents[1] / "own_code"


@pytest.fixture
def own(experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """An experiment with a model that lies in the current folder, for a user who has trained with nothing."""
    (tmp_path / "work").mkdir()
    for file in OWN.glob("*.py"):
        shutil.copy(file, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    experiment.settings |= {"model": {"kind": "custom", "target": "own_models:Divided"}}
    return experiment


def edit(file: str) -> None:
    with Path(file).open("a") as stream:
        stream.write("# edited\n")


def test_killed_and_resumed_it_ends_in_the_same_weights(own: Experiment) -> None:
    whole = train_here(own.spec(runs="whole"))
    spec = own.spec(runs="killed")
    assert train_child(spec, die_at_step=9) == -9
    assert_same(whole, train_here(spec))


def test_a_run_keeps_its_code(own: Experiment) -> None:
    run = train_here(own.spec(train__epochs=1))
    video = next(own.data.rglob("val/*/*.avi"))
    before = vidcls.load(run.folder).predict(video)[0].logits
    assert {path.name for path in run.code_dir.rglob("*.py")} == {"own_models.py", "own_layers.py"}
    for file in Path.cwd().glob("*.py"):
        file.unlink()
    after = vidcls.load(run.folder).predict(video)[0].logits
    assert before is not None
    assert after is not None
    assert (before == after).all()


@pytest.mark.parametrize("file", ["own_models.py", "own_layers.py"])
def test_other_code_is_another_run(own: Experiment, file: str) -> None:
    spec = own.spec(train__epochs=1)
    first = train_here(spec)
    edit(file)
    trained = CliRunner().invoke(app, ["train", str(spec)])
    assert trained.exit_code == ExitCode.DONE
    assert f"{first.folder.name}: the same experiment with other code" in "".join(trained.stderr.split("\n"))
    assert len(find_runs(own.folder / "runs")) == 2


def test_arguments_are_settings(own: Experiment) -> None:
    spec = own.spec(train__epochs=1)
    words = ["train", str(spec), "model.args.width=4", f"runs_dir={own.folder / 'narrow'}"]
    assert CliRunner().invoke(app, words).exit_code == ExitCode.DONE
    narrow = own.run("narrow")
    state = torch.load(narrow.checkpoint_file("best"), weights_only=True)["model"]
    assert state["net.head.weight"].shape[1] == 8
    assert narrow.folder.name != train_here(spec).folder.name
    wrong = CliRunner().invoke(app, ["train", str(spec), "model.args.widht=4"])
    assert wrong.exit_code == ExitCode.USER_MISTAKE
    assert "did you mean model.args.width?" in wrong.stderr


def test_somebody_elses_code_runs_only_if_it_is_trusted(
    own: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_here(own.spec(train__epochs=1))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of somebody else"))
    vidcls.load(run.folder)  # the equal code lies in the current folder
    edit("own_layers.py")
    with pytest.raises(UserError, match="you have no equal code"):
        vidcls.load(run.folder)
    video = str(next(own.data.rglob("val/*/*.avi")))
    refused = CliRunner().invoke(app, ["predict", str(run.folder), video])
    assert refused.exit_code == ExitCode.USER_MISTAKE
    assert "--trust-code" in refused.stderr
    for words in (["predict", str(run.folder), video], ["evaluate", str(run.folder), "--anew"]):
        assert CliRunner().invoke(app, [*words, "--trust-code"]).exit_code == ExitCode.DONE
    vidcls.load(run.folder, trust_code=True)
    evil = next(run.code_dir.rglob("own_layers.py"))
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + evil.read_text())
    with pytest.raises(UserError, match="the copy was changed"):
        vidcls.load(run.folder, trust_code=True)
    assert not (tmp_path / "ran").exists()


def foreign(run: Path, *, target: str, args: dict[str, object], code: dict[str, object] | None) -> Path:
    """A run that somebody has changed, so that it calls something else when it is loaded."""
    copy = Path(shutil.copytree(run, run.with_name("foreign-s0")))
    path = copy / "checkpoints" / "best.pt"
    content = torch.load(path, weights_only=True)
    model = {"kind": "custom", "target": target, "args": args}
    torch.save(content | {"spec": content["spec"] | {"model": model}}, path)
    (copy / "code" / "code.json").write_text(json.dumps({} if code is None else {target: code}))
    return copy


@pytest.mark.parametrize("code", ["none", "installed", "outside"])
def test_a_run_from_elsewhere_calls_nothing_that_is_installed(
    own: Experiment, tmp_path: Path, code: str
) -> None:
    run = train_here(own.spec(train__epochs=1))
    evil_code = find_code("numpy:savetxt")  # it writes a file when it is called with these arguments
    release = {"module": evil_code.module, "digest": evil_code.digest, "release": evil_code.release}
    codes = {"none": None, "installed": release, "outside": release | {"digest": "../..", "release": None}}
    ran = tmp_path / "ran"
    args = {"fname": str(ran), "X": [1.0]}
    evil = foreign(run.folder, target=evil_code.target, args=args, code=codes[code])
    with pytest.raises(VidclsError):
        vidcls.load(evil)
    assert not ran.exists()


def test_a_frozen_backbone_of_the_users_has_stored_features(own: Experiment) -> None:
    settings = {"model__freeze": ["backbone"], "train__epochs": 2}
    stored = train_here(own.spec(runs="stored", **settings))
    assert stored.provenance()["residency"] == "features"
    computed = train_here(own.spec(runs="computed", data__residency="streamed", **settings))
    assert computed.provenance()["residency"] != "features"
    weights = [
        torch.load(run.checkpoint_file("best"), weights_only=True)["model"] for run in (stored, computed)
    ]
    for key in weights[0]:
        if key.startswith("net.backbone"):
            assert torch.equal(weights[0][key], weights[1][key])


@pytest.mark.parametrize("name", ["DropsInForward", "Gated"])
def test_its_own_forward_is_trained(own: Experiment, name: str) -> None:
    """Whatever lies between backbone and head, and whatever of it shows at the start."""
    code = find_code(f"own_models:{name}")
    torch.manual_seed(0)
    section = CustomSection(kind="custom", target=code.target)
    model = CustomModel(section, num_classes=3, clip=Clip(frames=4, size=(16, 16))).train()
    clip = torch.randn(4, 3, 4, 16, 16)
    torch.manual_seed(1)
    expected = model.net(clip)
    torch.manual_seed(1)
    assert torch.equal(model(clip), expected)
    model(clip).square().sum().backward()
    assert all(param.grad is not None for param in model.parameters())
    assert model.why_whole


def test_arguments_without_weights_have_features_of_their_own(own: Experiment) -> None:
    settings = {"model__target": "own_models:Pooling", "model__freeze": ["backbone"], "train__epochs": 1}
    losses = []
    for factor in (1.0, 100.0):
        run = train_here(own.spec(runs=f"by-{factor}", model__args={"factor": factor}, **settings))
        assert run.provenance()["residency"] == "features"
        status = run.status()
        assert status is not None
        losses.append(status.metrics["val/loss"])
    assert losses[0] != losses[1]


def test_a_constructor_may_change_its_arguments(own: Experiment) -> None:
    spec = own.spec(model__target="own_models:Changes", model__args={"widths": [4, 8]}, train__epochs=1)
    run = train_here(spec)
    assert run.spec().model.args == {"widths": [4, 8]}  # type: ignore[union-attr]
    vidcls.load(run.folder)
    done = CliRunner().invoke(app, ["train", str(spec)])
    assert "finished already" in done.stdout


def test_an_edit_while_data_is_prepared_changes_nothing(own: Experiment) -> None:
    """What is fingerprinted, trained and copied is one reading of the code."""

    class Edits(QuietDisplay):
        def stage(self, name: str, done: int, total: int) -> None:
            if name == "decode" and done == total:
                Path("own_layers.py").write_text("raise RuntimeError('edited')\n")

    before = (Path.cwd() / "own_layers.py").read_text()
    run = train_here(own.spec(train__epochs=1), Edits())
    assert (Path.cwd() / "own_layers.py").read_text() != before
    (kept,) = run.code_dir.rglob("own_layers.py")
    assert kept.read_text() == before


def test_two_versions_side_by_side_keep_their_own_modules(own: Experiment) -> None:
    """Also what one of them imports only when it is called."""
    Path("late.py").write_text(
        "from own_models import Divided\nclass Late(Divided):\n    def forward(self, clip):\n"
        "        import late_part\n        return late_part.times * super().forward(clip)\n"
    )
    clip = Clip(frames=4, size=(16, 16))
    models = []
    for times in (1.0, 2.0):
        Path("late_part.py").write_text(f"times = {times}\n")
        torch.manual_seed(0)
        section = CustomSection(kind="custom", target="late:Late")
        models.append(CustomModel(section, num_classes=3, clip=clip).eval())
    pixels = torch.randn(2, 3, 4, 16, 16)
    first, second = (model(pixels) for model in models)
    torch.testing.assert_close(2 * first, second)
    assert "late" not in sys.modules


WRONG = {
    "TupleInTraining": "gives an object of type tuple in training",
    "FailsInTraining": "own_models.py:",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_fails_in_training_is_named_with_its_line(own: Experiment, name: str) -> None:
    done = CliRunner().invoke(app, ["train", str(own.spec(model__target=f"own_models:{name}"))])
    assert done.exit_code == ExitCode.USER_MISTAKE
    assert WRONG[name] in "".join(done.stderr.split("\n"))


def test_lazy_layers_train_and_are_shown(own: Experiment) -> None:
    spec = own.spec(model__target="own_models:Lazy", train__epochs=1)
    for words in (["model", "show"], ["model", "test"], ["train"]):
        done = CliRunner().invoke(app, [*words, str(spec)])
        assert done.exit_code == ExitCode.DONE, done.output


@pytest.mark.parametrize("name", ["PoolsInForward", "GivesTwo"])
def test_a_backbone_that_alone_gives_no_features_makes_it_whole(own: Experiment, name: str) -> None:
    found = states_of(own.spec(), f"model.target=own_models:{name}")
    assert {name for name, state in found.items() if state != "ok"} == {"backbone and head"}
    assert train_here(own.spec(model__target=f"own_models:{name}", train__epochs=1)).state == "finished"


WHOLE = {
    "model.freeze=[backbone]": "its output is not head(backbone(clip))",
    "optim.layer_decay=0.5": "optim.layer_decay: needs a backbone and a head",
    "train.unfreeze_every=1": "train.unfreeze_every: needs a backbone and a head",
}


@pytest.mark.parametrize("setting", WHOLE)
def test_what_needs_a_backbone_says_so(own: Experiment, setting: str) -> None:
    spec = own.spec(model__target="own_models:Scaled", train__epochs=2)
    done = CliRunner().invoke(app, ["train", str(spec), setting])
    assert WHOLE[setting] in " ".join(done.stderr.split())
    assert done.exit_code == (ExitCode.DONE if setting.startswith("model.freeze") else ExitCode.USER_MISTAKE)


def states_of(spec: Path, *words: str) -> dict[str, str]:
    done = CliRunner().invoke(app, ["model", "test", str(spec), *words, "--json"])
    found = {result["name"]: result["state"] for result in json.loads(done.stdout)}
    assert done.exit_code == ("failed" in found.values())
    return found


def test_model_test_finds_nothing_in_right_models(own: Experiment) -> None:
    assert set(states_of(own.spec()).values()) == {"ok"}
    whole = states_of(own.spec(), "model.target=own_models:Whole")
    assert {name for name, state in whole.items() if state != "ok"} == {"backbone and head"}
    assert whole["backbone and head"] == "note"


def test_what_a_model_prints_is_not_in_the_json(own: Experiment) -> None:
    with Path("own_models.py").open("a") as file:
        file.write("\nprint('imported')\n")
    assert set(states_of(own.spec()).values()) == {"ok"}


MODEL = """
import numpy as np
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes, num_frames):
        super().__init__()
        self.head = nn.Linear(3, num_classes)
        {init}
    def forward(self, clip):
        x = clip.mean((3, 4))
        {forward}
        return self.head(x.mean(2))
"""
PLANTED = {
    "logits": ("", "return self.head(x.mean(2)) / 0"),
    "gradients": ("self.idle = nn.Linear(3, 3)", ""),
    "batch of one": ("", "x = x - x.mean(0)"),
    "state": ("self.scale = torch.rand(3)", "x = x * self.scale[:, None]"),
    "evaluation": ("", "x = nn.functional.dropout(x, 0.5, training=True)"),
    "determinism": ("", "x = x * np.random.rand() if self.training else x"),
    "odd number of frames": ("self.time = nn.Linear(4, 4)", "x = self.time(x)"),
    "bf16": ("", "return self.head(x.mean(2) + 1000) - self.head(x.mean(2) * 0 + 1000)"),
    "export": ("", "x = -x if x.abs().sum() > 0 else x"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_model_test_finds_each_planted_mistake(own: Experiment, name: str) -> None:
    init, forward = PLANTED[name]
    Path("wrong.py").write_text(MODEL.format(init=init or "pass", forward=forward or "pass"))
    assert states_of(own.spec(), "model.target=wrong:Net")[name] != "ok"


def test_model_test_says_which_line_cannot_be_exported(own: Experiment) -> None:
    Path("wrong.py").write_text(MODEL.format(init="pass", forward=PLANTED["export"][1]))
    done = CliRunner().invoke(app, ["model", "test", str(own.spec()), "model.target=wrong:Net"])
    assert done.exit_code == ExitCode.DONE
    note = " ".join(done.stdout.partition("note   export: ")[2].split())
    assert note.startswith(
        f"wrong:Net: torch.export cannot export this model: {Path.cwd() / 'wrong.py'}:12: "
    )
    assert "without decisions that depend on values" in note


def test_model_test_finds_nothing_where_nothing_is_planted(own: Experiment) -> None:
    Path("wrong.py").write_text(MODEL.format(init="pass", forward="pass"))
    found = states_of(own.spec(), "model.target=wrong:Net")
    assert {name for name, state in found.items() if state != "ok"} == {"backbone and head"}
