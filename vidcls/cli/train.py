"""`vidcls train`: trains an experiment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from vidcls.cli.common import AsJson, DataFile, SpecArgs, echo, load_one, print_json, refuse_missing_data
from vidcls.cli.queue.preflight import NoCheck, look_before_queueing, refuse_without_cluster, require_all
from vidcls.cli.queue.queued import Cluster, as_words, queue_command
from vidcls.cli.queue.trainings import AcceptCode, Device, queued_training, refuse_other_data
from vidcls.process.cores import watch_cores

if TYPE_CHECKING:
    from vidcls.launch.job import Job
    from vidcls.launch.queue import AnyProfile
    from vidcls.spec.load import LoadedSpec
    from vidcls.training.run_training import TrainingOutcome
    from vidcls.training.session import Display


Restart = Annotated[
    bool, typer.Option("--restart", help="Move the old run aside and start again from the beginning.")
]
Try = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Try one batch without making a run. With --cluster: only print the script of the job.",
    ),
]
Final = Annotated[
    bool,
    typer.Option(
        "--final",
        help="Train NAME-final on train and val, for as many epochs as the finished run of the same "
        "experiment found best. It is not validated.",
    ),
]
Submitted = Annotated[
    str | None, typer.Option(hidden=True, help="Fingerprint of the experiment that was queued.")
]


def train(
    args: SpecArgs,
    data_file: DataFile = None,
    device: Device = None,
    restart: Restart = False,
    accept_code: AcceptCode = False,
    dry_run: Try = False,
    final: Final = False,
    cluster: Cluster = None,
    no_check: NoCheck = False,
    as_json: AsJson = False,
    fingerprint: Submitted = None,
) -> None:
    """Train an experiment. The same command resumes an interrupted run, or reports that it is finished.

    Exit codes: 0 done, 1 failed or interrupted, 2 a mistake in the request, 75 saved, to be queued again.
    """
    watch_cores()
    loaded = load_one(args, data_file)
    if final:
        require_all()
        from vidcls.campaign.final import final_settings

        with loaded.error_context():
            args = [*args, *final_settings(loaded.spec)]
        loaded = load_one(args, data_file)
    if cluster is not None:
        flags = as_words({"--device": device, "--restart": restart, "--accept-code": accept_code})
        job = queued_training(loaded, flags, cluster=cluster, look=not (no_check or dry_run))
        check = None if no_check else partial(_check, loaded, begins_anew=restart or accept_code)
        queue_command(job, dry_run=dry_run, as_json=as_json, check=check)
        return
    refuse_without_cluster(no_check)
    refuse_missing_data(loaded)
    if fingerprint is not None:
        refuse_other_data(loaded, fingerprint)

    from vidcls.cli.output.display import open_display
    from vidcls.leaks.run_state import leaks_of
    from vidcls.training.run_training import Options, train

    options = Options(device=device, restart=restart, accept_code=accept_code)
    with open_display() as display:
        if dry_run:
            _try_once(loaded, device, display)
            return
        outcome = train(loaded, options=options, display=display)
    _show(outcome, leak_state=str(leaks_of(outcome.run)), as_json=as_json)


def _try_once(loaded: LoadedSpec, device: str | None, display: Display) -> None:
    from vidcls.campaign.dry_run import dry_run  # it counts operations, which takes a second to load

    for line in dry_run(loaded, device=device, display=display):
        echo(line)


def _show(outcome: TrainingOutcome, *, leak_state: str, as_json: bool) -> None:
    run, status = outcome.run, outcome.run.status()
    assert status is not None
    if as_json:
        said = {"run": str(run.folder), "best_epoch": status.best_epoch, "metrics": status.metrics}
        print_json({**said, "leak_state": leak_state})
        return
    if outcome.already_finished:
        echo(f"{run.folder}: finished already; --restart trains it again from the beginning")
    if run.spec().data.join_val:
        echo(f"trained on train and val for {status.epoch} epochs, unvalidated  {run.folder}")
        if outcome.has_test:
            echo(f"next: vidcls evaluate {run.folder} --split test   opens the sealed test split")
        else:
            echo(f"next: vidcls predict {run.folder} VIDEO   (this data has no test split)")
        return
    top1 = status.metrics["val/top1"]
    at = f"at epoch {status.best_epoch}/{status.num_epochs}"
    echo(f"best val top-1 {top1:.1%} (leak state: {leak_state}) {at}  {run.folder}")
    echo(f"next: vidcls evaluate {run.folder}   or look at {run.folder}/report/")


def _check(loaded: LoadedSpec, profile: AnyProfile, job: Job, *, begins_anew: bool) -> None:
    require_all()
    from vidcls.campaign.preflight.check import ask_for_spec

    look_before_queueing(ask_for_spec(loaded, profile=profile, job=job, begins_anew=begins_anew))
