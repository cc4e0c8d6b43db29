"""Which weights are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidcls.models.backbones.lite import LITE, is_installed, lite_file
from vidcls.models.weights.catalogue import PACKAGE, SUFFIX


@dataclass(frozen=True)
class Here:
    """Weights on this machine.

    Attributes:
        backbone: Name of their backbone; empty for a file that does not say.
        weights: Their name.
        file: File that holds them.
        num_bytes: Size of the file.
        origin: `package`, the address that they were downloaded from, or what is wrong with the file.
    """

    backbone: str
    weights: str
    file: Path
    num_bytes: int
    origin: str


def weights_here(weights_dir: Path) -> Iterator[Here]:
    """Those of installed packages, then those that were downloaded, by name."""
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
