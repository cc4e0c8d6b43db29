"""The public functions: what they do, and that they do not change unnoticed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import vidcls
from tests.support.training import Experiment
from vidcls.run.folder import Run

SIGNATURES = """\
compare(*runs: 'str | Path | Run', split: "Literal['val', 'test']" = 'val', checkpoint: "Literal['best', 'last']" = 'best', metric: "Literal['top1', 'mean_class_acc', 'macro_f1']" = 'top1', margin: 'float | None' = None, across_data: 'bool' = False) -> 'Comparison'
load(run: 'str | Path | Run', *, checkpoint: "Literal['best', 'last']" = 'best', device: 'str | None' = None, trust_code: 'bool' = False) -> 'Predictor'
runs(folder: 'str | Path' = 'runs') -> 'list[dict[str, Any]]'
train(spec: 'str | Path | Mapping[str, Any]', *settings: 'str', device: 'str | None' = None, restart: 'bool' = False, accept_code: 'bool' = False) -> 'Run'
"""
MEMBERS = {
    "Comparison": {
        "as_dict",
        "checkpoint_pairs",
        "class_pair",
        "classes",
        "configurations",
        "differences",
        "ground",
        "looks",
        "margin",
        "metric",
        "num_comparisons",
        "remarks",
        "unscored",
        "verdict",
    },
    "Predictor": {"classes", "clip", "model", "predict", "refuse_own_dataset", "score_clips"},
    "Prediction": {"classes", "error", "label", "logits", "name", "of", "path", "probabilities"},
}
"""A change here is a change for everybody's notebooks: say it in the commit."""


def public(cls: type) -> set[str]:
    names = {*dir(cls), *getattr(cls, "__dataclass_fields__", {})}
    return {name for name in names if not name.startswith("_")}


def test_what_is_public_does_not_change_unnoticed() -> None:
    from vidcls.predict.prediction import Prediction
    from vidcls.predict.predictor import Predictor
    from vidcls.study.compare.results import Comparison

    functions = [name for name in vidcls.__all__ if inspect.isfunction(getattr(vidcls, name))]
    assert set(vidcls.__all__) - set(functions) == {"UserError", "VidclsError"}
    found = "".join(f"{name}{inspect.signature(getattr(vidcls, name))}\n" for name in functions)
    assert found == SIGNATURES
    assert {cls.__name__: public(cls) for cls in (Comparison, Predictor, Prediction)} == MEMBERS
    assert all(inspect.getdoc(getattr(vidcls, name)) for name in vidcls.__all__)


def test_no_room_takes_the_name_of_a_function() -> None:
    """A module `vidcls.train` would replace the function when it is first imported."""
    rooms = {path.stem for path in Path(vidcls.__file__).parent.iterdir()}
    assert not rooms & set(vidcls.__all__)


def test_the_package_is_imported_without_what_is_heavy() -> None:
    heavy = "torch numpy pydantic wandb typer rich"
    code = f"import sys, vidcls; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.decoded
def test_a_notebook(experiment: Experiment) -> None:
    file = experiment.spec(train__epochs=2)
    run = vidcls.train(file, "optim.lr=0.003")
    assert isinstance(run, Run)
    assert run.spec().optim.lr == 0.003
    again = vidcls.train(yaml.safe_load(file.read_text()), "optim.lr=0.003", device="cpu")
    assert again.folder == run.folder
    other = vidcls.train(file, "optim.lr=0.001")
    assert other.folder != run.folder
    rows = {Path(row["run"]): row for row in vidcls.runs(experiment.folder / "runs")}
    assert rows.keys() == {run.folder, other.folder}
    status = run.status()
    assert status is not None
    assert rows[run.folder]["val/top1"] == status.metrics["val/top1"]
    assert (rows[run.folder]["optim.lr"], rows[other.folder]["optim.lr"]) == (0.003, 0.001)
    comparison = vidcls.compare(run, other.folder)
    assert [one.scores["top1"].value for one in comparison.configurations] == [
        rows[f]["val/top1"] for f in (run.folder, other.folder)
    ]
    assert vidcls.compare(other, run.folder).differences[0].p_holm == comparison.differences[0].p_holm
    video = next(experiment.data.rglob("val/*/*.avi"))
    (prediction,) = vidcls.load(run).predict(video)
    assert prediction.label in vidcls.load(str(run.folder)).classes


def test_mistakes_are_errors_of_one_kind(experiment: Experiment) -> None:
    with pytest.raises(vidcls.UserError, match=r"spec:\d+: model.kind: .* did you mean cnn3d\?"):
        vidcls.train({"name": "x", "model": {"kind": "cnn33"}})
    for function in (vidcls.train, vidcls.load, vidcls.runs, vidcls.compare):
        with pytest.raises(vidcls.UserError, match=r"there is no user ~?nobody-here"):
            function("~nobody-here/x")
    with pytest.raises(vidcls.UserError, match="no such file"):
        vidcls.train(experiment.folder / "none.yaml")
    with pytest.raises(vidcls.UserError, match="not a run"):
        vidcls.load(experiment.folder)
    wrong: Any = "loss"
    with pytest.raises(
        vidcls.UserError, match="metric: expected one of top1, mean_class_acc, macro_f1, got 'loss'"
    ):
        vidcls.compare(experiment.folder, metric=wrong)
    with pytest.raises(vidcls.UserError, match="no run, configuration, sweep or folder of runs"):
        vidcls.compare(experiment.folder)
    with pytest.raises(vidcls.UserError, match="not a run"):
        vidcls.runs(experiment.folder)
