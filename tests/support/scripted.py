"""Trials whose metric follows a script: real processes, messages and leases, but nothing is trained.

What a rule of a search decides (hyperband, ASHA) must not hang on values that rounding, and so the processor,
decides.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any

from vidcls.spec.load import load_spec
from vidcls.sweep.worker.messages import Epoch, TrialOutcome, TrialRequest

METRIC = "train/loss"


def scripted_trial(request: TrialRequest, worker: Connection, alive: Connection) -> None:
    """The first function of a child: after every epoch `train/loss` is the trial's `optim.lr`.

    Like a training it saves where it stopped, and goes on from there.
    """
    spec = load_spec(request.spec_file, request.overrides).spec
    saved = request.log_file.with_name("position.json")
    num_before = json.loads(saved.read_text()) if saved.exists() else 0
    history: list[dict[str, Any]] = [{"epoch": n + 1, METRIC: spec.optim.lr} for n in range(num_before)]
    with request.log_file.open("a") as log:
        print(f"resumed at epoch {num_before + 1}" if num_before else "begun", file=log)
        outcome = None
        while len(history) < spec.train.epochs and outcome is None:
            history.append({"epoch": len(history) + 1, METRIC: spec.optim.lr})
            saved.write_text(json.dumps(len(history)))
            print(f"epoch {len(history)}/{spec.train.epochs}", file=log)
            if len(history) < spec.train.epochs:
                worker.send(Epoch(len(history), history))
                if verdict := worker.recv():
                    outcome = TrialOutcome("stopped", verdict, {"epoch": len(history)})
    metrics = {METRIC: spec.optim.lr}
    facts = {"epoch": len(history), "best_epoch": 1, "metrics": metrics, "history": history}
    worker.send(outcome or TrialOutcome("finished", "", facts))
    worker.close()
