"""What would fail in a queue is found before, each finding says what to do, and what passed need not pass twice."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.sweeps import Search
from tests.support.training import Experiment, QuietDisplay, train_here
from vidcls.campaign.preflight.check import ask_for_spec, ask_for_sweep, check_evaluation, preflight
from vidcls.campaign.preflight.finding import PreflightFinding, PreflightRequest
from vidcls.campaign.preflight.queue import check_memory
from vidcls.campaign.preflight.trials import Tried
from vidcls.cli import app
from vidcls.data.manifest import read_manifest
from vidcls.launch.job import Job
from vidcls.launch.local import LocalProfile
from vidcls.launch.queue import AnyProfile
from vidcls.launch.slurm import SlurmProfile
from vidcls.spec.data import DataSection
from vidcls.spec.load import load_spec

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose remembered preflights all tests share: one batch is enough for most of them."""
    return tmp_path_factory.mktemp("storage") / "store"


@pytest.fixture
def here(experiment: Experiment, storage: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.chdir(experiment.folder)
    monkeypatch.setenv("NETRC", str(experiment.folder / "no netrc"))
    experiment.settings = {"store_dir": str(storage)}
    return experiment


def found(asked: PreflightRequest) -> dict[str, PreflightFinding]:
    """The findings by what they are about, the worst of each."""
    worst = sorted(
        preflight(asked, display=QuietDisplay()),
        key=lambda finding: ["ok", "warning", "error"].index(finding.state),
    )
    return {finding.what: finding for finding in worst}


def ask(spec: Path, *overrides: str, profile: AnyProfile | None = None) -> PreflightRequest:
    return ask_for_spec(load_spec(spec, overrides), profile=profile or LocalProfile())


def queued(**settings: Any) -> SlurmProfile:
    usual = {"queue": "slurm", "time": "10", "cpus": 1, "memory": "16GB", "gpus": {"count": 0}}
    return SlurmProfile.model_validate(usual | settings)


def vidcls(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_right_spec_passes_and_the_second_time_without_a_batch(here: Experiment) -> None:
    first = found(ask(here.spec(), profile=queued()))
    assert {finding.state for finding in first.values()} == {"ok"}, first
    assert {"data", "leaks", "model", "store", "disk", "memory", "time", "w&b"} <= first.keys()
    assert "not built yet" in first["store"].found
    again = found(ask(here.spec(), profile=queued()))
    assert found(ask(here.spec(), "train.precision=fp16"))["model"].state == "ok", "fp16 is for GPUs"
    assert "tried before" in again["model"].found
    assert again["disk"].state == "ok"  # what is free changes with what others write
    assert again | {"model": first["model"]} == first | {name: again[name] for name in ("store", "disk")}
    assert "tried before" not in found(ask(here.spec(), "clip.frames=5", profile=queued()))["model"].found
    assert not (here.folder / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "what", "words"),
    [
        ({"data__root": "nowhere"}, "data", "nowhere does not exist"),
        (
            {"model": {"kind": "frame_average", "backbone": "resnet81"}},
            "model",
            "there is no backbone resnet81",
        ),
        (
            {"model": {"kind": "frame_average", "backbone": "resnet18", "weights": "default"}},
            "weights",
            "resnet18:IMAGENET1K_V1 is not on this machine",
        ),
        ({"augment": {"flip": 0.5}}, "model", "augment.flip"),
        ({"tracking__mode": "online"}, "w&b", "no credentials"),
        ({"store_dir": "/proc/store"}, "disk", "/proc: "),
    ],
)
def test_what_would_fail_is_an_error_that_says_what_to_do(
    here: Experiment, settings: dict[str, Any], what: str, words: str
) -> None:
    finding = found(ask(here.spec(**settings)))[what]
    assert finding.state == "error"
    assert words in finding.found
    assert finding.todo


def test_a_crash_of_a_model_is_a_finding(here: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the code of a model, which no section of a spec could tell."""
    from vidcls.models.kinds.cnn3d import CNN3D

    monkeypatch.setattr(CNN3D, "forward", lambda self, clip: clip @ clip.flatten())
    finding = found(ask(here.spec(), "seed=1", "optim.clip_norm=2"))["model"]
    assert (finding.state, "RuntimeError" in finding.found) == ("error", True)
    assert "--dry-run shows where" in finding.todo


def test_each_shape_of_a_sweep_is_tried_and_the_wrong_one_is_named(here: Experiment) -> None:
    search = Search(here)
    shapes = {"model.backbone": {"values": ["small", "resnet18"]}, "model.dropout": {"values": [0.0, 0.5]}}
    model = {"model": {"kind": "frame_average"}}
    plan = search.plan(search.file(shapes, settings=model))
    right = found(ask_for_sweep(plan, settings=()))
    assert "each of 2 models of different shape" in right["model"].found
    assert right["metric"].found == "val/top1 is logged after each epoch"
    assert "4 points, 4 trials" in right["space"].found
    shapes["model.backbone"]["values"][1] = "inception_v3"
    plan = search.plan(search.file(shapes, settings=model))
    wrong = found(ask_for_sweep(plan, settings=()))["model"]
    assert wrong.state == "error"
    assert "model.backbone=inception_v3 " in wrong.found
    assert "24x24" in wrong.found


@pytest.mark.slow
def test_a_batch_that_a_cpu_cannot_afford_is_cut_and_this_is_said(here: Experiment) -> None:
    large = ("model={kind: cnn3d, backbone: r3d_18}", "clip.size=[112,112]", "clip.frames=16")
    model = found(ask(here.spec(), *large, "train.batch_size=16"))["model"]
    assert (model.state, "of 16 clips, because this is only a CPU" in model.found) == ("ok", True), model


def test_more_trials_than_points_is_told(here: Experiment) -> None:
    search = Search(here)
    file = search.file({"optim.lr": {"values": [0.1, 0.2]}}, method="random", run_cap=9)
    space = found(ask_for_sweep(search.plan(file), settings=()))["space"]
    assert (space.state, "there are only 2" in space.found) == ("warning", True)


def test_features_that_will_be_stored_take_room_too(here: Experiment) -> None:
    model = "model={kind: frame_average, freeze: [backbone]}"
    assert "GB features to write" in found(ask(here.spec(), model))["disk"].found
    assert "GB features" not in found(ask(here.spec(), model, "data.residency=streamed"))["disk"].found


def test_a_quota_counts_like_the_disk(here: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = here.folder / "bin"
    programs.mkdir()
    device = next(line.split()[0] for line in _mounts() if line.split()[1] == _mount_of(here.folder))
    (programs / "quota").write_text(
        "#!/bin/sh\necho 'Disk quotas for user me (uid 1):'\n"
        f"echo '     Filesystem  blocks   quota   limit   grace'\necho '{device}  9900* 10000 12000 0 0'\n"
    )
    (programs / "quota").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    disk = found(ask(here.spec()))["disk"]
    assert (disk.state, "left of your quota" in disk.found) == ("error", True)


def _mounts() -> list[str]:
    return Path("/proc/mounts").read_text().splitlines()


def _mount_of(folder: Path) -> str:
    places = {line.split()[1] for line in _mounts()}
    return next(str(path) for path in (folder, *folder.parents) if str(path) in places)


@pytest.mark.parametrize(
    ("profile", "what", "words"),
    [
        (queued(memory="100MB"), "memory", "raise memory in the profile"),
        (queued(gpus={"count": 1, "mig": "1g.1gb"}), "gpu memory", "gpus.mig or app"),
        (queued(time="3", requeue=False), "time", "set requeue: true"),
        (queued(venv="/nowhere/venv"), "queue", "make hpc"),
    ],
)
def test_what_the_profile_asks_for_must_suit(
    here: Experiment, profile: SlurmProfile, what: str, words: str
) -> None:
    finding = found(ask(here.spec(), *_large(what), profile=profile))[what]
    assert finding.state in ("warning", "error")
    assert words in finding.todo


def test_gpu_memory_is_that_of_the_card_and_the_batch_that_fits_is_named(here: Experiment) -> None:
    large = ("clip.size=[96,96]", "train.batch_size=64")
    whole = found(ask(here.spec(), *large, profile=queued(gpus={"count": 1, "type": "a100"})))["gpu memory"]
    assert whole.state == "ok"
    assert whole.found.endswith(" needed, A100 40 GB has 40.00 GB")
    small = queued(gpus={"count": 1, "type": "a100", "mig": "1g.1gb"})
    finding = found(ask(here.spec(), *large, profile=small))["gpu memory"]
    assert finding.state == "error"
    fits = re.match(r"set train\.batch_size=(\d+), ", finding.todo)
    assert fits is not None
    assert int(fits[1]) < 64
    again = found(ask(here.spec(), large[0], f"train.batch_size={fits[1]}", profile=small))["gpu memory"]
    assert again.state == "ok"
    unknown = found(ask(here.spec(), *large, profile=queued(gpus={"count": 1, "type": "rocket"})))
    assert unknown["gpu memory"].found.endswith("gpus.type rocket: not a known card")
    unnamed = found(ask(here.spec(), *large, profile=queued(gpus={"count": 1})))
    assert unnamed["gpu memory"].found.endswith("the profile names no card (gpus.type)")
    huge = ("clip.size=[512,512]", "clip.frames=64", "train.batch_size=64")
    unsure = queued(gpus={"count": 1, "type": "TeslaV100"})
    assert _compared(here, huge, unsure) == ("warning", "gpus.type")
    sure = queued(gpus={"count": 1, "type": "v100-32gb"})
    assert _compared(here, huge, sure) == ("error", "gpus.type")


def _compared(here: Experiment, settings: tuple[str, ...], profile: SlurmProfile) -> tuple[str, str]:
    """State of the finding about a need of 60 GB, and what it says to ask for in the profile."""
    tried = Tried(num_rehearsed=1, training_bytes=int(60e9), bytes_by_batch={32: int(30e9), 16: int(15e9)})
    asked = ask(here.spec(), *settings, profile=profile)
    (finding,) = [one for one in check_memory(asked, tried, []) if one.what == "gpu memory"]
    return finding.state, finding.todo.rsplit(" ", 1)[1]


def test_trials_that_share_a_gpu_must_fit_together(here: Experiment) -> None:
    search = Search(here)
    file = search.file({"optim.lr": {"values": [0.1, 0.2, 0.3, 0.4]}})
    profile = queued(gpus={"count": 1, "type": "a100", "mig": "1g.2gb"})
    findings = {
        per_gpu: found(
            ask_for_sweep(search.plan(file, profile=profile, num_workers=None, per_gpu=per_gpu), settings=())
        )["gpu memory"]
        for per_gpu in (1, 4)
    }
    assert findings[1].state == "ok"
    assert findings[4].state == "error", "each process has a context of its own"
    assert "needed for 4 trials on a GPU, 1g.2gb of an A100 40 GB has 2.00 GB" in findings[4].found
    assert "lower --per-gpu" in findings[4].todo


def _large(what: str) -> tuple[str, ...]:
    if what == "gpu memory":
        return ("clip.size=[96,96]", "train.batch_size=64")
    return ("train.epochs=50000",) if what == "time" else ()


def test_earlier_runs_are_looked_at(here: Experiment, tmp_path: Path, demo: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(demo, data)
    spec = here.spec(data__root=str(data), train__epochs=1)
    run = train_here(spec)
    assert "finished already" in found(ask(spec))["run"].found
    status = run.status()
    assert status is not None
    run.write_status(replace(status, state="interrupted", epoch=0))
    assert found(ask(spec))["run"].state == "ok"
    provenance = run.provenance()
    run.provenance_file.write_text(json.dumps(provenance | {"code": "other"}))
    assert "--accept-code" in found(ask(spec))["run"].todo
    one, other = sorted((data / "videos" / "val" / "RedUp").iterdir())
    shutil.copy(one, other)
    changed = found(ask(spec))
    assert (changed["unchanged"].state, "run" in changed) == ("warning", False)
    assert "vidcls data scan" in changed["unchanged"].todo
    job = Job(name="evaluate", command=("true",), folder=tmp_path, log_dir=tmp_path)
    data_finding, queue = check_evaluation([run], split="val", profile=LocalProfile(), job=job)
    assert (data_finding.state, queue.state) == ("error", "ok")
    assert "no longer the data" in data_finding.found


def test_clips_longer_than_videos_are_a_warning(here: Experiment) -> None:
    spec = here.spec(clip__frames=200, clip__size=8)
    finding = found(ask(spec))["frames"]
    assert finding.state == "warning"
    assert finding.found.startswith("clip.frames: 200, but 40 of 40 videos have fewer frames (the fewest: ")
    result = vidcls("train", spec, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "warning: clip.frames: 200, but 40 of 40 videos have fewer frames" in result.output
    assert "frames" not in found(ask(here.spec()))


def test_leaks_are_a_warning(here: Experiment) -> None:
    manifest = read_manifest(DataSection(root=str(here.data)), cache_dir=None)
    leaky = replace(manifest, videos=tuple(replace(v, group="one") for v in manifest.videos))
    leaky.write_csv(here.folder / "leaky.csv")
    leaks = found(ask(here.spec(data__root=str(here.folder / "leaky.csv"))))["leaks"]
    assert (leaks.state, leaks.found.startswith("leaky 100 %")) == ("warning", True)
    assert "vidcls data split" in leaks.todo


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("queue: slurm\ntime: 10\ncpus: 1\nmemory: 2GB\ngpus: {count: 0}\npartition: nowhere\n")
    return path


def test_the_command_prints_findings_and_its_code_says_whether_one_is_an_error(here: Experiment) -> None:
    done = vidcls("check", here.spec(), "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert {"what", "state", "found", "todo"} == rows[0].keys()
    done = vidcls("check", here.spec(), "--data.root=nowhere")
    assert done.exit_code == 2
    assert "error" in done.stdout
    search = Search(here)
    file = search.file({"optim.lr": {"min": 0.1, "max": 0.2}}, method="random")
    done = vidcls("check", file, "--cluster", "local")
    assert done.exit_code == 0, done.output
    assert "without run_cap, the sweep continues" in done.stdout
    assert f"next: vidcls sweep launch {file}" in done.stdout


def test_nothing_is_queued_on_an_error(here: Experiment, profile: Path) -> None:
    spec = here.spec(data__root="nowhere")
    done = vidcls("train", spec, "--cluster", profile)
    assert done.exit_code == 2
    assert "nothing was queued" in done.stderr
    assert "nowhere does not exist" in done.stderr
    file = Search(here).file(settings={"data__root": "nowhere"})
    done = vidcls("sweep", "launch", file, "--cluster", profile)
    assert done.exit_code == 2
    assert "--no-check" in done.stderr
    assert not Path("runs").exists()
    assert "--no-check: has no effect without --cluster" in vidcls("train", here.spec(), "--no-check").stderr


def test_an_environment_that_only_queues_says_that_it_cannot_check(
    here: Experiment, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = here.spec()
    monkeypatch.setitem(sys.modules, "av", None)
    done = vidcls("train", spec, "--cluster", profile)
    assert done.exit_code == 2
    assert "not installed here, so nothing can be checked: av" in done.stderr
    assert "--no-check" in done.stderr


def test_settings_that_hold_a_mapping_are_looked_at_too(here: Experiment) -> None:
    mirrored = {
        "RedLeft": "RedRight",
        "RedRight": "RedLeft",
        "BlueLeft": "BlueRight",
        "BlueRight": "BlueLeft",
    }
    spec = here.spec(augment__flip=0.5, data__flip_labels=mirrored)
    assert found(ask(spec))["model"].state == "ok"


def test_a_run_of_another_version_does_not_stop_the_look(here: Experiment) -> None:
    spec = here.spec(train__epochs=1)
    run = train_here(spec)
    (run.folder / "spec.yaml").write_text("of: another version\n")
    (run.folder / "status.json").write_text("{}")
    seen = found(ask(spec, "optim.lr=0.01", profile=queued()))
    assert seen["model"].state == "ok"
