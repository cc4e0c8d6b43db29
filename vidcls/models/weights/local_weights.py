"""Lists the weights on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidcls.choices import LITE
from vidcls.models.backbones.lite import is_installed, lite_file
from vidcls.models.weights.catalogue import PACKAGE, SUFFIX


@dataclass(frozen=True)
class Here:
    """Weights on this machine.

    Attributes:
        backbone: Name of their backbone; empty if the file does not contain it.
        weights: Name of the weights.
        file: File of the weights.
        num_bytes: Size of the file.
        origin: `package`, the URL of the download, or the problem with the file.
    """

    backbone: str
    weights: str
    file: Path
    num_bytes: int
    origin: str


def weights_here(weights_dir: Path) -> Iterator[Here]:
    """Yield the weights of installed packages, then the downloaded weights by name."""
    if is_installed():
        file = lite_file()
        yield Here(LITE, PACKAGE, file, file.stat().st_size, PACKAGE)
    for file in sorted(weights_dir.glob(f"*{SUFFIX}")):
        yield _stored(file)


def _stored(file: Path) -> Here:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            about = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        return Here("", "", file, file.stat().st_size, f"cannot be read: {error}")
    origin = about.get("url", "not fetched by vidcls")
    return Here(about.get("backbone", ""), about.get("weights", ""), file, file.stat().st_size, origin)
