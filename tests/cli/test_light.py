"""A request that cannot be done is refused before anything heavy is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.scored import make_run

REFUSED = [
    ["evaluate", "runs/nothing"],
    ["evaluate", "RUN"],
    ["evaluate", "runs/nothing", "--split", "test"],
    ["predict", "runs/nothing", "x.mp4"],
    ["predict", "RUN", "nothing.mp4"],
    ["predict", "RUN", "spec.yaml"],
    ["predict", "nothing.onnx", "spec.yaml"],
    ["export", "runs/nothing", "--to", "onnx"],
    ["export", "RUN", "--to", "onnx"],
    ["fuse", "runs/nothing", "runs/other"],
    ["fuse", "RUN"],
    ["mistakes", "runs/nothing"],
    ["mistakes", "RUN"],
    ["mistakes", "RUN", "--out", "x.gif"],
    ["power", "--difference", "5"],
    ["power", "--difference", "5", "runs/nothing"],
    ["power", "--difference", "5", "RUN"],
    ["train", "nothing.yaml"],
    ["train", "spec.yaml", "data.root=no/such/data"],
    ["train", "spec.yaml", "data.root=no/such/data", "--dry-run"],
    ["leak", "nothing.yaml"],
    ["leak", "spec.yaml", "data.root=no/such/data"],
    ["crossval", "nothing.yaml"],
    ["crossval", "spec.yaml", "nothing.yaml"],
    ["crossval", "spec.yaml", "data.root=no/such/data"],
    ["check", "nothing.yaml"],
    ["model", "show", "nothing.yaml"],
    ["spec", "check", "nothing.yaml"],
    ["spec", "diff", "spec.yaml", "runs/nothing"],
    ["runs", "ls", "runs/nothing"],
    ["runs", "show", "runs/nothing"],
    ["runs", "export", "runs/nothing"],
    ["runs", "export", "RUN", "--to", "parquet"],
    ["runs", "export", "RUN", "--per-video"],
    ["explain", "nothing"],
    ["sync", "runs/nothing"],
    ["data", "scan", "nothing"],
    ["data", "scan", "nothing:Here"],
    ["data", "doctor", "nothing:Here"],
    ["train", "spec.yaml", "data.target=nothing:Here"],
    ["data", "check", "nothing"],
    ["data", "audit", "nothing"],
    ["data", "split", "nothing", "--out", "x.csv"],
    ["sweep", "check", "nothing.yaml"],
    ["sweep", "launch", "nothing.yaml"],
    ["sweep", "status", "runs/nothing"],
    ["sweep", "best", "runs/nothing"],
    ["init", "new", "--data", "nothing"],
]
PROGRAM = """\
import json, sys
from typer.testing import CliRunner
from vidcls.cli import app
for words in json.load(sys.stdin):
    done = CliRunner().invoke(app, words)
    heavy = [name for name in ("torch", "wandb", "matplotlib", "pyarrow", "sklearn") if name in sys.modules]
    print(json.dumps([words, done.exit_code, heavy, done.output]), flush=True)
"""


def test_what_is_not_there_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: x\nmodel: {kind: cnn3d}\n")
    run = make_run(tmp_path, name="some")
    words = [[str(run.folder) if word == "RUN" else word for word in line] for line in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(words), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line[0] for line in said] == words
    wrong = [line for line in said if line[1:3] != [2, []] or "Traceback" in line[3]]
    assert not wrong
