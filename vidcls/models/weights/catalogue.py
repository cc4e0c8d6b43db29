"""Catalogue of the pretrained weights of a backbone, and of the input that they expect.

Nothing is read or downloaded here: `vidcls.models.weights.download` downloads weights, and
`vidcls.models.weights.load` loads them into models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidcls.choices import LITE, SMALL
from vidcls.errors import UserError, did_you_mean
from vidcls.spec.model import is_weights_file

SUFFIX = ".safetensors"
DEFAULT = "default"
PACKAGE = "package"
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class TrainedInput:
    """Input on which weights were trained.

    Attributes:
        size: Height and width in pixels.
        mean: Mean to subtract from each channel, on the scale 0 to 1.
        std: Standard deviation by which each channel is then divided.
    """

    size: tuple[int, int]
    mean: Triple
    std: Triple


@dataclass(frozen=True)
class Weights:
    """Pretrained weights of a backbone.

    Attributes:
        backbone: Name of the backbone, as in `model.backbone`.
        name: Name of the weights, with `default` resolved; path for a file.
        source: File of the user, installed package, or download.
        recipe: Expected input of these weights; for a file that of the default weights; None if unknown.
    """

    backbone: str
    name: str
    source: Literal["file", "package", "download"]
    recipe: TrainedInput | None

    @property
    def label(self) -> str:
        """Name of the weights in `vidcls weights fetch`; for a file, its path."""
        return self.name if self.source == "file" else f"{self.backbone}:{self.name}"

    def file(self, weights_dir: Path) -> Path:
        """Path of the file if it is on this machine.

        Args:
            weights_dir: Folder of downloaded weights.

        Raises:
            UserError: If the weights belong to a package that is not installed.
        """
        if self.source == "file":
            return Path(self.name).expanduser()
        if self.source == "package":
            from vidcls.models.backbones.lite import lite_file

            return lite_file()
        return weights_dir / f"{self.backbone.replace('/', '-')}-{self.name}{SUFFIX}"

    def find(self, weights_dir: Path) -> Path:
        """Find the file of the weights.

        Raises:
            UserError: If it is not on this machine; the message has the command to download it.
        """
        file = self.file(weights_dir)
        if file.is_file():
            return file
        if self.source == "file":
            inside = " but a folder; a run's weights are in its checkpoints/best.pt" if file.is_dir() else ""
            raise UserError(
                f"model.weights: {self.name} is not a file{inside}",
                hint=f"vidcls weights ls {self.backbone} lists the named weights of this backbone",
            )
        raise UserError(
            f"model.weights: {self.label} is not on this machine: no {file}",
            hint=f"on a machine with internet: {fetch_command(self, weights_dir)}",
        )


def fetch_command(weights: Weights, weights_dir: Path) -> str:
    """Command to download weights."""
    return f"vidcls weights fetch {weights.label} --store-dir {weights_dir.parent}"


def weights_dir_of(store_dir: Path | str) -> Path:
    """Folder of downloaded weights."""
    return Path(store_dir) / "weights"


def digest_of(file: Path) -> str:
    """SHA-256 of a weights file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def resolve(backbone: str, weights: str) -> Weights:
    """Weights that `model.backbone` and `model.weights` select.

    Raises:
        UserError: If the backbone has no such weights, or its library is not installed.
    """
    architecture, _, tag = backbone.partition(".") if _is_timm(backbone) else (backbone, "", "")
    names = names_of(backbone)
    if is_weights_file(weights):
        recipe = _recipe(architecture, tag or names[0]) if names else None
        return Weights(backbone, weights, "file", recipe)
    if tag:
        if weights not in (DEFAULT, tag):
            raise UserError(
                f"model.weights: {weights} does not fit model.backbone: {backbone}, which includes the "
                "name of other weights",
                hint=f"model.backbone={architecture} model.weights={weights}",
            )
        weights = tag
    if not names:
        raise UserError(
            f"model.weights: {backbone} has no pretrained weights; set a file instead",
            hint="vidcls weights ls BACKBONE shows what a backbone has",
        )
    name = names[0] if weights == DEFAULT else weights
    if name not in names:
        meant = did_you_mean(name, names, num=3, cutoff=0.4)
        raise UserError(
            f"model.weights: {architecture} has no weights {weights}{meant and f'; {meant}'}",
            hint=f"allowed: default ({names[0]}), {', '.join(names)}, or a file",
        )
    source: Literal["package", "download"] = "package" if name == PACKAGE else "download"
    return Weights(architecture, name, source, _recipe(architecture, name))


def names_of(backbone: str) -> list[str]:
    """Names of the weights of a backbone, the default first; empty if there are none.

    Raises:
        UserError: If the backbone is unknown.
    """
    from vidcls.models.backbones.names import names_2d, names_3d, wrong_name

    if _is_timm(backbone):
        from vidcls.models.backbones.timm2d import known_timm, timm_tags

        return timm_tags(known_timm(backbone).partition(".")[0])
    if backbone == SMALL:
        return []
    if backbone == LITE:
        return [PACKAGE]
    if backbone not in (*names_2d(), *names_3d()):
        raise wrong_name(backbone, dims=3)
    members = torchvision_weights(backbone)
    default = members.DEFAULT.name
    return sorted((member.name for member in members), key=lambda name: name != default)


def torchvision_weights(backbone: str) -> Any:
    """Enum of the torchvision weights of a network."""
    import torchvision

    return torchvision.models.get_model_weights(backbone)


def _is_timm(backbone: str) -> bool:
    return backbone.startswith("timm/")


def _recipe(backbone: str, name: str) -> TrainedInput:
    if _is_timm(backbone):
        from vidcls.models.backbones.timm2d import timm_cfg

        cfg = timm_cfg(backbone, name)
        return TrainedInput(cfg.input_size[1:], cfg.mean, cfg.std)
    if name == PACKAGE:
        from vidcls.models.backbones.lite import MEAN, SIZE, STD

        return TrainedInput(SIZE, (MEAN,) * 3, (STD,) * 3)
    transforms = torchvision_weights(backbone)[name].transforms()
    height, width = (*transforms.crop_size, *transforms.crop_size)[:2]
    if backbone in ("googlenet", "inception_v3"):
        # torchvision's network rescales its input for these weights before the first layer.
        return TrainedInput((height, width), (0.5,) * 3, (0.5,) * 3)
    return TrainedInput((height, width), tuple(transforms.mean), tuple(transforms.std))
