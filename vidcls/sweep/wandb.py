"""The sweep engine that is Weights & Biases: its server searches, its agents run `vidcls train`.

`python -m vidcls.sweep.wandb ID` is an agent for a batch queue. On the queue's warning it ends its training
by a preemption, so that the server hands the trial out again, starts no other, and exits 75: requeue me.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.sweep.space.space import overrides
from vidcls.tracking.limits import SERVICE, limit_s
from vidcls.tracking.patient_client import wait_for_sessions

_WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
_ENDS = (signal.SIGTERM, signal.SIGINT)
_CREATED = re.compile(r"wandb agent (\S+/\S+/\S+)")
_CLIENT = (sys.executable, "-m", "vidcls.tracking.patient_client")
_SWEEP = re.compile(r"[\w.-]+/[\w.-]+/[\w-]+")


def create_sweep(file: Path, *, project: str | None = None, entity: str | None = None) -> str:
    """Give a sweep file to the server, as `wandb sweep` does.

    Args:
        file: A W&B sweep file.
        project: Instead of the file's.
        entity: Instead of the file's, or of whoever is logged in.

    Returns:
        The sweep as `entity/project/id`, which any agent takes.

    Raises:
        VidclsError: If the server cannot be reached or refuses it, with its own words.
    """
    where = [f"--{name}={value}" for name, value in (("project", project), ("entity", entity)) if value]
    command = [*_CLIENT, "sweep", *where, str(file)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(), check=False
    )
    found = _CREATED.search(done.stderr) or _CREATED.search(done.stdout)
    if done.returncode or found is None:
        words = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-5:])
        hint = "log in with `wandb login`; without a server: --engine serverless"
        raise VidclsError(f"{file}: Weights & Biases made no sweep of it:\n{words}", hint=hint)
    return found[1]


def agent_command(sweep: str, *, count: int | None = None) -> tuple[str, ...]:
    """The command of a job, or of each task of an array, that works on a sweep.

    Args:
        sweep: Sweep that `create_sweep` gave.
        count: How many trials it does at most; until the sweep is done if unset.

    Raises:
        UserError: If that is no sweep.
    """
    if not _SWEEP.fullmatch(sweep):
        raise UserError(f"{sweep}: not a sweep", hint="write it as ENTITY/PROJECT/ID, as `wandb sweep` does")
    limit = () if count is None else ("--count", str(count))
    # -P: an array's agents run the code that was frozen for them, not what lies in the working folder.
    return (sys.executable, "-P", "-m", "vidcls.sweep.wandb", sweep, *limit)


def run_agent(sweep: str, *, count: int | None = None) -> ExitCode:
    """Work on a sweep until it is done, or until the queue wants the machine back.

    Must be called in the main thread.

    Returns:
        75 after a warning (USR1, USR2), 1 after TERM or INT or if the agent failed, else 0.
    """
    limit = [] if count is None else ["--count", str(count)]
    # A shell that started this in the background has INT ignored, which the agent would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A training hears pending warnings as soon as it listens; while it still starts they would kill it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WARNINGS)
    command = [*_CLIENT, "agent", *limit, sweep]
    agent = subprocess.Popen(command, env=_environment())
    awaited = (*_WARNINGS, *_ENDS, signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    code, asked = ExitCode.DONE, set[str]()
    while agent.poll() is None:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            code = ExitCode.REQUEUE if number in _WARNINGS else ExitCode.FAILED
            asked |= _preempt(agent)
    for run_id in asked:
        _hand_back(sweep, run_id)
    return code or (ExitCode.FAILED if agent.returncode else ExitCode.DONE)


def _preempt(agent: subprocess.Popen[bytes]) -> set[str]:
    """Have the training save and the agent end with it, starting no other.

    Returns:
        Ids, on the server, of the trials that were trained; there is one, or none.
    """
    agent.send_signal(signal.SIGINT)
    asked = set()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(agent.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name().startswith("wandb"):  # the client's own service is needed to the end
                    continue
                child.send_signal(signal.SIGUSR1)
                asked.add(child.environ().get("WANDB_RUN_ID", ""))
    return asked - {""}


def _hand_back(sweep: str, run_id: str) -> None:
    """Mark a trial as preempted that ended without a word, such as one that was still preparing its data."""
    entity, project, sweep_id = sweep.split("/")
    sweep_env = {"WANDB_SWEEP_ID": sweep_id, "WANDB_ENTITY": entity, "WANDB_PROJECT": project}
    # The client reads these once, when it is first used.
    os.environ.update(sweep_env, WANDB_RUN_ID=run_id)
    import wandb

    wait_for_sessions()
    try:
        state = wandb.Api().run(f"{entity}/{project}/{run_id}").state
    except (ValueError, wandb.errors.CommError):  # it was never begun
        state = "pending"
    if state not in ("pending", "running"):
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
        run = wandb.init(mode="online", resume="allow", dir=folder, settings=settings)
        run.mark_preempting()
        run.finish(exit_code=int(ExitCode.REQUEUE))


def point_overrides() -> list[str]:
    """Inside `wandb.agent(ID, function=...)`: the point to train, as overrides of a spec.

    Raises:
        UserError: Outside of it.
    """
    path = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if path is None:
        raise UserError("no point of a sweep: this is for a function that `wandb.agent` runs")
    import yaml

    content: Mapping[str, object] = yaml.safe_load(Path(path).read_bytes())
    point = {key: entry["value"] for key, entry in content.items() if isinstance(entry, dict)}
    return list(overrides(point))


def _environment() -> dict[str, str]:
    """This one, with the `vidcls` and `python` of this installation first: a sweep's command names them."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    # A service of another client, which may be gone.
    kept = {name: v for name, v in os.environ.items() if name != "WANDB_SERVICE"}
    return {SERVICE: f"{limit_s(SERVICE):g}", **kept, "PATH": path}


def _main() -> int:
    parser = argparse.ArgumentParser(description="Work on a W&B sweep as a job of a batch queue.")
    parser.add_argument("sweep", metavar="ENTITY/PROJECT/ID")
    parser.add_argument("--count", type=int, help="do at most so many trials")
    args = parser.parse_args()
    return run_agent(args.sweep, count=args.count)


if __name__ == "__main__":
    sys.exit(_main())
