"""Keys of the rows of `metrics.jsonl`, and what they mean."""

from __future__ import annotations

EPOCH_METRICS = {
    "train/loss": "Mean loss of the training clips, as it is minimised (with label smoothing, if set).",
    "train/top1": "Share of training clips whose class ranks first; of a mix, that of the larger share.",
    "val/loss": "Mean cross entropy of the val videos in nats, without label smoothing.",
    "val/top1": "Share of val videos whose true class ranks first. It chooses the best epoch.",
    "val/top5": "Share of val videos whose true class is among the first five.",
    "val/macro_f1": "Mean of F1 over the classes that have a val video.",
    "val/mean_class_acc": "Mean over classes of the share of correct val videos.",
}
"""Metrics of the row of an epoch, which a sweep can optimise; those of val are absent if there is no val."""

OTHER_KEYS = {
    "kind": "`epoch` for the row of an epoch, `step` for the row of a step.",
    "epoch": "Number of the epoch, counted from 1.",
    "step": "Number of training steps so far.",
    "time": "Time of the row, in seconds since 1970; only of an epoch.",
    "clips_per_s": "Training clips per second in this epoch.",
    "waiting_s": "Seconds in which the training waited for clips in this epoch.",
    "resident_mib": "Memory of the training process in MiB.",
    "overflow_steps": "Number of steps that fp16 left out in this epoch, because a gradient was too large.",
    "train/step_loss": "Loss of one step.",
    "lr": "Learning rate of the step; `optim.layer_decay` lowers it for the stages of a backbone.",
    "grad_norm": "Norm of the gradient of the step, before it is clipped.",
}
"""Other keys of a row."""
