"""Run folder: identity, provenance, state. Only this module knows its file names.

runs/<name>/<fingerprint>-s<seed>/
    spec.yaml  provenance.json  status.json  metrics.jsonl  checkpoints/{last,best}.pt  report/  wandb/  lock
    predictions/<split>-<checkpoint>.npz  code/ (of the user)  removed.json (why checkpoints were removed)
    export/<checkpoint>.{onnx,pt2}  export/<checkpoint>-int8.onnx
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from vidcls.errors import UserError, VidclsError
from vidcls.files import guarded, may_write, remove_unfinished, write_json, write_text
from vidcls.installed import COMPUTING, code_digest, releases
from vidcls.json_files import checked, json_object, read_json
from vidcls.locking import lock
from vidcls.locking.clock import SYSTEM, Clock
from vidcls.run.settings import RECORD, recorded_settings, settings_record
from vidcls.run.shapes import PROVENANCE, REMOVED, STATUS, Provenance, Status
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.load import load_spec
from vidcls.spec.show import plain, to_yaml
from vidcls.user_code.trust import keep_code

Checkpoint = Literal["best", "last"]
T = TypeVar("T")
_OBJECT = TypeAdapter(dict[str, Any])
CHECKPOINTS: tuple[Checkpoint, ...] = ("best", "last")
_REMOVED = "removed.json"


@dataclass(frozen=True)
class Run:
    """Run: one training in one folder."""

    folder: Path

    @classmethod
    def at(cls, spec: Spec, fingerprint: str) -> Run:
        """Run in the folder for a spec with this fingerprint."""
        return cls(Path(spec.runs_dir) / spec.name / f"{fingerprint}-s{spec.seed}")

    @property
    def spec_file(self) -> Path:
        """Path of the requested spec; a folder with this file is a run."""
        return self.folder / "spec.yaml"

    @property
    def provenance_file(self) -> Path:
        """Path of the provenance: code, versions, machine and resolved `auto` settings."""
        return self.folder / "provenance.json"

    @property
    def status_file(self) -> Path:
        """Path of the status."""
        return self.folder / "status.json"

    @property
    def metrics_file(self) -> Path:
        """Path of the metrics: one JSON object per line."""
        return self.folder / "metrics.jsonl"

    @property
    def code_dir(self) -> Path:
        """Folder of the user's code that its spec names; absent if it names none."""
        return self.folder / "code"

    @property
    def lock_file(self) -> Path:
        """Path of the lock file, with the process that trains the run."""
        return self.folder / "lock"

    def checkpoint_file(self, which: Checkpoint) -> Path:
        """Path of the best or the last checkpoint, which may not exist."""
        return self.folder / "checkpoints" / f"{which}.pt"

    def existing_checkpoint(self, which: Checkpoint) -> Path:
        """Path of an existing checkpoint.

        Raises:
            UserError: If the run does not have this checkpoint; the message lists those that it has.
        """
        if (path := self.checkpoint_file(which)).is_file():
            return path
        have = [name for name in CHECKPOINTS if self.checkpoint_file(name).is_file()]
        there = (
            f"the run has: {', '.join(have)}"
            if have
            else self.why_removed() or "the run has no checkpoint yet"
        )
        hint = "train.keep_last=true keeps the last one of a finished run" if which == "last" else None
        raise UserError(f"{self.folder}: no checkpoint {which!r}; {there}", hint=hint)

    def predictions_file(self, split: str, which: Checkpoint) -> Path:
        """Path of the stored logits of a split for a checkpoint."""
        return self.folder / "predictions" / f"{split}-{which}.npz"

    def report_dir(self, split: str, which: Checkpoint) -> Path:
        """Folder of metrics, tables and figures of a split for a checkpoint."""
        return self.folder / "report" / f"{split}-{which}"

    def export_file(self, which: Checkpoint, suffix: str) -> Path:
        """Path of an exported checkpoint unless another one is requested; `suffix` is `.onnx` or `.pt2`."""
        return self.folder / "export" / f"{which}{suffix}"

    @property
    def curves_file(self) -> Path:
        """Path of the training curves."""
        return self.folder / "report" / "curves.png"

    @property
    def wandb_id(self) -> str:
        """Id on Weights & Biases: the same after every resume, a new one after a restart."""
        replaced = len(list(self.folder.parent.glob(f".{self.folder.name}.replaced-*")))
        again = f"-restart{replaced}" if replaced else ""
        return f"{self.folder.parent.name}-{self.folder.name}{again}"[-64:]

    def spec(self) -> Spec:
        """Read the requested spec, with every default written out."""
        try:
            provenance = json_object(self.provenance_file.read_bytes())
            settings = recorded_settings(provenance or {}, self.spec_file.read_bytes())
            if settings is not None:
                return Spec.model_validate_json(json.dumps(settings))
        except (OSError, ValidationError):
            pass  # the file itself is read, which names what is wrong with it
        return load_spec(self.spec_file).spec

    def settings(self, provenance: Mapping[str, Any]) -> dict[str, Any]:
        """Read the requested settings as plain values, fast for a run whose `spec.yaml` nobody has edited.

        Args:
            provenance: Provenance of this run.

        Raises:
            VidclsError: If the file of the spec is damaged, or of another version of vidcls.
        """
        try:
            settings = recorded_settings(provenance, self.spec_file.read_bytes())
        except OSError:
            settings = None
        return plain(self.spec()) if settings is None else settings

    @contextmanager
    def hold(
        self,
        say: Callable[[str], None],
        *,
        wait: bool = False,
        check: Callable[[], None] = lambda: None,
        clock: Clock = SYSTEM,
    ) -> Iterator[lock.Held]:
        """Lock the run for the length of a `with` block; see `vidcls.locking.lock`.

        Meanwhile each write of this process to a file in the folder checks the lock first.
        """
        with (
            lock.hold(self.lock_file, say=say, wait=wait, check=check, clock=clock) as held,
            guarded(self.folder, held.check),
        ):
            remove_unfinished(self.folder)
            yield held

    def create(self, spec: Spec, provenance: dict[str, Any]) -> None:
        """Write the identity of the run; the spec is last, because a folder with a spec is a run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keep_code(self.code_dir, targets_in(spec))
        text = to_yaml(spec)
        write_json(self.provenance_file, provenance | {RECORD: settings_record(spec, text)})
        write_text(self.spec_file, text)

    def provenance(self) -> dict[str, Any]:
        """Read the provenance: code, versions, machine and resolved `auto` settings.

        Raises:
            VidclsError: If the file is damaged, or of another version of vidcls.
        """
        file, hint = (
            self.provenance_file,
            "restore this file, or train the run again: vidcls train SPEC --restart",
        )
        content = _read(file, _OBJECT, hint=hint)
        if missing := Provenance.__required_keys__ - content.keys():
            raise VidclsError(
                f"{file}: written by another version of vidcls: it has no {', '.join(sorted(missing))}",
                hint="use that version for this run, or train it again: vidcls train SPEC --restart",
            )
        checked(content, PROVENANCE, name=str(file), hint=hint)
        return content

    def last_start(self) -> dict[str, Any]:
        """Provenance of the last start of the run: code, versions, device, processor."""
        provenance = self.provenance()
        return dict(provenance["resumes"][-1]) if provenance["resumes"] else provenance

    def changes_since(self) -> list[str]:
        """Texts about installed software that has changed since the last training; empty if none."""
        last = self.last_start()
        then, now = last["versions"], releases(COMPUTING)
        found = ["the code of vidcls"] if last["code"] != code_digest() else []
        return found + [
            f"{name} ({then.get(name, 'none')} then, {now.get(name, 'none')} now)"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]

    def write_status(self, status: Status) -> None:
        """Write the status."""
        write_json(
            self.status_file, asdict(replace(status, updated=datetime.now(UTC).isoformat(timespec="seconds")))
        )

    def status(self) -> Status | None:
        """Read the status; None for a run that never started an epoch.

        Raises:
            VidclsError: If the file is damaged, or of another version of vidcls.
        """
        hint = "restore this file, or remove it and give the same vidcls train command to write it again"
        try:
            return Status(**read_json(self.status_file, STATUS, hint=hint))
        except FileNotFoundError:
            return None

    @property
    def state(self) -> str:
        """State of the run; `killed` if it ended without writing a status, `new` before the first status."""
        return self.state_of(self.status())

    def state_of(self, status: Status | None) -> str:
        """State of the run, see `state`, for a status that is read already."""
        if status is None:
            return "new"
        if status.state == "running" and not lock.is_held(self.lock_file):
            return "killed"
        return status.state

    def why_removed(self) -> str | None:
        """Rule by which its checkpoints were removed; None if they were not removed."""
        path = self.folder / _REMOVED
        if not path.is_file():
            return None
        return read_json(
            path,
            REMOVED,
            hint=f"remove this file: the weights of the run were removed; {self.folder} has all other "
            "results",
        )["why"]

    def remove_checkpoints(self, *, why: str) -> int:
        """Remove both checkpoints at once: a run with only one of them could not be trained again.

        Args:
            why: Rule of the removal, which is stored for later users.

        Returns:
            Number of freed bytes.
        """
        folder = self.checkpoint_file("best").parent
        may_write(folder)
        aside = folder.with_name(".checkpoints.removed")
        shutil.rmtree(aside, ignore_errors=True)  # from an interrupted removal
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return 0
        write_json(self.folder / _REMOVED, {"why": why})
        size = sum(file.stat().st_size for file in aside.iterdir())
        shutil.rmtree(aside, ignore_errors=True)
        return size

    def set_aside(self) -> Path:
        """Rename the folder so that the run can start again; nothing is deleted."""
        number = 1
        while (target := self.folder.with_name(f".{self.folder.name}.replaced-{number}")).exists():
            number += 1
        return self.folder.rename(target)


def _read(path: Path, shape: TypeAdapter[T], *, hint: str) -> T:
    try:
        return read_json(path, shape, hint=hint)
    except FileNotFoundError:
        raise VidclsError(f"{path}: missing", hint=hint) from None
