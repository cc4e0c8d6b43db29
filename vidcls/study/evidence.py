"""Evidence of a study: stored logits of several runs for the same videos, in one order.

What is read are the files of predictions, with the groups of the videos, and the provenance of each run;
never the videos, their manifest or a model. So a thousand runs take seconds. What cannot be compared is
refused, with both runs and what would make it comparable.

Axes: R runs, N videos, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vidcls.arrays import Ints
from vidcls.choices import Split
from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.ledger import ledgers_of
from vidcls.evaluate.predictions import Predictions, load_predictions
from vidcls.evaluate.stored import is_of_earlier_epoch, stored_predictions
from vidcls.leaks.run_state import recorded_leaks
from vidcls.run.folder import Checkpoint, Run
from vidcls.study.configurations import configuration_key

Unit = Literal["groups", "videos"]
_SAME_DATA = "name runs with the same videos and splits; vidcls runs show RUN shows them"


@dataclass(frozen=True)
class EvidenceRun:
    """Run, and what must stand beside its numbers.

    Attributes:
        run: Run.
        configuration: Key of its configuration, the spec without the seed: the fingerprint.
        name: Name of its experiment.
        seed: Its seed.
        manifest_hash: Hash of the manifest of the data on which it was trained.
        leak_state: Leak state of that data, for the split.
    """

    run: Run
    configuration: str
    name: str
    seed: int
    manifest_hash: str
    leak_state: str

    @classmethod
    def of(cls, run: Run, split: Split) -> EvidenceRun:
        """Read what is known of a run.

        Raises:
            VidclsError: If a file of the run is damaged, or of another version of vidcls.
        """
        provenance = run.provenance()
        settings: Mapping[str, Any] = run.settings(provenance)
        leaks = recorded_leaks(provenance, joined=settings["data"]["join_val"])
        return cls(
            run=run,
            configuration=configuration_key(run),
            name=settings["name"],
            seed=settings["seed"],
            manifest_hash=provenance["manifest"]["hash"],
            leak_state=leaks.of_split(split),
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """Logits of R runs for the same N videos in the same order.

    Attributes:
        runs: The runs.
        split: Split of the videos.
        checkpoint: Checkpoint of the runs.
        groups: Name of the group of each video, never empty: a video whose group is not known is a group of
            its own, named by its id.
        unit: `groups`; `videos` if no group is known, so that each video is its own.
        num_ungrouped: Number of videos whose group is not known.
        predictions: Predictions of each run, with the videos in the order of the first run.
    """

    runs: tuple[EvidenceRun, ...]
    split: Split
    checkpoint: Checkpoint
    groups: tuple[str, ...]
    unit: Unit
    num_ungrouped: int
    predictions: tuple[Predictions, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the videos, in the order of the manifest of the first run."""
        return self.predictions[0].ids

    @property
    def labels(self) -> Ints:
        """True class of each video, `[N]`."""
        return self.predictions[0].labels

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.predictions[0].classes

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """Logits `[R, N, K]`."""
        return np.stack([each.logits for each in self.predictions])

    @property
    def num_groups(self) -> int:
        """Number of groups; of videos, if no group is known."""
        return len(set(self.groups))

    @property
    def unscored(self) -> dict[str, str]:
        """Reason why a video of the split has no logits, by id; no run has scored it."""
        return {name: why for each in self.predictions for name, why in each.unscored.items()}


def load_evidence(runs: Sequence[Run], split: Split, *, checkpoint: Checkpoint) -> Evidence:
    """Load the stored logits of runs for a split, with the videos in the order of the first run.

    Videos are matched by id, split and label, not by the content that was read: one run may have used the
    frames and another one the flow of the same videos. A look at the test split is not recorded here: call
    `record_looks` before anything of it is shown.

    Args:
        runs: One or more runs.
        split: Split that was scored.
        checkpoint: Checkpoint of the logits.

    Raises:
        UserError: If logits are not stored, or are of earlier weights (with the command to create them), or
            videos, classes, labels or groups differ.
        VidclsError: If a file is damaged, or holds logits that are not finite.
    """
    found = [_stored(run, split, checkpoint) for run in runs]
    for each, run in zip(found, runs, strict=True):
        _refuse_other_videos(each, found[0], names=(str(run.folder), str(runs[0].folder)))
    ordered = [_ordered(each, found[0].ids) for each in found]
    groups, num_ungrouped = _groups(ordered, runs)
    return Evidence(
        runs=tuple(EvidenceRun.of(run, split) for run in runs),
        split=split,
        checkpoint=checkpoint,
        groups=groups,
        unit="videos" if num_ungrouped == len(groups) else "groups",
        num_ungrouped=num_ungrouped,
        predictions=tuple(ordered),
    )


def record_looks(runs: Sequence[Run], split: Split, *, checkpoint: Checkpoint) -> None:
    """Record in the ledger that stored test results of runs are looked at again; of other splits, nothing.

    Raises:
        VidclsError: If a look cannot be recorded; then nothing may be shown.
    """
    if split == "test":
        for ledger, its_runs in ledgers_of(runs):
            ledger.append_all([str(run.folder) for run in its_runs], checkpoint=checkpoint, repeated=True)


def _stored(run: Run, split: Split, checkpoint: Checkpoint) -> Predictions:
    file = run.predictions_file(split, checkpoint)
    command = f"vidcls evaluate {run.folder} --split {split} --checkpoint {checkpoint}"
    try:
        stored_at = file.stat().st_mtime_ns
    except FileNotFoundError:
        raise UserError(
            f"{run.folder}: no {split} logits of its checkpoint {checkpoint!r} are stored", hint=command
        ) from None
    # Weights that are older than their logits are not read: the digests of all weights would take minutes.
    # Copies and archives may give both the same time.
    if _written_at(run, checkpoint) >= stored_at and stored_predictions(run, split, checkpoint) is None:
        raise UserError(
            f"{run.folder}: its stored {split} logits are not of its present checkpoint {checkpoint!r}",
            hint=command,
        )
    found = load_predictions(file)
    if (found.split, found.checkpoint) != (split, checkpoint):
        raise VidclsError(
            f"{file}: holds {found.split} logits of a checkpoint {found.checkpoint!r}", hint=command
        )
    if is_of_earlier_epoch(run, checkpoint, found.epoch):
        raise UserError(
            f"{run.folder}: its stored {split} logits of its checkpoint {checkpoint!r} are of epoch"
            f" {found.epoch}, and the weights of a later one were not kept",
            hint="train.keep_last=true and another seed or name keep the last weights; or compare the best"
            " checkpoints",
        )
    return found


def _written_at(run: Run, checkpoint: Checkpoint) -> int:
    """Time at which a checkpoint was written, in ns; 0 if its weights are not there any more."""
    try:
        return run.checkpoint_file(checkpoint).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _refuse_other_videos(each: Predictions, first: Predictions, *, names: tuple[str, str]) -> None:
    name, other = names
    if not each.ids:
        raise UserError(f"{name}: none of its {each.split} videos could be scored")
    if each.classes != first.classes:
        raise UserError(f"{name}: was not trained on the classes of {other}", hint=_SAME_DATA)
    differing = sorted(_listed(each) ^ _listed(first))
    if differing and each.manifest_hash != first.manifest_hash:
        raise UserError(
            f"{name}: was not trained on the data of {other}: the videos in {each.split} differ,"
            f" {differing[0]} among them",
            hint=_SAME_DATA,
        )
    if differing := sorted(set(each.ids) ^ set(first.ids)):
        raise UserError(
            f"{name} and {other} did not score the same {each.split} videos: {len(differing)} differ,"
            f" {differing[0]} among them",
            hint=f"vidcls evaluate {name} {other} --split {each.split} --checkpoint {each.checkpoint} --anew"
            " scores both again and shows why",
        )
    labels = dict(zip(first.ids, first.labels.tolist(), strict=True))
    own = zip(each.ids, each.labels.tolist(), strict=True)
    if differing := sorted(key for key, label in own if labels[key] != label):
        raise UserError(
            f"{name}: was not trained on the data of {other}: {differing[0]} is of another class there",
            hint=_SAME_DATA,
        )
    if not np.isfinite(each.logits).all():
        raise VidclsError(
            f"{name}: its {each.split} logits are not finite, because its training diverged",
            hint="leave out this run",
        )


def _listed(predictions: Predictions) -> set[str]:
    """Ids of the videos of a split, scored or not."""
    return {*predictions.ids, *predictions.unscored}


def _ordered(predictions: Predictions, ids: tuple[str, ...]) -> Predictions:
    if predictions.ids == ids:
        return predictions
    row_of = {name: row for row, name in enumerate(predictions.ids)}
    rows = [row_of[name] for name in ids]
    return replace(
        predictions,
        ids=ids,
        labels=predictions.labels[rows],
        groups=tuple(predictions.groups[row] for row in rows),
        views=predictions.views[rows],
        logits=predictions.logits[rows],
    )


def _groups(found: Sequence[Predictions], runs: Sequence[Run]) -> tuple[tuple[str, ...], int]:
    """Group of each video, from all runs that know it, and the number of videos of which none does."""
    ids = found[0].ids
    known: dict[str, tuple[str, Run]] = {}
    seen: set[tuple[str, ...]] = set()
    for each, run in zip(found, runs, strict=True):
        if each.groups in seen:
            continue
        seen.add(each.groups)
        for name, group in zip(ids, each.groups, strict=True):
            before, first = known.setdefault(name, (group, run)) if group else (group, run)
            if before != group:
                raise UserError(
                    f"{run.folder}: was not trained on the data of {first.folder}: {name} is of group"
                    f" {group} here and of group {before} there",
                    hint=_SAME_DATA,
                )
    # A word before the group keeps it apart from a video of the same name.
    groups = tuple(f"group {known[name][0]}" if name in known else name for name in ids)
    return groups, len(ids) - len(known)
