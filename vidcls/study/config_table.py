"""Configurations of runs with the mean of their stored val results, its interval, seeds and leak state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidcls.errors import VidclsError
from vidcls.run.folder import Run
from vidcls.spec.show import flatten
from vidcls.statistics.crossed_effects import CrossedEffects
from vidcls.statistics.estimate import Estimate
from vidcls.statistics.scores import Answers, top1
from vidcls.study.configurations import Configuration, grouped
from vidcls.study.evidence import Evidence, load_evidence
from vidcls.study.intervals import ends


@dataclass(frozen=True)
class ConfigurationResult:
    """Val top-1 of a configuration, from the stored logits of the best checkpoints of its runs.

    Attributes:
        configuration: Configuration with the runs whose logits are stored.
        evidence: Their logits.
        top1: Mean over the seeds with its interval; None if all videos are of one group, which tells nothing
            about other groups.
        mean: Mean over the seeds.
    """

    configuration: Configuration
    evidence: Evidence
    top1: Estimate | None
    mean: float

    @property
    def is_of_one_checkpoint(self) -> bool:
        """Whether there is only one seed, so that the interval is about this checkpoint only."""
        return len(self.configuration.runs) == 1

    def as_dict(self) -> dict[str, Any]:
        """Result as plain values for JSON."""
        evidence = self.evidence
        low, high = (None if self.top1 is None else ends(self.top1, least=0.0)) or (None, None)
        return {
            "configuration": self.configuration.label,
            "fingerprint": self.configuration.key,
            "num_seeds": len(self.configuration.seeds),
            "val_top1": self.mean,
            "low": low,
            "high": high,
            "one_checkpoint_only": self.is_of_one_checkpoint,
            "leak_state": ", ".join(dict.fromkeys(run.leak_state for run in evidence.runs)),
            "num_videos": len(evidence.ids),
            "num_groups": evidence.num_groups if evidence.unit == "groups" else None,
            "num_ungrouped": evidence.num_ungrouped,
            "seeds": list(self.configuration.seeds),
            "runs": [str(run.folder) for run in self.configuration.runs],
        }

    def settings(self) -> Mapping[str, Any]:
        """Settings that its runs share, by dotted name."""
        run = self.configuration.runs[0]
        return {k: v for k, v in flatten(run.settings(run.provenance())).items() if k != "seed"}


def results_by_configuration(runs: Sequence[Run]) -> tuple[list[ConfigurationResult], dict[Run, str]]:
    """Val results of the configurations of runs, in the order of their first appearance.

    Args:
        runs: Runs in any state, whose files are intact.

    Returns:
        Results of the finished runs, and why runs are left out.

    Raises:
        VidclsError: If a file of a run is damaged, or of another version of vidcls.
    """
    left_out: dict[Run, str] = {}
    scored = []
    for run in runs:
        if not run.predictions_file("val", "best").is_file():
            left_out[run] = f"no stored val predictions of its best checkpoint: {run.state}"
        elif run.state != "finished":
            # Its score depends on when it is read, and is of fewer epochs than those of the other seeds.
            left_out[run] = f"not finished: {run.state}"
        else:
            scored.append(run)
    configurations, repeated = grouped(scored)
    left_out |= {run: f"the same configuration and seed as {other.folder}" for run, other in repeated.items()}
    found = []
    for configuration in configurations:
        try:
            evidence = load_evidence(configuration.runs, "val", checkpoint="best")
        except VidclsError as error:
            left_out |= dict.fromkeys(configuration.runs, error.message)
            continue
        found.append(_result(configuration, evidence))
    return found, left_out


def _result(configuration: Configuration, evidence: Evidence) -> ConfigurationResult:
    answers = Answers.of(evidence.logits, evidence.labels)
    found = None
    if evidence.num_groups > 1:
        found = CrossedEffects.of(top1(answers, evidence.groups), [0] * len(evidence.runs)).mean(0)
    return ConfigurationResult(configuration, evidence, found, float(answers.correct.mean()))
