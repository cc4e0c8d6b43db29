"""The command line as a person and a script use it."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import vidcls
from tests.support.training import Experiment, train_child
from vidcls.cli import app
from vidcls.cli.common import times
from vidcls.evaluate.predictions import load_predictions
from vidcls.run.folder import Run

pytestmark = pytest.mark.long

MINIMAL = "name: x\nmodel: {kind: cnn3d}\n"
STREAMS = """name: x
clip: {modality: rgb+difference}
model: {kind: two_stream, rgb: {kind: frame_average}, motion: {kind: frame_average}}
"""


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Experiment:
    """Two seeds of one small experiment, trained."""
    experiment = Experiment(tmp_path_factory.mktemp("trained"), demo)
    for seed in (0, 1):
        assert train_child(experiment.spec(seed=seed)) == 0
    return experiment


@pytest.fixture
def folder(trained: Experiment) -> Path:
    return next(path for path in (trained.folder / "runs" / "small").iterdir() if path.name.endswith("-s0"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom vidcls.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'wandb', 'decord', 'optuna', 'matplotlib', 'numpy', 'av', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_the_command_and_the_module_are_the_same() -> None:
    outputs = [
        subprocess.check_output([*command, "--version"], text=True)
        for command in (
            [shutil.which("vidcls", path=Path(sys.executable).parent)],
            [sys.executable, "-m", "vidcls"],
        )
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("vidcls ")


def test_completion_knows_the_commands() -> None:
    environment = os.environ | {
        "_VIDCLS_COMPLETE": "complete_bash",
        "COMP_WORDS": "vidcls tr",
        "COMP_CWORD": "1",
    }
    command = shutil.which("vidcls", path=Path(sys.executable).parent)
    assert command is not None
    assert subprocess.check_output([command], env=environment, text=True).split() == ["train"]


@pytest.mark.parametrize(
    "args",
    [
        ["SPEC", "optim.lr=3e-4"],
        ["optim.lr=3e-4", "SPEC"],
        ["--optim.lr=3e-4", "SPEC"],
        ["SPEC", "--optim.lr=3e-4"],
    ],
)
def test_overrides_stand_anywhere_with_or_without_dashes(tmp_path: Path, args: list[str]) -> None:
    (tmp_path / "x.yaml").write_text(MINIMAL)
    real = [arg.replace("SPEC", str(tmp_path / "x.yaml")) for arg in args]
    result = run("spec", "show", "--resolved", "--json", *real)
    assert json.loads(result.stdout)["optim"]["lr"] == 3e-4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "SPEC", "--dry-rnu"], "Possible options: --dry-run"),
        (["train", "SPEC", "--optim.lrr=1"], "command line: optim.lrr: unknown key; did you mean optim.lr?"),
        (["train", "SPEC", "--optim.lr", "1"], "write optim.lr=1"),
        (["train"], "Missing argument"),
        (["train", "optim.lr=1"], "expected one spec file, got none"),
        (["trian", "SPEC"], "No such command 'trian'"),
        (["train", "nothing.yaml"], "nothing.yaml: no such file"),
        (["train", "SPEC"], "x.yaml:3: data.root: no/such/data does not exist"),
        (["train", "SPEC", "data.root=DEMO", "model.backbone=resnet81"], "command line: model.backbone: there is no backbone"),
        (["train", "streams.yaml", "data.root=DEMO", "model.rgb.freeze=[bakbone]"],
         "command line: model.rgb.freeze: the model has no part bakbone; did you mean backbone"),
        (["train", "streams.yaml", "data.root=DEMO", "model.motion.weights=x.pt"],
         "command line: model.motion.weights: x.pt is not a file"),
        (["train", "members.yaml", "data.root=DEMO", "model.members.1.freeze=[bakbone]"],
         "command line: model.members.1.freeze: the model has no part bakbone"),
        (["evaluate", "nowhere"], "vidcls runs ls lists all runs"),
        (["predict", "nowhere", "x.mp4"], "vidcls runs ls lists all runs"),
        (["data", "scan", "nowhere"], "nowhere"),
        (["runs", "ls", "nowhere"], "nowhere: no such folder"),
        (["train", "SPEC", "data.root=DEMO", "--device", "tpu"], "unknown; allowed: cpu, cuda, cuda:N"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_message_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo: Path, args: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(MINIMAL + "data: {root: no/such/data}\n")
    Path("streams.yaml").write_text(STREAMS)
    Path("members.yaml").write_text(
        "name: x\nmodel: {kind: ensemble, members: [{kind: cnn3d}, {kind: cnn3d}]}\n"
    )
    result = run(*(arg.replace("SPEC", "x.yaml").replace("DEMO", str(demo)) for arg in args))
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output


def test_spec_check_names_the_mistakes_of_all_files(tmp_path: Path) -> None:
    for name, text in (("good", MINIMAL), ("bad", "name: x\n"), ("worse", "")):
        (tmp_path / f"{name}.yaml").write_text(text)
    result = run("spec", "check", *sorted(tmp_path.glob("*.yaml")))
    assert result.exit_code == 2
    assert result.stdout == f"{tmp_path}/good.yaml: ok\n"
    assert f"{tmp_path}/bad.yaml:1: model: required, but not set" in result.stderr
    assert f"{tmp_path}/worse.yaml: empty file" in result.stderr


def test_spec_diff_tells_what_differs(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MINIMAL)
    (tmp_path / "b.yaml").write_text(MINIMAL + "train: {epochs: 3}\n")
    result = run("spec", "diff", tmp_path / "a.yaml", tmp_path / "b.yaml", "--json")
    assert json.loads(result.stdout) == [{"key": "train.epochs", "a": 30, "b": 3}]


def test_spec_diff_takes_runs_as_evaluate_does(trained: Experiment, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "runs" / "mine" / "0-s0")
    other = next(path for path in folder.parent.iterdir() if path.name.endswith("-s1"))
    result = run("spec", "diff", tmp_path / "runs", other, "--json")
    assert json.loads(result.stdout) == [{"key": "seed", "a": 0, "b": 1}]
    several = run("spec", "diff", trained.folder / "runs", other)
    assert several.exit_code == 2
    assert "contains 2 runs; name one of them" in several.stderr


def test_dry_run_tries_everything_and_leaves_no_run(experiment: Experiment) -> None:
    result = run("train", experiment.spec(), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "checkpoint: written, read back, equal" in result.stdout
    assert not (experiment.folder / "runs").exists()


def test_a_finished_run_says_so(trained: Experiment, folder: Path) -> None:
    result = run("train", trained.spec(seed=0))
    assert result.exit_code == 0
    assert f"{folder}: finished already" in result.stdout


def test_runs_ls_and_show(trained: Experiment, folder: Path) -> None:
    rows = json.loads(run("runs", "ls", trained.folder / "runs", "--json").stdout)
    assert [(row["state"], row["epoch"], row["differences"]) for row in rows] == [
        ("finished", 3, {"seed": 0}),
        ("finished", 3, {"seed": 1}),
    ]

    def listed(*words: str) -> list[dict[str, object]]:
        return list(json.loads(run("runs", "ls", trained.folder / "runs", *words, "--json").stdout))

    assert [row["run"] for row in listed("--sort", "-seed")] == [rows[1]["run"], rows[0]["run"]]
    assert [row["run"] for row in listed("--filter", "seed=1", "--filter", "state=fin*")] == [rows[1]["run"]]
    assert listed("--filter", "val_top1>1") == []
    columns = ["seed", "optim.lr", "val/loss", "epoch"]
    assert list(listed("--columns", ",".join(columns))[0]) == columns
    wrong = run("runs", "ls", trained.folder / "runs", "--sort", "optim.lrr")
    assert wrong.exit_code == 2
    assert "--sort: no run has optim.lrr; did you mean optim.lr?" in wrong.stderr
    shown = json.loads(run("runs", "show", folder, "--json").stdout)
    assert shown["metrics"]["val/top1"] == rows[0]["val_top1"]
    assert "checkpoints/best.pt" in shown["files"]


def test_evaluate_repeats_validation_to_the_bit(trained: Experiment, folder: Path) -> None:
    stored = Run(folder).predictions_file("val", "best").read_bytes()
    result = run("evaluate", trained.folder / "runs", "--checkpoint", "all", "--anew", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert len(content["evaluations"]) == 4
    assert "highest val top-1" in content["note"]
    assert content["compare"] is None, "two seeds of one configuration"
    assert Run(folder).predictions_file("val", "best").read_bytes() == stored
    assert (trained.folder / "runs" / "small" / "scores-val.png").stat().st_size > 1000
    table = run("evaluate", folder)
    assert "RedLeft" in table.stdout


def test_evaluate_prints_the_command_that_compares_its_runs(
    trained: Experiment, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained.folder / "runs", "my runs")
    shutil.copytree(folder, f"my runs/small/{'f' * 12}-s0")
    said = run("evaluate", "my runs").stdout.splitlines()
    (command,) = [line for line in said if "vidcls compare" in line]
    assert command == "whether the highest is really better: vidcls compare 'my runs'"
    assert run("compare", *shlex.split(command.partition("vidcls compare ")[2])).exit_code == 0
    last = json.loads(run("evaluate", "my runs", "--checkpoint", "last", "--json").stdout)
    assert last["compare"] == "vidcls compare 'my runs' --checkpoint last"
    assert not any("vidcls compare" in line for line in run("evaluate", folder).stdout.splitlines())


def test_the_test_split_is_written_down_each_time(trained: Experiment, folder: Path) -> None:
    for count in (1, 2):
        result = run("evaluate", folder, "--split", "test")
        assert result.exit_code == 0, result.output
        assert f"was evaluated {times(count)} so far" in result.stdout
        assert ("in 1 of these, a stored result was shown again" in result.stdout) == (count == 2)
        assert ("results were stored already" in result.stderr) == (count == 2)
    assert load_predictions(Run(folder).predictions_file("test", "best")).split == "test"


def test_training_never_reads_the_test_split(experiment: Experiment, tmp_path: Path, demo: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(demo, data)
    for video in (data / "videos" / "test").rglob("*.*"):
        video.write_bytes(b"not a video")
    assert train_child(experiment.spec(data__root=str(data))) == 0


def test_evaluation_refuses_data_that_changed(experiment: Experiment, tmp_path: Path, demo: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(demo, data)
    assert train_child(experiment.spec(data__root=str(data))) == 0
    one, other = sorted((data / "videos" / "val" / "RedUp").iterdir())
    shutil.copy(one, other)
    result = run("evaluate", experiment.run().folder)
    assert result.exit_code == 2
    assert "no longer the data that this run was trained on" in result.stderr


def test_predict_equals_validation_to_the_bit(trained: Experiment, folder: Path, demo: Path) -> None:
    stored = load_predictions(Run(folder).predictions_file("val", "best"))
    root = demo / "videos" / "val"
    paths = {str(path.relative_to(root).with_suffix("")): path for path in root.rglob("v_*")}
    predictions = vidcls.load(folder).predict([paths[name] for name in stored.ids])
    assert all(prediction.error is None for prediction in predictions)
    logits = np.stack([prediction.logits for prediction in predictions if prediction.logits is not None])
    np.testing.assert_array_equal(logits, stored.logits)
    alone = vidcls.load(folder).predict(paths[stored.ids[0]])[0]
    assert alone.logits is not None
    np.testing.assert_allclose(alone.logits, stored.logits[0], atol=1e-5)
    assert alone.label == predictions[0].label


def test_predict_names_a_bad_video_and_does_the_rest(folder: Path, demo: Path, tmp_path: Path) -> None:
    good = next((demo / "videos" / "val").rglob("v_*"))
    shutil.copy(good, tmp_path / f"good{good.suffix}")
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.avi").touch()
    result = run("predict", folder, tmp_path, "--json", "--top", "3")
    assert result.exit_code == 3
    by_name = {Path(row["path"]).stem: row for row in json.loads(result.stdout)}
    assert len(by_name["good"]["top"]) == 3
    assert by_name["text"]["error"]
    assert by_name["empty"]["error"]
    assert "text.mp4: " in result.stderr
    rows = list(csv.DictReader(io.StringIO(run("predict", folder, tmp_path, "--csv").stdout)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]


def test_predict_reads_real_files(shared: Path, folder: Path) -> None:
    result = run("predict", folder, shared / "clips", "--json")
    assert result.exit_code == 3
    errors = {Path(row["path"]).name for row in json.loads(result.stdout) if row["error"]}
    assert errors == {"corrupted.mp4"}


def test_doctor_says_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / ("x" * 80)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    result = run("doctor", "--json")
    findings = {row["what"]: row for row in json.loads(result.stdout)}
    assert {"python", "torch", "codecs", "gpu", "precision", "w&b", "disk", "queue"} <= findings.keys()
    assert all(row["cost"] for row in findings.values() if row["state"] != "ok")
    assert findings["sockets"]["found"] == "in /tmp"
    assert f"TMPDIR={temporary} is too long" in findings["sockets"]["cost"]


def test_init_writes_a_project_once(tmp_path: Path) -> None:
    assert run("init", tmp_path / "mine").exit_code == 0
    files = {
        str(path.relative_to(tmp_path / "mine")) for path in (tmp_path / "mine").rglob("*") if path.is_file()
    }
    assert {
        "Makefile",
        "experiments/late_fusion.yaml",
        "experiments/schema.json",
        "sweeps/late_fusion.yaml",
    } <= files
    assert run("spec", "check", *sorted((tmp_path / "mine" / "experiments").glob("*.yaml"))).exit_code == 0
    again = run("init", tmp_path / "mine")
    assert again.exit_code == 2
    assert "already contains experiments, sweeps, slurm, Makefile" in again.stderr


def test_a_run_is_evaluated_and_its_seal_counted_from_any_folder(
    trained: Experiment, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = json.loads(run("evaluate", folder, "--split", "test", "--json").stdout)["test_openings"]
    after = json.loads(run("evaluate", folder, "--split", "test", "--json").stdout)["test_openings"]
    assert sum(after.values()) == sum(before.values()) + 1
    assert list(tmp_path.iterdir()) == []


def test_one_damaged_run_does_not_hide_the_others(trained: Experiment, folder: Path, tmp_path: Path) -> None:
    for name in ("good", "bad"):
        shutil.copytree(folder, tmp_path / "runs" / name)
    (tmp_path / "runs" / "bad" / "status.json").write_text('{"sta')
    (tmp_path / "runs" / "bad" / "checkpoints" / "best.pt").unlink()
    shutil.rmtree(tmp_path / "runs" / "bad" / "predictions")
    result = run("runs", "ls", tmp_path / "runs", "--json")
    assert [Path(row["run"]).name for row in json.loads(result.stdout)] == ["good"]
    assert "bad: left out: " in result.stderr
    compared = run("evaluate", tmp_path / "runs")
    assert compared.exit_code == 3
    assert "no checkpoint 'best' yet" in compared.stderr


def test_a_folder_that_cannot_be_written_is_named(trained: Experiment, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("train", trained.spec(seed=0), f"runs_dir={tmp_path}/file/runs")
    assert result.exit_code == 1
    assert f"{tmp_path}/file" in result.stderr


def test_names_are_shown_as_they_are(folder: Path, demo: Path, tmp_path: Path) -> None:
    shutil.copy(next((demo / "videos" / "val").rglob("v_*")), tmp_path / "my [bold]final[-x].avi")
    assert "my [bold]final[-x].avi" in run("predict", folder, tmp_path).stdout


def test_seed_is_an_option_where_it_is_one_and_an_override_where_it_is_that(tmp_path: Path) -> None:
    assert "unexpected extra argument" not in run("data", "demo", tmp_path / "m", "--seed=-1").output
    (tmp_path / "x.yaml").write_text(MINIMAL)
    assert (
        json.loads(run("spec", "show", "--resolved", "--json", tmp_path / "x.yaml", "--seed=7").stdout)[
            "seed"
        ]
        == 7
    )
