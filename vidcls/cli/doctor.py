"""`vidcls doctor`: reports what this machine has, and the effect of each missing part."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from vidcls.cli.common import AsJson, console, print_json
from vidcls.errors import ExitCode, UserError, VidclsError

_LOW_DISK_GB = 20
_PACKAGES = ("vidcls", "torch", "torchvision", "av", "decord", "numpy", "pydantic", "wandb")


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report."""

    what: str
    state: Literal["ok", "note", "problem"]
    found: str
    cost: str = ""


def doctor(
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="Train every kind of model for 20 steps, kill it, resume it and compare (takes minutes).",
        ),
    ] = False,
    folder: Annotated[Path, typer.Option(help="Folder for runs and stores, whose disk is checked.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Report what this machine has (versions, decoders, GPU, W&B, disk, queue) and what is missing."""
    if gpu:
        _try_training(as_json)
        return
    findings = [*_versions(), *_decoders(), *_compute(), _tracking(), *_disk(folder), _sockets(), *_queues()]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        from vidcls.cli.output.screen import Table, styled

        table = Table("", "found", "what that means", box=None)
        colour = {"ok": "green", "note": "yellow", "problem": "red"}
        for finding in findings:
            table.add_row(styled(finding.what, colour[finding.state]), finding.found, finding.cost)
        console().print(table)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(int(ExitCode.FAILED))


def _versions() -> Iterator[Diagnosis]:
    yield Diagnosis("python", "ok", sys.version.split()[0])
    for name in _PACKAGES:
        try:
            yield Diagnosis(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name == "decord":
                yield Diagnosis(
                    name, "note", "not installed", "PyAV decodes all videos: equally exact, about as fast"
                )
            else:
                yield Diagnosis(name, "problem", "not installed", f"nothing works; pip install {name}")


def _decoders() -> Iterator[Diagnosis]:
    import av

    have = set(av.codecs_available)
    missing = [name for name in ("h264", "hevc", "mpeg4", "vp9", "av1", "mjpeg") if name not in have]
    if missing:
        yield Diagnosis(
            "codecs", "note", f"without {', '.join(missing)}", "videos with these codecs cannot be read"
        )
    else:
        yield Diagnosis("codecs", "ok", "H.264, HEVC, MPEG-4, VP9, AV1, MJPEG")


def _compute() -> Iterator[Diagnosis]:
    import torch

    from vidcls.models.device import pick_device
    from vidcls.process.cores import usable_cores
    from vidcls.process.speed import keeps_memory
    from vidcls.spec.sections import TrainSection
    from vidcls.training.precision import resolve_precision

    device = pick_device()
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        found = f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        yield Diagnosis("gpu", "ok", found)
    else:
        built = torch.version.cuda
        why = (
            f"torch was built for CUDA {built}, but finds no GPU" if built else "torch was built without CUDA"
        )
        yield Diagnosis("gpu", "note", why, "training runs on the CPU: fine for motion10, slow for real data")
    precision = resolve_precision(TrainSection(), device)
    yield Diagnosis("precision", "ok", f"`auto` means {precision} here")
    yield Diagnosis("cpu", "ok", f"{usable_cores()} cores usable of {os.cpu_count()}")
    if keeps_memory():
        found = "freed memory is kept for the next step; VIDCLS_KEEP_MEMORY=0 returns it to the system"
        yield Diagnosis("memory", "ok", found)
    else:
        cost = "training on the CPU takes about 1.5 times as long"
        yield Diagnosis("memory", "note", "freed memory is returned to the system", cost)


def _tracking() -> Diagnosis:
    from vidcls.tracking.limits import INIT, SERVICE, limit_s, unreachable
    from vidcls.tracking.mode import choose_mode, load_settings

    try:
        mode = choose_mode("auto", warn=lambda _: None)
    except ImportError:
        return Diagnosis("w&b", "note", "not installed", "runs are recorded in metrics.jsonl only")
    except UserError as error:
        cost = f"runs are recorded in metrics.jsonl only; {error.hint}"
        return Diagnosis("w&b", "problem", error.message, cost)
    if mode == "online":
        if reason := unreachable(load_settings().base_url):
            cost = "recorded offline; `vidcls sync` sends it from a machine with network"
            return Diagnosis("w&b", "note", f"credentials found, but {reason}", cost)
        patience = f"a busy machine has {limit_s(SERVICE):g} s to start the client and the server"
        patience += f" {limit_s(INIT):g} s to answer ({SERVICE} and {INIT} change that)"
        return Diagnosis("w&b", "ok", "credentials found: runs are tracked online", patience)
    cost = "recorded offline; `wandb login` or WANDB_API_KEY changes that, `vidcls sync` sends it later"
    return Diagnosis("w&b", "note", f"auto is {mode}", cost)


def _disk(folder: Path) -> Iterator[Diagnosis]:
    from vidcls.campaign.preflight.environment import quota_left_bytes

    free, quota = shutil.disk_usage(folder.resolve()).free, quota_left_bytes(folder.resolve())
    left_gb, limit = (free / 1e9, "free") if quota is None or free < quota else (quota / 1e9, "of quota left")
    low = left_gb < _LOW_DISK_GB
    cost = "stores and checkpoints may not fit: set runs_dir and store_dir to scratch" if low else ""
    yield Diagnosis("disk", "note" if low else "ok", f"{left_gb:.0f} GB {limit} for {folder.resolve()}", cost)
    home, scratch = Path.home(), next((os.environ[v] for v in ("SCRATCH", "WORK") if v in os.environ), None)
    if scratch and folder.resolve().is_relative_to(home):
        cost = f"home quotas fill up: set runs_dir and store_dir below {scratch}"
        yield Diagnosis("scratch", "note", f"{scratch} exists, and this folder is in the home folder", cost)


def _sockets() -> Diagnosis:
    from vidcls.process.sockets import socket_folder

    temporary = Path(tempfile.gettempdir())
    try:
        folder = socket_folder()
    except VidclsError as error:
        return Diagnosis("sockets", "problem", error.message, f"nothing can be decoded: {error.hint}")
    if folder == temporary:
        return Diagnosis("sockets", "ok", f"in {folder}")
    cost = f"TMPDIR={temporary} is too long for them; other temporary files stay there"
    return Diagnosis("sockets", "note", f"in {folder}", cost)


def _queues() -> Iterator[Diagnosis]:
    from vidcls.batch_systems import BATCH_SYSTEMS

    systems = BATCH_SYSTEMS.values()
    found = [system.name for system in systems if shutil.which(system.submit)]
    if found:
        yield Diagnosis("queue", "ok", ", ".join(found))
    else:
        neither = f"neither {' nor '.join(system.submit for system in systems)}"
        yield Diagnosis("queue", "note", neither, "trainings run on this machine only")


def _try_training(as_json: bool) -> None:
    from vidcls.campaign.selftest import selftest
    from vidcls.cli.output.display import open_display

    with open_display() as display:
        results = selftest(say=display.say)
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        from vidcls.cli.output.screen import Table, styled

        table = Table("strategy", "device", "precision", "clips/s", "killed and resumed", box=None)
        for result in results:
            verdict = styled("equal to the bit", "green") if result.same else styled("differs", "red")
            table.add_row(result.name, result.device, result.precision, f"{result.clips_per_s:.0f}", verdict)
        console().print(table)
    if not all(result.same for result in results):
        raise typer.Exit(int(ExitCode.FAILED))
