"""A model and a data set of the user's own, in a folder outside the package: all that a run goes through.

Trained, killed, resumed to the bit, swept by a real SLURM while the source is edited, evaluated, exported, and
opened by onnxruntime in an environment without torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import vidcls as library
from tests.support.clusters import launched, profile_file, said, vidcls, wait_until_finished
from tests.support.slurm import Slurm
from tests.support.training import assert_same, train_child, train_here
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.find import find_runs
from vidcls.run.folder import Run

MODEL = '''
"""A network of thirty lines."""

import torch
from torch import nn


class Net(nn.Module):
    """Differences of frames, convolved and pooled, then classified."""

    def __init__(self, num_classes, in_channels, width=8):
        super().__init__()
        self.backbone = Motion(in_channels, width)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, num_classes))

    def forward(self, clip):
        return self.head(self.backbone(clip))


class Motion(nn.Module):
    def __init__(self, in_channels, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(2 * in_channels, width, 3, stride=(1, 2, 2), padding=1),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
        )

    def forward(self, clip):
        return self.layers(torch.cat([clip[:, :, 1:], clip.diff(dim=2)], dim=1)).flatten(1)
'''
DATA = '''
"""A data set of thirty lines: frames of the videos below a folder, as bytes."""

import random
from pathlib import Path

import av
import numpy as np


class Videos:
    def __init__(self, root, split="train", num_frames=4):
        self.split, self.num_frames = split, num_frames
        self.paths = sorted(Path(root).glob(f"videos/{split}/*/*.avi"))
        names = [path.parent.name for path in self.paths]
        self.classes = sorted(set(names))
        self.labels = [self.classes.index(name) for name in names]
        self.groups = [path.stem.rpartition("_")[0] for path in self.paths]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with av.open(self.paths[index]) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        chosen = np.linspace(0, len(frames) - 1, self.num_frames).astype(int)
        clip = np.stack([frames[k][::3, ::3] for k in chosen]).transpose(3, 0, 1, 2)
        if self.split == "train":
            clip = (clip * random.uniform(0.8, 1.0)).astype(np.uint8)
        return clip, self.labels[index]
'''
NEEDED = ("numpy", "numpy.libs", "onnxruntime", "flatbuffers", "google", "packaging")
"""What onnxruntime needs, as it lies among installed packages."""
# In an environment without torch: logits of stored clips.
PROGRAM = """
import json, sys
import numpy as np
import onnxruntime
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    sys.exit("torch is here")
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {session.get_inputs()[0].name: np.load(sys.argv[2])})
np.save(sys.argv[3], logits)
print(json.dumps(session.get_modelmeta().custom_metadata_map))
"""


@pytest.fixture
def folder(tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the user's two files and an experiment; the user has trained with nothing before."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "my_net.py").write_text(MODEL)
    (work / "my_data.py").write_text(DATA)
    assert max(len(text.strip().splitlines()) for text in (MODEL, DATA)) <= 32
    content = {
        "name": "own",
        "data": {"target": "my_data:Videos", "args": {"root": str(demo)}, "workers": 1},
        "clip": {"frames": 4, "size": clip_size(demo)},
        "model": {"kind": "custom", "target": "my_net:Net"},
        "train": {"epochs": 2, "batch_size": 8, "threads": 1, "keep_last": True},
        "tracking": {"mode": "disabled"},
    }
    (work / "own.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return work


def clip_size(demo: Path) -> list[int]:
    import av

    with av.open(next(demo.rglob("videos/val/*/*.avi"))) as video:
        stream = video.streams.video[0]
        return [-(-stream.height // 3), -(-stream.width // 3)]


def in_runs(runs: str, spec: str = "own.yaml") -> Path:
    """The experiment with its runs in a folder of their own."""
    content = yaml.safe_load(Path(spec).read_text())
    path = Path(f"{runs}.yaml")
    path.write_text(yaml.safe_dump({**content, "runs_dir": runs}))
    return path


def test_a_model_and_a_data_set_of_ones_own(folder: Path, slurm: Slurm, tmp_path: Path) -> None:
    whole = train_here(in_runs("whole"))
    killed = in_runs("killed")
    assert train_child(killed, die_at_step=5) == -9
    resumed = train_here(killed)
    assert_same(whole, resumed)
    check_sweep(folder, slurm)
    check_evaluation(resumed)
    check_export(resumed, tmp_path)


def check_sweep(folder: Path, slurm: Slurm) -> None:
    """Its trials train the code that was there at the launch, whatever becomes of it while they wait."""
    content = {
        "method": "grid",
        "metric": {"name": "val/top1", "goal": "maximize"},
        "parameters": {"model.args.width": {"values": [4, 8]}, "data.args.num_frames": {"value": 4}},
        "command": ["vidcls", "train", "own.yaml", "${args}"],
    }
    Path("widths.yaml").write_text(yaml.safe_dump(content))
    profile = profile_file(slurm.profile(memory="2GB"), folder)
    slurm.hold_back(jobs_wait=True)
    sweep = launched(Path("widths.yaml"), profile, "--workers", 1, "--keep", 2)
    for name in ("my_net.py", "my_data.py"):
        Path(name).write_text("raise RuntimeError('edited while the jobs waited')\n")
    slurm.hold_back(jobs_wait=False)
    assert wait_until_finished(sweep)["counts"] == {"finished": 2}
    Path("my_net.py").write_text(MODEL)
    Path("my_data.py").write_text(DATA)
    runs = {run.spec().model.args.get("width"): run for run in find_runs(sweep.runs_dir)}  # type: ignore[union-attr]
    assert runs.keys() == {4, 8}
    for width, run in runs.items():
        spec = in_runs(f"alone-{width}")
        alone = train_here(with_args(spec, width=width))
        assert weights(alone).keys() == weights(run).keys()
        assert all(torch.equal(value, weights(run)[key]) for key, value in weights(alone).items())


def with_args(spec: Path, *, width: int) -> Path:
    content = yaml.safe_load(spec.read_text())
    content["model"]["args"] = {"width": width}
    content["data"]["args"]["num_frames"] = 4
    spec.write_text(yaml.safe_dump(content))
    return spec


def weights(run: Run) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run.checkpoint_file("best"), weights_only=True)["model"]
    return found


def check_evaluation(run: Run) -> None:
    """It is scored with the code that it keeps; test is opened only when it is asked for."""
    status = run.status()
    assert status is not None
    for name in ("my_net.py", "my_data.py"):
        Path(name).rename(f"{name}.away")
    on_val = said("evaluate", run.folder, "--anew")["evaluations"][0]
    assert on_val["metrics"]["val/top1"] == status.metrics["val/top1"]
    assert ledger_of(run).count == 0
    said("evaluate", run.folder, "--split", "test")
    assert ledger_of(run).count == 1
    assert vidcls("mistakes", run.folder).returncode == 0
    for name in ("my_net.py", "my_data.py"):
        Path(f"{name}.away").rename(name)


def check_export(run: Run, tmp_path: Path) -> None:
    """A process that has onnxruntime and no torch computes what the trained model computes."""
    file = tmp_path / "own.onnx"
    done = vidcls("export", run.folder, "--to", "onnx", "--out", file)
    assert done.returncode == 0, done.stderr
    clips = np.random.default_rng(0).normal(size=(3, 3, 4, *run.spec().clip.size)).astype(np.float32)  # type: ignore[misc]
    np.save(tmp_path / "clips.npy", clips)
    python = environment_without_torch(tmp_path / "venv")
    command = [python, "-c", PROGRAM, file, tmp_path / "clips.npy", tmp_path / "logits.npy"]
    opened = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert opened.returncode == 0, opened.stderr
    metadata = json.loads(opened.stdout)
    assert json.loads(metadata["vidcls.classes"]) == list(run.provenance()["classes"])
    with torch.no_grad():
        expected = library.load(run).model(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-4, atol=1e-4)


def environment_without_torch(path: Path) -> Path:
    """An environment that has what onnxruntime needs, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    (packages,) = path.glob("lib/python*/site-packages")
    for name in NEEDED:
        installed = Path(sysconfig.get_path("purelib")) / name
        if installed.exists():
            (packages / name).symlink_to(installed)
    return path / "bin" / "python"
