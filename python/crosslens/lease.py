"""Which process writes to a run directory: the file ``lease.json``, kept as the crate ``lease`` keeps it.

The holder rewrites the file every ten seconds and removes it at its end. Another takes over at once if it sees that the
process is gone, else once the file has stood still for a minute. A lease that cannot be read is held until then.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from .problems import CrossLensError

#: Seconds between two beats.
BEAT = 10.0
#: A lease that stands still for these seconds has no holder any more.
STALE = 60.0
_LOOK_INTERVAL = 0.2
_NAME = "lease.json"


class RunBusy(CrossLensError):
    """Another process writes to the run directory."""


@dataclass(frozen=True)
class Process:
    """A process that was running when this was written."""

    pid: int
    #: Start of the process, in clock ticks since the boot of its machine.
    started: int
    #: Boot and namespace in which ``pid`` is unique. Empty if the system does not tell.
    among: str

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        pid = os.getpid()
        stat = _stat(pid)
        return cls(pid, stat[1] if stat else 0, _among())

    def is_alive(self) -> bool | None:
        """Tell whether the process is running; ``None`` if this cannot be seen from here."""
        if not self.among or self.among != _among():
            return None
        stat = _stat(self.pid)
        # A process that has ended keeps its number until its parent asks how it ended.
        return stat is not None and stat[1] == self.started and stat[0] not in "ZX"


class Held:
    """The lease of this process, kept alive until :meth:`release`. ``lost`` is set once another has taken it over."""

    def __init__(self, path: Path, content: dict[str, object], written: bytes) -> None:
        self._path = path
        self._content = content
        self._written = written
        self._owner = os.getpid()
        self._end = threading.Event()
        self.lost = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="crosslens-lease", daemon=True)
        self._beats.start()

    def release(self) -> None:
        """Stop the beats and remove the file, unless another has taken over."""
        # A forked child, as a DataLoader starts them, does not hold what its parent holds.
        if self._end.is_set() or os.getpid() != self._owner:
            return
        self._end.set()
        self._beats.join()
        if _read(self._path) == self._written:
            self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        beat = 0
        while not self._end.wait(BEAT):
            found = _read(self._path)
            # Without a file, nobody has taken it over.
            if found is not None and found != self._written:
                self.lost.set()
                return
            beat += 1
            following = _line(self._content | {"beat": beat})
            beside = self._path.with_name(f"{_NAME}.part")
            try:
                beside.write_bytes(following)
                beside.replace(self._path)
                self._written = following
            except OSError as error:
                # The next beat tries again. A full disk must not end the run.
                print(f"warning: {self._path} cannot be written: {error}", file=sys.stderr)


def take(directory: Path, waiting: Callable[[str], None]) -> Held:
    """Take the lease of a directory. Raises :class:`RunBusy` if another process keeps it alive.

    ``waiting`` is told once whom it waits for, if it has to: for up to a minute, for a holder on another machine.
    """
    path = directory / _NAME
    begun = time.monotonic()
    seen: bytes | None = None
    since = begun
    while True:
        found = _read(path)
        now = time.monotonic()
        if found != seen:
            seen, since = found, now
        if found is not None:
            alive, holder = _judge(found)
            if alive or (alive is None and now - since < STALE):
                if alive or now - begun > STALE + 2 * _LOOK_INTERVAL:
                    raise RunBusy(f"{directory} is being written to by another process: {holder}")
                waiting(holder)
                time.sleep(_LOOK_INTERVAL)
                continue
            if not _remove_abandoned(path, found):
                continue
        content: dict[str, object] = {"host": socket.gethostname(), **asdict(Process.current()), "ticket": None, "beat": 0}
        written = _line(content)
        try:
            with path.open("xb") as file:
                file.write(written)
        except FileExistsError:
            # Another process was faster.
            continue
        return Held(path, content, written)


def _judge(content: bytes) -> tuple[bool | None, str]:
    """Tell whether the holder of a lease lives, ``None`` if that is unknown, and who it is."""
    try:
        lease = json.loads(content)
        process = Process(lease["pid"], lease["started"], lease["among"])
        return process.is_alive(), f"process {process.pid} on {lease['host']}"
    except (ValueError, KeyError, TypeError):
        return None, f"{_NAME} does not say which"


def _remove_abandoned(path: Path, content: bytes) -> bool:
    """Remove an abandoned lease. Tells whether it was still there; if not, another process was faster."""
    # Of several processes that move the file, one succeeds.
    aside = path.with_name(f"{_NAME}.{os.getpid()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    same = aside.read_bytes() == content
    if not same:
        # It was taken over between the look and the move: give it back, unless there is another by now.
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
    aside.unlink()
    return same


def _line(content: dict[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _among() -> str:
    # Machines may have equal names, and containers on one machine their own numbers of processes.
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state and start of a process, fields 3 and 22 of ``/proc/PID/stat``."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program, in parentheses, may hold spaces.
    fields = text.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 else None
