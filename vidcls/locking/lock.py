"""One process a run: a lock that a dead holder cannot keep, and that a holder cannot lose without knowing.

The file names its holder, see `vidcls.locking.holder`. Where process numbers mean the same, a holder is
alive if its process is. Any other is alive while it touches the file; it counts as dead once the file did
not change for a lease on the observer's own monotonic clock, because wall clocks of two machines are not
compared.

The holder reads the file again before each of its writes (`Held.check`). Where it did not renew the lock for
a lease, by its own clock, somebody may be about to take it: it is taken again first, alone, or else is lost.
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
    """A lock that this process holds, as far as it knows.

    Attributes:
        path: The lock file.
    """

    def __init__(self, path: Path, me: Holder, clock: Clock) -> None:
        self.path = path
        self._me, self._clock = me, clock
        self._renewed = clock.now()
        self._turn = threading.Lock()
        self._lost = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether it is known to be lost; asks no disk."""
        return self._lost.is_set()

    def check(self) -> None:
        """Make sure of the lock just before a write. A disk that is away is waited for, for a lease.

        Raises:
            LockLostError: If it is lost.
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
                f"{self.path.parent}: another process took this run over; nothing more is written",
                hint="give the same command again: it waits for that process, or goes on where it stopped",
            )

    def renew(self) -> None:
        """Give a sign of life.

        Raises:
            OSError: If the disk is away; the next one may come in time.
        """
        with self._turn:
            asked = self._clock.now()
            self._look()
            if not self.is_lost:
                os.utime(self.path)
                self._renewed = asked

    def move(self, set_aside: Callable[[], Path]) -> Path:
        """Stay the holder of a folder that is renamed, and whose name a new folder gets.

        Args:
            set_aside: Renames the folder of the lock, and gives its new name.

        Returns:
            The new name.

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
                fresh.rename(folder)  # over an empty folder at most
            except OSError:
                shutil.rmtree(fresh)
                raise VidclsError(f"{folder}: another process just began this run anew") from None
            (aside / self.path.name).unlink()
        return aside

    def release(self) -> None:
        """Let go of the lock. Where the disk is away it stays, and the end of this process frees it."""
        with contextlib.suppress(OSError):
            _take_away(self.path, self._me, clock=self._clock)

    def _has_lapsed(self) -> bool:
        return self._clock.now() - self._renewed > LEASE_S

    def _look(self) -> None:
        """Find out whether the lock is lost; the file is read, whatever was known before."""
        if not self._has_lapsed():
            holder, _ = _read(self.path)
            if not _is_same(holder, self._me):
                self._lost.set()
            return
        asked = self._clock.now()
        with _alone(self.path, self._clock) as is_alone:
            holder, _ = _read(self.path)
            if is_alone and _is_same(holder, self._me):
                # Whoever watched it sees it change before it can be taken away.
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
        path: The lock file.
        say: Told when a holder is waited for.
        doing: What a holder does, for messages.
        wait: Wait for a live holder to end, too.
        check: Called while waiting; may raise.
        clock: The time of this machine.

    Raises:
        VidclsError: If a live process holds it and is not waited for.
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
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of processes that were killed
        leftover.unlink(missing_ok=True)
    held = Held(path, me, clock)
    try:
        with beating(held.renew, every_s=BEAT_S, name="vidcls-lock"):
            yield held
    finally:
        held.release()


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock, None where nobody does or that cannot be read."""
    with contextlib.suppress(OSError):
        return _read(path)[0]
    return None


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock, as far as can be told without waiting."""
    try:
        holder, _ = _read(path)
    except OSError:
        return True
    return holder is not None and not holder.here_and_dead()


def _create(path: Path, me: Holder) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return create_file(path, json.dumps(asdict(me)).encode())
    except FileNotFoundError:  # another process just took or renamed the folder
        return False


def _is_same(one: Holder | None, other: Holder | None) -> bool:
    return (one and one.token) == (other and other.token)


def _read(path: Path) -> tuple[Holder | None, int | None]:
    """The holder that a lock file names, and when it last changed; None without a file, or one that is whole.

    Raises:
        OSError: If the disk is away.
    """
    try:
        # Opening it asks the server of a network disk, which a look at its name alone need not do.
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
    """Be the only one that changes hands of a lock; False where the file system has no locks of its own."""
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
                    f"{path.parent}: a process that is suspended keeps {path.with_name('.lock.guard').name}",
                    hint="end that process, then give the same command again",
                ) from None
        except OSError:
            return False
        clock.sleep(0.01)


def _take_away(path: Path, holder: Holder | None, *, clock: Clock, unchanged: int | None = None) -> None:
    """Remove a holder's lock if it still is that holder's, and where asked, did not change since then."""
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
    """Wait until a holder lets go, is dead, or gave no sign of life for a lease; then take its lock away."""
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
        # Looked at once more: an observer that slept in between does not take its own sleep for the holder's.
        _take_away(path, holder, clock=clock, unchanged=seen)
