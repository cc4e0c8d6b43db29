"""Lock of a run for one process: a dead holder does not keep it, and a holder notices if it loses it.

The lock file contains its holder, see `vidcls.locking.holder`. A holder in the same process scope is alive if
its process is. Any other holder is alive while it touches the file; it counts as dead once the file has not
changed for the length of a lease on the observer's own monotonic clock, because wall clocks of two machines
are not compared.

The holder reads the file again before each of its writes (`Held.check`). If it has not renewed the lock for
the length of a lease, by its own clock, another process may be about to take it: then the holder first takes
the lock again exclusively, or it has lost it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from vidcls.errors import LockLostError, VidclsError
from vidcls.files import create_file
from vidcls.json_files import DamagedError, parse_json
from vidcls.locking.clock import SYSTEM, Clock
from vidcls.locking.heartbeat import beating
from vidcls.locking.holder import Holder, how_to_end

BEAT_S = 15.0
LEASE_S = 90.0
_POLL_S = 1.0
_HOLDER = TypeAdapter(Holder)


class Held:
    """Lock that this process holds, as far as it knows.

    Attributes:
        path: Lock file.
    """

    def __init__(self, path: Path, me: Holder, clock: Clock) -> None:
        self.path = path
        self._me, self._clock = me, clock
        self._renewed = clock.now()
        self._turn = threading.Lock()
        self._lost = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether the lock is known to be lost; does not read the disk."""
        return self._lost.is_set()

    def check(self) -> None:
        """Verify the lock just before a write. If the disk is away, wait for the length of a lease.

        Raises:
            LockLostError: If the lock is lost.
            OSError: If the disk does not come back.
        """
        with self._turn:
            while not self.is_lost:
                try:
                    self._look()
                    break
                except OSError:
                    if self._has_lapsed():
                        raise
                    self._clock.sleep(min(_POLL_S, LEASE_S))
        if self.is_lost:
            raise LockLostError(
                f"{self.path.parent}: another process took over this run; this process writes nothing more",
                hint="give the same command again: it waits for that process, or continues where that "
                "process stopped",
            )

    def renew(self) -> None:
        """Renew the lock with a heartbeat.

        Raises:
            OSError: If the disk is away; the next heartbeat may still come in time.
        """
        with self._turn:
            asked = self._clock.now()
            self._look()
            if not self.is_lost:
                os.utime(self.path)
                self._renewed = asked

    def move(self, set_aside: Callable[[], Path]) -> Path:
        """Rename the locked folder, and hold the lock of a new folder with the old name.

        Args:
            set_aside: Renames the folder of the lock and returns its new path.

        Returns:
            New path of the renamed folder.

        Raises:
            VidclsError: If another process was first to lock the new folder.
        """
        folder = self.path.parent
        fresh = folder.with_name(f".{folder.name}.new-{self._me.token}")
        with self._turn:
            fresh.mkdir()
            (fresh / self.path.name).write_bytes(json.dumps(asdict(self._me)).encode())
            aside = set_aside()
            try:
                fresh.rename(folder)  # replaces at most an empty folder
            except OSError:
                shutil.rmtree(fresh)
                raise VidclsError(f"{folder}: another process has just restarted this run") from None
            (aside / self.path.name).unlink()
        return aside

    def release(self) -> None:
        """Release the lock. If the disk is away, the file stays until this process ends, which frees it."""
        with contextlib.suppress(OSError):
            _take_away(self.path, self._me, clock=self._clock)

    def _has_lapsed(self) -> bool:
        return self._clock.now() - self._renewed > LEASE_S

    def _look(self) -> None:
        """Read the file to find out whether the lock is lost."""
        if not self._has_lapsed():
            holder, _ = _read(self.path)
            if not _is_same(holder, self._me):
                self._lost.set()
            return
        asked = self._clock.now()
        with _alone(self.path, self._clock) as is_alone:
            holder, _ = _read(self.path)
            if is_alone and _is_same(holder, self._me):
                # Observers see the file change before they can remove it.
                os.utime(self.path)
                self._renewed = asked
            else:
                self._lost.set()


@contextlib.contextmanager
def hold(
    path: Path,
    *,
    say: Callable[[str], None],
    doing: str = "training this run",
    wait: bool = False,
    check: Callable[[], None] = lambda: None,
    clock: Clock = SYSTEM,
) -> Iterator[Held]:
    """Hold the lock for the length of a `with` block.

    Args:
        path: Lock file.
        say: Receives a message while a holder is waited for.
        doing: Activity of a holder, for messages.
        wait: Wait even for a live holder to end.
        check: Called while waiting; may raise.
        clock: Clock of this machine.

    Raises:
        VidclsError: If a live process holds the lock and `wait` is off.
    """
    me = Holder.me()
    while not _create(path, me):
        holder, changed = _read(path)
        if changed is None:
            continue
        if holder is not None and holder.here_and_dead():
            _take_away(path, holder, clock=clock)
            continue
        if holder is None or not holder.is_here:
            who = holder or "an unknown process"
            say(f"{path.parent}: held by {who}; waiting {LEASE_S:.0f} s for a sign of life")
        elif wait:
            say(f"{path.parent}: {holder} is {doing}; waiting for it")
        else:
            raise VidclsError(f"{path.parent}: {holder} is {doing}", hint=how_to_end(holder))
        _outwait(path, holder, doing=doing, wait=wait, check=check, clock=clock)
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # from killed processes
        leftover.unlink(missing_ok=True)
    held = Held(path, me, clock)
    try:
        with beating(held.renew, every_s=BEAT_S, name="vidcls-lock"):
            yield held
    finally:
        held.release()


def holder_of(path: Path) -> Holder | None:
    """Holder of the lock; None if there is none or the file cannot be read."""
    with contextlib.suppress(OSError):
        return _read(path)[0]
    return None


def is_held(path: Path) -> bool:
    """Whether the lock is held, as far as can be known without waiting."""
    try:
        holder, _ = _read(path)
    except OSError:
        return True
    return holder is not None and not holder.here_and_dead()


def _create(path: Path, me: Holder) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return create_file(path, json.dumps(asdict(me)).encode())
    except FileNotFoundError:  # another process has just removed or renamed the folder
        return False


def _is_same(one: Holder | None, other: Holder | None) -> bool:
    return (one and one.token) == (other and other.token)


def _read(path: Path) -> tuple[Holder | None, int | None]:
    """Holder in a lock file (None if the file is missing or invalid), and its mtime (None if it is missing).

    Raises:
        OSError: If the disk is away.
    """
    try:
        # Opening the file asks the server of a network disk, while `stat` may use a cached answer.
        with path.open("rb") as file:
            changed, content = os.fstat(file.fileno()).st_mtime_ns, file.read()
    except FileNotFoundError:
        return None, None
    try:
        return parse_json(content, _HOLDER, name=str(path), hint=""), changed
    except DamagedError:
        return None, changed


@contextlib.contextmanager
def _alone(path: Path, clock: Clock) -> Iterator[bool]:
    """Be the only process that transfers a lock; yields False if the file system has no locks."""
    with path.with_name(".lock.guard").open("w") as guard:
        yield _flock(guard.fileno(), path, clock)


def _flock(descriptor: int, path: Path, clock: Clock) -> bool:
    since = clock.now()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if clock.now() - since > LEASE_S:
                raise VidclsError(
                    f"{path.parent}: a suspended process holds {path.with_name('.lock.guard').name}",
                    hint="end that process, then give the same command again",
                ) from None
        except OSError:
            return False
        clock.sleep(0.01)


def _take_away(path: Path, holder: Holder | None, *, clock: Clock, unchanged: int | None = None) -> None:
    """Remove a lock if it still belongs to the holder and, if `unchanged` is given, has not changed."""
    with _alone(path, clock):
        now, changed = _read(path)
        if _is_same(now, holder) and unchanged in (None, changed):
            path.unlink(missing_ok=True)


def _outwait(
    path: Path,
    holder: Holder | None,
    *,
    doing: str,
    wait: bool,
    check: Callable[[], None],
    clock: Clock,
) -> None:
    """Wait until a holder releases its lock, dies, or has no heartbeat for a lease; then remove its lock."""
    _, seen = _read(path)
    since = clock.now()
    while seen is not None and clock.now() - since < LEASE_S:
        if holder is not None and holder.here_and_dead():
            break
        check()
        clock.sleep(min(_POLL_S, LEASE_S))
        _, now = _read(path)
        if now != seen:
            if not wait and now is not None:
                raise VidclsError(
                    f"{path.parent}: {holder or 'another process'} is {doing}", hint=how_to_end(holder)
                )
            seen, since = now, clock.now()
    if seen is not None:
        # Checked again: an observer that was suspended must not count its own suspension as the holder's.
        _take_away(path, holder, clock=clock, unchanged=seen)
