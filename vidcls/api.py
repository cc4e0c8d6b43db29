"""Functions for notebooks and scripts; the package itself offers them: `vidcls.train`, `vidcls.load`, ...

What is heavy is imported when a function is called, so that `import vidcls` is fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vidcls.predict.predictor import Predictor
    from vidcls.run.folder import Run
    from vidcls.study.compare.results import Comparison


def train(
    spec: str | Path | Mapping[str, Any],
    *settings: str,
    device: str | None = None,
    restart: bool = False,
    accept_code: bool = False,
) -> Run:
    """Train an experiment as `vidcls train` does: an interrupted run is resumed, a finished one is kept.

    `run = vidcls.train("experiments/late_fusion.yaml", "optim.lr=3e-4")`, then `run.status().metrics`.

    Args:
        spec: YAML file, or its content as a mapping.
        settings: Further settings, such as `train.epochs=3`.
        device: `cpu`, `cuda` or `cuda:N`; None for the best available.
        restart: Move an old run aside and start again from the beginning.
        accept_code: Resume although code that computes has changed since the run began.

    Returns:
        The finished run: `run.folder`, `run.status()`, `run.spec()`.

    Raises:
        vidcls.UserError: If the spec, its data or its code have mistakes; all are listed.
        vidcls.VidclsError: If a signal, the disk, the data or the loss stopped the training.
    """
    from vidcls.cli.output.display import open_display
    from vidcls.process.cores import watch_cores
    from vidcls.process.speed import compute_fast
    from vidcls.spec.load import load_content, load_spec

    compute_fast()
    watch_cores()
    loaded = load_content(spec, settings) if isinstance(spec, Mapping) else load_spec(_path(spec), settings)

    from vidcls.training.run_training import Options
    from vidcls.training.run_training import train as train_loaded

    options = Options(device=device, restart=restart, accept_code=accept_code)
    with open_display() as display:
        return train_loaded(loaded, options=options, display=display).run


def load(
    run: str | Path | Run,
    *,
    checkpoint: Literal["best", "last"] = "best",
    device: str | None = None,
    trust_code: bool = False,
) -> Predictor:
    """Load a trained run for prediction: `vidcls.load("runs/x/1234-s0").predict(["a.mp4"])`.

    Args:
        run: Run, or its folder.
        checkpoint: Checkpoint to load.
        device: `cpu`, `cuda` or `cuda:N`; None for the best available.
        trust_code: Run the code of a model that lies in the run's folder, although it is not code of yours.

    Raises:
        vidcls.UserError: If there is no such run, checkpoint or device, or it needs code that is not yours.
    """
    from vidcls.predict.predictor import Predictor
    from vidcls.user_code.trust import trusting

    with trusting(trust_code):
        return Predictor(_opened(run), checkpoint=checkpoint, device=device)


def runs(folder: str | Path = "runs") -> list[dict[str, Any]]:
    """All runs below a folder, a row a run as in `vidcls runs export`: `pandas.DataFrame(vidcls.runs())`.

    Args:
        folder: Folder of runs, or one run.

    Returns:
        Rows with equal keys: run, state, settings, metrics, leak state, data, code and machine. What a run
        does not have is None.

    Raises:
        vidcls.UserError: If there is no run.
        vidcls.VidclsError: If the files of a run are damaged.
    """
    from vidcls.run.find import open_runs
    from vidcls.study.runs_export import ReadRun, runs_rows
    from vidcls.sweep.find import trial_facts

    found = open_runs([_path(folder)])
    return runs_rows([ReadRun.of(run) for run in found], in_sweep=trial_facts(found, say=_warn))


def compare(
    *runs: str | Path | Run,
    split: Literal["val", "test"] = "val",
    checkpoint: Literal["best", "last"] = "best",
    metric: Literal["top1", "mean_class_acc", "macro_f1"] = "top1",
    margin: float | None = None,
    across_data: bool = False,
) -> Comparison:
    """Say which configuration is better, as `vidcls compare` does, from stored predictions.

    `print(vidcls.compare("runs/a", "runs/b").verdict)`. Runs that differ only by their seed are repeats of
    one configuration; nothing is scored.

    Args:
        runs: Runs, folders of runs, configurations (`runs/NAME/FINGERPRINT`), sweeps, or patterns.
        split: Split of the stored predictions; each look at test is recorded in the ledger.
        checkpoint: Checkpoint of the stored predictions.
        metric: Score that decides.
        margin: Difference that does not matter, as a share such as 0.03; None if all do.
        across_data: Compare runs of different data that scored the same videos.

    Returns:
        Comparison: its `verdict`, `remarks`, `configurations` and `differences`; `as_dict()` has all numbers.

    Raises:
        vidcls.UserError: If the runs cannot be compared, with what would make them comparable.
    """
    from vidcls.cli.study.named_runs import chosen_in_sweeps, named_runs
    from vidcls.errors import UserError
    from vidcls.study.compare.of_runs import Request, compare_runs

    for option, given, known in (
        ("split", split, ("val", "test")),
        ("checkpoint", checkpoint, ("best", "last")),
        ("metric", metric, ("top1", "mean_class_acc", "macro_f1")),
    ):
        if given not in known:
            raise UserError(f"{option}: expected one of {', '.join(known)}, got {given!r}")
    if margin is not None and not 0 < margin < 1:
        raise UserError(f"margin: expected a share between 0 and 1, got {margin}", hint="0.03 is 3 points")
    found = named_runs([str(_folder(each)) for each in runs], say=_warn)
    request = Request(
        split=split,
        checkpoint=checkpoint,
        metric=metric,
        margin=margin,
        across_data=across_data,
        chosen=chosen_in_sweeps(found),
    )
    return compare_runs(found, request)


def _folder(run: str | Path | Run) -> Path:
    return _path(run) if isinstance(run, str | Path) else run.folder


def _path(text: str | Path) -> Path:
    from vidcls.errors import UserError
    from vidcls.files import expand_home

    try:
        return Path(expand_home(str(text)))
    except ValueError as error:
        raise UserError(str(error)) from None


def _opened(run: str | Path | Run) -> Run:
    from vidcls.run.find import open_run

    return open_run(_folder(run))


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, stacklevel=3)
