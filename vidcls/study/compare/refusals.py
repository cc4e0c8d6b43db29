"""What is no comparison, and what would make it one."""

from __future__ import annotations

from collections.abc import Sequence

from vidcls.choices import Split
from vidcls.errors import UserError
from vidcls.run.folder import Checkpoint, Run
from vidcls.study.configurations import Configuration
from vidcls.study.evidence import Evidence, EvidenceRun, load_evidence


def comparable_evidence(
    runs: Sequence[Run], split: Split, *, checkpoint: Checkpoint, across_data: bool
) -> Evidence:
    """Load the stored logits of runs that may be compared; every study that takes differences begins here.

    Args:
        runs: One or more runs.
        split: Split of the stored logits. A look at test is not recorded here, see `record_looks`.
        checkpoint: Checkpoint of the stored logits.
        across_data: Accept runs of different data that scored the same videos.

    Raises:
        UserError: If a run is not finished, the runs differ in what they were trained on, in the leaks of
            their data, or in their videos, or all videos are of one group; or as for `load_evidence`.
        VidclsError: If a file of a run is damaged.
    """
    for run in runs:
        refuse_unfinished(run)
    joined = [run for run in runs if run.settings(run.provenance())["data"]["join_val"]]
    refuse_mixed_training(joined, [run for run in runs if run not in set(joined)], split)
    evidence = load_evidence(runs, split, checkpoint=checkpoint)
    refuse_mixed_leaks(evidence.runs)
    if not across_data:
        refuse_other_data(evidence.runs)
    refuse_one_group(evidence)
    return evidence


def refuse_single(configurations: Sequence[Configuration]) -> None:
    """Refuse fewer than two configurations.

    Raises:
        UserError: If there is nothing to compare.
    """
    if not configurations:
        raise UserError("no runs to compare", hint="vidcls runs ls lists all runs")
    if len(configurations) < 2:
        only = configurations[0]
        seeds = f"{len(only.seeds)} seeds" if len(only.seeds) > 1 else "one seed"
        raise UserError(
            f"only one configuration, {only.label} with {seeds}, so there is nothing to compare",
            hint="name runs that differ in more than the seed; vidcls runs ls lists all runs",
        )


def refuse_unfinished(run: Run) -> None:
    """Refuse a run whose training has not ended: its score would depend on when it was read.

    Raises:
        UserError: If the run is not finished.
    """
    state = run.state
    if state != "finished":
        raise UserError(
            f"{run.folder}: is not finished ({state}), so it cannot be compared",
            hint=f"the same vidcls train command continues it (its spec is {run.spec_file}); or leave it out",
        )


def refuse_mixed_training(joined: Sequence[Run], others: Sequence[Run], split: Split) -> None:
    """Refuse final runs, which were trained on val too, beside others, and on val.

    Args:
        joined: Runs that were trained on train and val.
        others: The other runs.
        split: Split that is scored.

    Raises:
        UserError: If both kinds are there, or val is scored.
    """
    if joined and split == "val":
        raise UserError(
            f"{joined[0].folder}: was trained on train and val, so val tells nothing about it",
            hint="compare the validated runs; or give --split test for final runs only",
        )
    if joined and others:
        raise UserError(
            f"{joined[0].folder}: was trained on train and val, {others[0].folder} on train alone, so a"
            " difference may come from the data",
            hint="compare validated runs with each other, or final runs (vidcls train SPEC --final) with each"
            " other",
        )


def refuse_mixed_leaks(runs: Sequence[EvidenceRun]) -> None:
    """Refuse a leaky split beside one that is clean or was not audited.

    Raises:
        UserError: If the leak states differ in kind.
    """
    leaky = [each for each in runs if each.leak_state.startswith("leaky")]
    others = [each for each in runs if each not in leaky]
    if not leaky or not others:
        return
    bad, other = leaky[0], others[0]
    hint = "train both on the same split without leaks: `vidcls data split` makes one"
    if other.leak_state == "unknown":
        hint = (
            "`vidcls data audit` on the data of the second tells whether it leaks; or train both on one split"
        )
    state = "not audited" if other.leak_state == "unknown" else other.leak_state
    raise UserError(
        f"{bad.run.folder} was scored on leaky data ({bad.leak_state}), {other.run.folder} on data that is"
        f" {state}: the leak would count as skill",
        hint=hint,
    )


def refuse_other_data(runs: Sequence[EvidenceRun]) -> None:
    """Refuse runs of different data, although they scored the same videos.

    Raises:
        UserError: If the manifests of their data differ.
    """
    first = runs[0]
    other = next((each for each in runs if each.manifest_hash != first.manifest_hash), None)
    if other is not None:
        raise UserError(
            f"{first.run.folder} and {other.run.folder}: were trained on different data, so a difference may"
            " come from the data, not from the configuration",
            hint="train both on the same data; or, where the data is what you compare (more train videos,"
            " frames and flow of the same videos), add --across-data",
        )


def refuse_one_group(evidence: Evidence) -> None:
    """Refuse videos that are all of one group, so that nothing is known of another group.

    Raises:
        UserError: If there is one group only.
    """
    if evidence.num_groups < 2:
        raise UserError(
            f"all {len(evidence.ids)} {evidence.split} videos belong to one group, so nothing is known of"
            " other groups",
            hint=f"vidcls data split makes a split whose {evidence.split} videos come from several groups",
        )
