"""Feature store: features of frozen backbones for the fixed views of each video, computed once.

    <folder>/<key>/index.json    identity of the computation; the videos; checksums of the other files
    <folder>/<key>/leaf-0.npy    float32 [N, V, ...]: N videos in the order of the index, V views
    <folder>/<key>/leaf-1.npy    the same for the second backbone, if there is one
    <folder>/<key>/flips.npy     bool [N, V]: whether a view is mirrored

For train and val, the folder is `features` in the store; for the sealed test split, it belongs to the ledger.

The key covers everything that changes a feature: weights, good videos, clip, views, releases of the packages.
Blocks of videos are written one after another into `<key>.partial`, which is renamed once it is complete: a
reader sees a whole store or none, and after a kill the next builder continues after the last finished block.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor
from typing_extensions import TypedDict

from vidcls.data.checksums import verify
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.store.build_once import Written, build_once
from vidcls.errors import VidclsError
from vidcls.files import atomic_file, nearest_folder
from vidcls.installed import COMPUTING, releases
from vidcls.json_files import Count, DamagedError, JsonText, read_json

_VERSION = 4
_BLOCK_VIEWS = 32
"""Approximate number of views per block, the most that a killed builder loses."""
_SPARE_BYTES = 256 * 2**20


class _Held(TypedDict):
    digests: list[str]
    num_leaves: Count
    decoders: dict[str, JsonText]


class _FeatureIndex(TypedDict):
    checksums: dict[str, str]
    held: _Held


_INDEX = TypeAdapter(_FeatureIndex)


@dataclass(frozen=True)
class Block:
    """Computed features of n videos.

    Attributes:
        leaves: Features of each backbone, float32 `[n, V, ...]`.
        flips: Whether a view is mirrored, `[n, V]`.
    """

    leaves: tuple[NDArray[np.float32], ...]
    flips: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class StoredFeatures:
    """Published feature store; equal only to itself, so that it can be a key.

    Attributes:
        digests: Digests of the N videos, in order.
        leaves: Features of each backbone, float32 `[N, V, ...]`, mapped read-only and shared by processes.
        flips: Whether a view is mirrored, `[N, V]`.
        decoders: Decoder of each video, by digest.
    """

    digests: tuple[str, ...]
    leaves: tuple[Tensor, ...]
    flips: NDArray[np.bool_]
    decoders: dict[str, str]

    @property
    def num_bytes(self) -> int:
        """Size of the features in bytes."""
        return sum(leaf.nbytes for leaf in self.leaves)


class FeatureStore:
    """Features of a set of videos for one network, clip section and set of views.

    Args:
        folder: Folder of feature stores.
        identity: Everything that changes a feature, as plain values for JSON.
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, Any]) -> None:
        self._identity = {"version": _VERSION, "releases": releases(COMPUTING), **identity}
        text = json.dumps(self._identity, sort_keys=True)
        key = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        self.path = folder / key

    def is_published(self) -> bool:
        """Whether the store exists."""
        return (self.path / "index.json").is_file()

    def open(self, *, progress: StageProgress | None = None) -> StoredFeatures:
        """Open a published store, which is verified once on each machine.

        Args:
            progress: Called in the stage `checksums`.

        Raises:
            VidclsError: If the store is damaged.
        """
        try:
            index = read_json(self.path / "index.json", _INDEX, hint=f"rm -r {self.path}")
            verify(self.path, index["checksums"], progress=progress)
            held = index["held"]
            stored = StoredFeatures(
                digests=tuple(held["digests"]),
                leaves=tuple(_mapped(self.path / _leaf(number)) for number in range(held["num_leaves"])),
                flips=np.load(self.path / "flips.npy"),
                decoders=dict(held["decoders"]),
            )
        except DamagedError as error:
            raise self._damaged(error.message) from error
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(str(error)) from error
        if {len(stored.flips), *map(len, stored.leaves)} != {len(stored.digests)}:
            raise self._damaged("its files are of different lengths")
        return stored

    def build(
        self,
        digests: Sequence[str],
        compute: Callable[[Sequence[str]], Block],
        *,
        num_views: int,
        decoders: Mapping[str, str],
        progress: StageProgress | None = None,
    ) -> None:
        """Compute missing features and publish the store; one of several processes builds, the others wait.

        Args:
            digests: Digests of the good videos, each once, in the order of the files.
            compute: Computes the block of some of the videos, in order.
            num_views: Number of views V.
            decoders: Decoder of each video, by digest.
            progress: Called in the stages `features` and `wait for another process that computes features`.

        Raises:
            VidclsError: If the disk is full or too small; finished blocks are kept.
        """

        def write(folder: Path) -> Written:
            blocks = _write_blocks(folder, digests, compute, num_views=num_views, progress=progress)
            num_leaves = _join_blocks(folder, blocks, num_videos=len(digests))
            held = {"digests": list(digests), "decoders": dict(decoders), "num_leaves": num_leaves}
            names = ["flips.npy", *(_leaf(number) for number in range(num_leaves))]
            return Written(names, {**self._identity, "held": held}, scratch=blocks)

        build_once(
            self.path,
            write,
            is_published=self.is_published,
            waiting="wait for another process that computes features",
            kept="finished work is kept",
            progress=progress,
        )

    def _damaged(self, why: str) -> VidclsError:
        return VidclsError(f"{self.path}: damaged: {why}", hint=f"rm -r {self.path}  (it is computed again)")


def _write_blocks(
    folder: Path,
    digests: Sequence[str],
    compute: Callable[[Sequence[str]], Block],
    *,
    num_views: int,
    progress: StageProgress | None,
) -> list[Path]:
    """Write the missing blocks, each whole or not at all; return the files of all blocks in order."""
    blocks: list[Path] = []
    num_videos = max(1, _BLOCK_VIEWS // num_views)
    for start in range(0, len(digests), num_videos):
        behind = min(start + num_videos, len(digests))
        path = folder / f"block-{start:08d}-{behind:08d}.npz"
        if not path.exists():
            block = compute(digests[start:behind])
            if not blocks:
                each = sum(leaf.nbytes for leaf in block.leaves) / (behind - start)
                _check_disk(folder, 2 * each * len(digests))  # blocks and final files exist at once
            leaves = {f"leaf_{number}": leaf for number, leaf in enumerate(block.leaves)}
            with atomic_file(path) as file:
                np.savez(file, allow_pickle=False, flips=block.flips, **leaves)
        blocks.append(path)
        if progress is not None:
            progress("features", behind, len(digests))
    return blocks


def _join_blocks(folder: Path, blocks: Sequence[Path], *, num_videos: int) -> int:
    """Join the blocks; return the number of leaves."""
    with np.load(blocks[0]) as first:
        shapes = {name: (num_videos, *first[name].shape[1:]) for name in first.files}
        types = {name: first[name].dtype for name in first.files}
    num_leaves = len(shapes) - 1
    files = {"flips": "flips.npy", **{f"leaf_{number}": _leaf(number) for number in range(num_leaves)}}
    for name, file in files.items():
        joined = np.lib.format.open_memmap(folder / file, "w+", types[name], shapes[name])
        start = 0
        for path in blocks:
            with np.load(path) as block:
                part = block[name]
            joined[start : start + len(part)] = part
            start += len(part)
        joined.flush()
    return num_leaves


def _check_disk(folder: Path, num_bytes: float) -> None:
    free = shutil.disk_usage(nearest_folder(folder)).free
    if num_bytes + _SPARE_BYTES > free:
        raise VidclsError(
            f"{folder.parent}: the features need {num_bytes / 1e9:.2f} GB, {free / 1e9:.2f} GB are free",
            hint="set store_dir to a larger disk, or data.residency=streamed to train without stored "
            "features",
        )


def _leaf(number: int) -> str:
    return f"leaf-{number}.npy"


def _mapped(path: Path) -> Tensor:
    array = np.load(path, mmap_mode="r")
    with warnings.catch_warnings():
        # torch has no read-only tensors; no code writes to these.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
