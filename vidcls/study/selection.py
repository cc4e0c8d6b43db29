"""What choosing the best run or configuration on a split flatters, from stored logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vidcls.choices import Split
from vidcls.errors import VidclsError
from vidcls.run.folder import Checkpoint, Run
from vidcls.statistics.scores import SCORES, Answers
from vidcls.statistics.selection import Selection, selection_of
from vidcls.study.evidence import load_evidence


def selection_among(
    configurations: Sequence[Sequence[Run]],
    split: Split,
    *,
    checkpoint: Checkpoint,
    score: str,
    num: int,
) -> Selection:
    """What the choice of the configuration with the best mean flatters.

    Args:
        configurations: Runs of each configuration, or of a part of them.
        split: Split on which the choice was made.
        checkpoint: Checkpoint that was scored.
        score: Score by which it was made, a name in `SCORES`.
        num: Number of configurations among which the choice was made.

    Raises:
        VidclsError: If the logits of the runs are not stored or cannot be compared, or there is too little
            to tell.
    """
    if len(configurations) < 2:
        raise VidclsError("only one of them has stored logits")
    evidence = load_evidence([run for runs in configurations for run in runs], split, checkpoint=checkpoint)
    if evidence.num_groups < 2:
        raise VidclsError(f"all {split} videos are of one group")
    member = [number for number, runs in enumerate(configurations) for _ in runs]
    answers = Answers.of(evidence.logits, evidence.labels)
    statistic = SCORES[score](answers, evidence.groups)
    seeds = [run.seed for run in evidence.runs]
    return selection_of(statistic, member, seeds=seeds, num_configurations=num)


def as_dict(selection: Selection) -> dict[str, Any]:
    """Selection as plain values for JSON, in the unit of the score; shares are 0 to 1."""
    return {
        "num_configurations": selection.num_configurations,
        "spread": selection.spread,
        "flattery": selection.flattery,
        "num_single": selection.num_single,
    }
