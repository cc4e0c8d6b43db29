"""Downloads weights on a machine with internet, for machines without it.

Each library downloads its own weights and verifies them. They are stored with the names of the network,
without the head, in one file: `WEIGHTS_DIR/BACKBONE-NAME.safetensors`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidcls.errors import VidclsError
from vidcls.files import atomic_file, disk_full, is_disk_full
from vidcls.models.backbones.names import names_3d
from vidcls.models.backbones.timm2d import PREFIX, timm_cfg
from vidcls.models.backbones.torchvision2d import torchvision_2d
from vidcls.models.backbones.video3d import torchvision_3d
from vidcls.models.weights.catalogue import Weights, torchvision_weights
from vidcls.models.weights.files import fit_weights
from vidcls.models.weights.load import our_names

_HUB = "https://huggingface.co"
_TIMEOUT_S = 15.0


def fetch(weights: Weights, *, weights_dir: Path) -> Path:
    """Download weights and store them; an existing file is replaced only by a complete one.

    Args:
        weights: Weights whose source is a download.
        weights_dir: Folder in which to store them.

    Raises:
        VidclsError: If the download fails, its content is not as expected, or the disk is full.
    """
    file = weights.file(weights_dir)
    url = url_of(weights)
    with tempfile.TemporaryDirectory(prefix="vidcls-weights-") as folder:
        try:
            _reach(url)
            state = _download(weights, Path(folder))
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            if is_disk_full(error):
                raise disk_full(Path(folder), kept="nothing was stored", cause=error) from error
            raise _not_downloaded(weights, url, error) from error
        _store(state, file, about={"backbone": weights.backbone, "weights": weights.name, "url": url})
    return file


def url_of(weights: Weights) -> str:
    """URL from which weights are downloaded."""
    if not weights.backbone.startswith(PREFIX):
        return str(torchvision_weights(weights.backbone)[weights.name].url)
    cfg = timm_cfg(weights.backbone, weights.name)
    if cfg.hf_hub_id:
        name = cfg.hf_hub_filename or "model.safetensors"
        return f"{os.environ.get('HF_ENDPOINT', _HUB)}/{cfg.hf_hub_id}/resolve/main/{name}"
    return str(cfg.url)


def _reach(url: str) -> None:
    """Request a page, to fail at once without a network: the client of the hub retries for a minute.

    Raises:
        OSError: If no server answers.
    """
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (of torchvision or timm)
    try:
        urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()  # noqa: S310
    except urllib.error.HTTPError:
        return  # a server answered, so it is reachable


def _download(weights: Weights, folder: Path) -> dict[str, Tensor]:
    """Download the weights of the network without its head."""
    is_terminal = sys.stderr.isatty()
    if weights.backbone.startswith(PREFIX):
        return _download_timm(weights, folder, progress=is_terminal)
    state = torchvision_weights(weights.backbone)[weights.name].get_state_dict(
        progress=is_terminal, check_hash=True, model_dir=str(folder), map_location="cpu", weights_only=True
    )
    body = _torchvision_body(weights.backbone)
    return fit_weights(
        our_names(state, weights.backbone), body.state_dict(), file=folder, backbone=weights.backbone
    )


def _download_timm(weights: Weights, folder: Path, *, progress: bool) -> dict[str, Tensor]:
    import timm
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not progress:
        disable_progress_bars()
    name = f"{weights.backbone.removeprefix(PREFIX)}.{weights.name}"
    network: nn.Module = timm.create_model(
        name, pretrained=True, num_classes=0, global_pool="", cache_dir=folder
    )
    return network.state_dict()


def _torchvision_body(backbone: str) -> nn.Module:
    make: Any = torchvision_3d if backbone in names_3d() else torchvision_2d
    body: nn.Module = make(backbone)
    return body


def _store(state: Mapping[str, Tensor], file: Path, *, about: dict[str, str]) -> None:
    from safetensors.torch import save

    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    try:
        with atomic_file(file) as opened:
            opened.write(save(tensors, metadata={**about, "torch": torch.__version__}))
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(file, kept="weights that were stored before are kept", cause=error) from error
        raise


def _not_downloaded(weights: Weights, url: str, error: Exception) -> VidclsError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return VidclsError(
        f"{weights.label} could not be downloaded from {url}: {reason}",
        hint="run this on a machine with internet, such as a login node, with a --store-dir that jobs can "
        "read; or copy this file there yourself and set model.weights=FILE",
    )
