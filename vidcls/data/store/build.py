"""Store of decoded clips on disk: flat uint8 bytes and an index; its key identifies the content.

    store_dir/clips/<key>/index.json        form, rule, releases of the decoders, checksums of the shards, and
                                            for each video (by digest): shard, offset, height, width, number
                                            and indices of the stored frames
    store_dir/clips/<key>/shard-00000.bin   frames [n, height, width, C] of its videos, one after another

A frame has three channels, a flow field two, see `vidcls.data.decoding.flow`.

The layout follows from the probes alone, before anything is decoded. A builder writes whole shards into
`<key>.partial` and renames the folder once it is complete, so a reader sees a whole store or none, and after
a kill the next builder keeps the finished shards.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from vidcls.data.checksums import verify
from vidcls.data.decoding.decode import Form, Probe
from vidcls.data.decoding.frame_folders import Files
from vidcls.data.decoding.workers import Decoders, Failure, StageProgress
from vidcls.data.store.build_once import Written, build_once, partial
from vidcls.data.store.index import StoredVideo, choice, decode_stored, lay_out
from vidcls.errors import VidclsError
from vidcls.files import atomic_file, nearest_folder
from vidcls.installed import DECODERS, releases
from vidcls.json_files import read_json
from vidcls.spec.sections import Clip


class _StoreIndex(TypedDict):
    checksums: dict[str, str]


_INDEX = TypeAdapter(_StoreIndex)
_VERSION = 5
_SPARE_BYTES = 256 * 2**20


class Store:
    """Store of the decoded clips of a set of videos; see the module docstring for the files.

    Args:
        store_dir: Folder of stores and caches.
        probes: Probe of each video, by digest.
        clip: Clip section, which defines the needed frames and their form.
    """

    def __init__(self, store_dir: Path, *, probes: Mapping[str, Probe], clip: Clip) -> None:
        self._probes = {digest: probes[digest] for digest in sorted(probes)}
        self._flow = clip.flow_method
        self._identity = {
            "version": _VERSION,
            "form": asdict(Form(clip.fit, clip.size)),
            "flow": self._flow,
            "frames": choice(clip),
            # Another release may give different pixels.
            "releases": releases(DECODERS),
            "videos": [[digest, probe.decoder] for digest, probe in self._probes.items()],
        }
        key = hashlib.blake2b(json.dumps(self._identity).encode(), digest_size=16).hexdigest()
        self.path = store_dir / "clips" / key
        self.entries = lay_out(self._probes, clip)
        self.shard_bytes = _shard_sizes(self.entries)

    @property
    def num_bytes(self) -> int:
        """Size of all shards in bytes."""
        return sum(self.shard_bytes)

    def shard(self, number: int) -> Path:
        """Path of one shard."""
        return self.path / _shard_name(number)

    def is_published(self) -> bool:
        """Whether the store exists, with files of the right sizes; `build` verifies their content.

        Raises:
            VidclsError: If it exists but is damaged.
        """
        if not self.path.is_dir():
            return False
        for number, size in enumerate(self.shard_bytes):
            if not _has_size(self.shard(number), size):
                raise VidclsError(
                    f"{self.shard(number)}: damaged, expected {size} bytes",
                    hint=f"rm -r {self.path}  (it is built again)",
                )
        return True

    def fits_disk(self) -> bool:
        """Whether the data still to be written fits on the disk, with a margin."""
        missing = self._missing_bytes()
        return not missing or missing + _SPARE_BYTES <= _free_bytes(self.path)

    def build(
        self, files: Mapping[str, Files], *, decoders: Decoders, progress: StageProgress | None = None
    ) -> None:
        """Decode missing clips and publish the store; one of several processes builds, the others wait.

        An existing store is verified once on each machine.

        Args:
            files: Files of each video, by digest.
            decoders: Worker processes that decode.
            progress: Called in the stages `decode` or `flow`, `checksums` and `wait for another process that
                builds the store`.

        Raises:
            VidclsError: If the disk is full or too small, if videos cannot be decoded (all are listed), or if
                files of an existing store are damaged (listed).
        """
        is_new = not self.is_published() and build_once(
            self.path,
            lambda folder: self._write(folder, files, decoders=decoders, progress=progress),
            is_published=self.is_published,
            waiting="wait for another process that builds the store",
            kept="the finished shards are kept",
            progress=progress,
        )
        if not is_new:
            self._verify(progress)

    def _missing_bytes(self) -> int:
        return 0 if self.path.is_dir() else self.num_bytes - _done_bytes(partial(self.path), self.shard_bytes)

    def _check_disk(self) -> None:
        if not self.fits_disk():
            needs, free = self._missing_bytes() / 1e9, _free_bytes(self.path) / 1e9
            raise VidclsError(
                f"{self.path.parent}: the store needs {needs:.2f} GB, {free:.2f} GB are free",
                hint="put store_dir on a larger disk, or set data.residency=streamed",
            )

    def _write(
        self,
        folder: Path,
        files: Mapping[str, Files],
        *,
        decoders: Decoders,
        progress: StageProgress | None,
    ) -> Written:
        self._check_disk()
        self._write_shards(folder, files, decoders=decoders, progress=progress)
        names = [_shard_name(number) for number in range(len(self.shard_bytes))]
        entries = {digest: asdict(entry) for digest, entry in self.entries.items()}
        return Written(names, {**self._identity, "entries": entries})

    def _write_shards(
        self,
        folder: Path,
        files: Mapping[str, Files],
        *,
        decoders: Decoders,
        progress: StageProgress | None,
    ) -> None:
        for leftover in folder.glob(".*.tmp"):  # from a killed builder
            leftover.unlink()
        todo: dict[int, list[str]] = {}
        for digest, entry in self.entries.items():
            if not _has_size(folder / _shard_name(entry.shard), self.shard_bytes[entry.shard]):
                todo.setdefault(entry.shard, []).append(digest)
        pending = [digest for digests in todo.values() for digest in digests]
        done = len(self.entries) - len(pending)
        failures: list[str] = []
        outcomes = decoders.in_order(
            decode_stored,
            ((files[digest], self.entries[digest], self._probes[digest], self._flow) for digest in pending),
            ahead=2 * decoders.workers + 2,
        )
        for number, digests in todo.items():
            before = len(failures)
            with contextlib.suppress(_Unfinished), atomic_file(folder / _shard_name(number)) as file:
                for digest in digests:
                    outcome = next(outcomes)
                    if isinstance(outcome, Failure):
                        failures.append(f"  {files[digest].frames or files[digest].flows}: {outcome.reason}")
                    else:
                        file.write(outcome)
                    done += 1
                    if progress is not None:
                        progress("flow" if self._flow else "decode", done, len(self.entries))
                if len(failures) > before:
                    raise _Unfinished
        if failures:
            raise VidclsError(
                "\n".join([f"{len(failures)} videos were readable before, but are not now:", *failures]),
                hint="give the same command again to try these videos again; data.timeout_s sets the time "
                "limit",
            )

    def _verify(self, progress: StageProgress | None) -> None:
        hint = f"rm -r {self.path}  (it is built again)"
        try:
            index = read_json(self.path / "index.json", _INDEX, hint=hint)
        except FileNotFoundError as error:
            raise VidclsError(f"{self.path}: damaged: it has no index.json", hint=hint) from error
        verify(self.path, index["checksums"], progress=progress)


class _Unfinished(Exception):  # noqa: N818  (a way out of a `with` block, not an error)
    pass


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(nearest_folder(path)).free


def _shard_sizes(entries: Mapping[str, StoredVideo]) -> Sequence[int]:
    sizes: dict[int, int] = {}
    for entry in entries.values():
        sizes[entry.shard] = entry.offset + entry.num_bytes
    return [sizes[number] for number in sorted(sizes)]


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.bin"


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _done_bytes(folder: Path, shard_bytes: Sequence[int]) -> int:
    return sum(
        size for number, size in enumerate(shard_bytes) if _has_size(folder / _shard_name(number), size)
    )
