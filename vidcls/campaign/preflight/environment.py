"""Checks of the environment: is there enough disk space and quota, and can W&B be reached?"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from vidcls.campaign.preflight.finding import PreflightFinding, PreflightRequest, gb
from vidcls.campaign.preflight.trials import Tried
from vidcls.data.store.estimate import Outlook
from vidcls.errors import reason_of
from vidcls.files import nearest_folder
from vidcls.sweep.fit import copies_at_once, runs_kept

_OTHER_BYTES = 50e6
"""Size of the metrics, predictions, figures and W&B files of a run."""
_MUCH_BYTES = 1e9
_QUOTA_TIMEOUT_S = 5.0
_BLOCK_BYTES = 1024


@dataclass(frozen=True)
class _Need:
    folder: Path
    num_bytes: float
    what: str


def check_writable(asked: PreflightRequest) -> Iterator[PreflightFinding]:
    """Check whether runs and stores can be written to their folders."""
    spec = asked.first
    runs_dir = asked.plan.folder.path if asked.plan else Path(spec.runs_dir)
    for folder in {nearest_folder(runs_dir), nearest_folder(Path(spec.store_dir))}:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            found = f"{folder}: {error.strerror}"
            yield PreflightFinding(
                "disk", "error", found, "set runs_dir and store_dir to folders that you can write"
            )


def check_disk(
    asked: PreflightRequest, tried: Tried, stores: Sequence[Outlook]
) -> Iterator[PreflightFinding]:
    """Check whether each disk and the user's quota have space for the files to write."""
    spec = asked.first
    runs_dir = asked.plan.folder.path if asked.plan else Path(spec.runs_dir)
    needs = [_Need(runs_dir, run_bytes(asked, tried), "checkpoints")]
    store_bytes = sum(store.num_bytes for store in stores if not store.is_built)
    if spec.data.residency == "auto" and store_bytes > _left(nearest_folder(Path(spec.store_dir)))[0]:
        found = f"{spec.store_dir}: not enough space for the store of {gb(store_bytes)}"
        todo = (
            "set store_dir to a folder on a larger disk; without a store, videos are decoded in each "
            "epoch, which is slow"
        )
        yield PreflightFinding("disk", "warning", found, todo)
        store_bytes = 0
    needs.append(
        _Need(Path(spec.store_dir), 0 if spec.data.residency == "streamed" else store_bytes, "store")
    )
    if tried.feature_bytes:
        needs.append(_Need(Path(spec.store_dir), tried.feature_bytes, "features"))
    by_disk: dict[int, list[_Need]] = {}
    for need in needs:
        by_disk.setdefault(nearest_folder(need.folder).stat().st_dev, []).append(need)
    for together in by_disk.values():
        yield _room(together)
    scratch, home = asked.profile.scratch, Path.home()
    large = [need for need in needs if need.num_bytes > _MUCH_BYTES]
    if scratch and any(nearest_folder(need.folder).resolve().is_relative_to(home) for need in large):
        found = "large files would go to the home folder, whose quota is small"
        yield PreflightFinding(
            "disk", "warning", found, f"set runs_dir={scratch}/runs store_dir={scratch}/store"
        )


def run_bytes(asked: PreflightRequest, tried: Tried) -> float:
    """Maximum size of the checkpoints of a run, or of a sweep at one time."""
    # A new checkpoint is written beside the old one that it replaces.
    one = 2 * tried.last_bytes + tried.best_bytes + _OTHER_BYTES
    plan = asked.plan
    if plan is None:
        return one
    at_once = copies_at_once(plan.options, plan.num_workers, plan.num_trials)
    ended = (plan.num_trials or at_once) * _OTHER_BYTES
    kept = tried.best_bytes + (tried.last_bytes if plan.base.train.keep_last else 0)
    return at_once * one + runs_kept(plan.options, plan.num_trials) * kept + ended


def _room(needs: Sequence[_Need]) -> PreflightFinding:
    folder, needed = nearest_folder(needs[0].folder), sum(need.num_bytes for need in needs)
    left, limit = _left(folder)
    what = " and ".join(f"{gb(need.num_bytes)} {need.what}" for need in needs)
    found = f"{folder}: {gb(left)} {limit}; about {what} to write"
    if needed > left:
        todo = (
            "set runs_dir and store_dir to a larger disk, such as scratch; vidcls sweep clean frees "
            "some space"
        )
        return PreflightFinding("disk", "error", found, todo)
    if 2 * needed > left:
        todo = "little space would be left; scratch has more"
        return PreflightFinding("disk", "warning", found, todo)
    return PreflightFinding("disk", "ok", found)


def _left(folder: Path) -> tuple[int, str]:
    """Number of bytes that can still be written to a folder, and what limits it."""
    free, quota = psutil.disk_usage(str(folder)).free, quota_left_bytes(folder)
    return (free, "free") if quota is None or free < quota else (quota, "left of your quota")


def quota_left_bytes(folder: Path) -> int | None:
    """Number of bytes that the user may still write to the disk of a folder; None if no quota is known.

    It parses the command `quota` of Linux: blocks of 1024 bytes by device, `*` if the limit is exceeded.
    """
    mounts = {part.mountpoint: part.device for part in psutil.disk_partitions(all=True)}
    device = next((mounts[str(p)] for p in (folder, *folder.parents) if str(p) in mounts), None)
    try:
        answer = subprocess.run(
            ["quota", "--no-wrap"], capture_output=True, text=True, timeout=_QUOTA_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in answer.stdout.splitlines():
        words = line.split()
        if len(words) >= 4 and words[0] == device:
            used, soft, hard = (
                int(word.rstrip("*")) if word.rstrip("*").isdigit() else 0 for word in words[1:4]
            )
            limit = soft or hard
            return max(0, limit - used) * _BLOCK_BYTES if limit else None
    return None


def check_tracking(asked: PreflightRequest) -> PreflightFinding:
    """Check whether Weights & Biases will record the run as requested."""
    modes = {candidate.spec.tracking.mode for candidate in asked.candidates}
    if modes <= {"disabled", "offline"}:
        return PreflightFinding("w&b", "ok", ", ".join(sorted(modes)))
    found = _credentials(is_queued=asked.is_queued)
    if found is None:
        return PreflightFinding("w&b", "ok", "credentials found: recorded online if the node has a network")
    if "online" in modes:
        return PreflightFinding("w&b", "error", f"tracking.mode is online, but {found}", "wandb login")
    todo = "give wandb login now, or vidcls sync RUN later"
    return PreflightFinding(
        "w&b", "ok" if not asked.is_queued else "warning", f"{found}: recorded offline", todo
    )


def _credentials(*, is_queued: bool) -> str | None:
    """Reason why a job would find no key; None if it finds one."""
    try:
        from vidcls.tracking.mode import has_credentials, load_settings

        settings = load_settings()
    except Exception as error:  # not installed, or its settings are invalid
        return f"the W&B client cannot start ({reason_of(error)})"
    if not has_credentials(settings):
        return f"there are no credentials for {settings.base_url}"
    if (
        is_queued
        and os.environ.get("WANDB_API_KEY") == settings.api_key
        and not Path("~/.netrc").expanduser().is_file()
    ):
        return "WANDB_API_KEY is not passed to jobs, because queues write it to disk"
    return None
