"""Starting, watching and stopping a set of processes, all of their children included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from headroom.errors import UnavailableError

__all__ = ["Process", "ProcessGroup"]

_MARK: Final = "HEADROOM_STACK"
_GRACE_SECONDS: Final = 5


@dataclass(frozen=True)
class Process:
    """One server of the stack.

    Attributes:
        name: of the process and of its log file.
        command: argument list.
        ready: returns whether it serves; asked repeatedly after the start. None: ready once it runs.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] | None = None


class ProcessGroup:
    """Processes that start together and stop together.

    A file keeps the process ids, so that another command can stop the group. Members are the started processes, what
    shares a session with them, and their descendants; and, for children that left both, every process that inherited the
    group's mark in its environment. (The mark alone is not enough: a process that changes its title overwrites it.)
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "stack.json"
        self._logs = folder / "logs"
        self._mark = str(folder)
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def running(self) -> bool:
        """Whether every started process still lives; a group that lost one is to be stopped and started again."""
        noted = json.loads(self._file.read_text()) if self._file.exists() else {}
        return bool(noted) and all(_is_same(pid, created) for pid, created in noted.values())

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def start(self, processes: Sequence[Process], environment: Mapping[str, str], timeout: float = 120) -> None:
        """Start all, then wait until each is ready.

        Raises:
            UnavailableError: when one ends or is not ready in time; everything is stopped first, the message names its log.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        started: dict[str, subprocess.Popen[bytes]] = {}
        for process in processes:
            started[process.name] = self._spawn(process, environment)
            self._remember(started)
        deadline = time.monotonic() + timeout
        for process in processes:
            while process.ready is not None and not process.ready():
                if started[process.name].poll() is not None or time.monotonic() > deadline:
                    fate = "ended" if started[process.name].poll() is not None else f"did not answer in {timeout:.0f} s"
                    tail = "\n".join(self.log(process.name).read_text(errors="replace").splitlines()[-5:])
                    self.stop()
                    raise UnavailableError(f"{process.name} {fate}; its log is {self.log(process.name)}; the last lines:\n{tail}")
                time.sleep(0.2)

    def stop(self) -> int:
        """Stop every process of the group and their children; returns how many there were."""
        members = self.members()
        for process in members:
            _signal(process, signal.SIGTERM)
        _, alive = psutil.wait_procs(members, timeout=_GRACE_SECONDS)
        for process in {*alive, *self.members()}:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(self.members(), timeout=5)
        for child in self._children:
            child.wait()
        self._children.clear()
        self._file.unlink(missing_ok=True)
        return len(members)

    def members(self) -> list[psutil.Process]:
        """All living processes of the group."""
        sessions = self._sessions()
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            if process.pid != os.getpid() and (_session(process) in sessions or _is_marked(process, self._mark)):
                found.update(_family(process))
        return [process for process in found if _lives(process)]

    def memory_bytes(self) -> int:
        """Memory of all members together: proportional set size, so that shared pages count once."""
        return sum(_proportional_size(p) for p in self.members())

    def _remember(self, started: Mapping[str, subprocess.Popen[bytes]]) -> None:
        noted = {name: [child.pid, psutil.Process(child.pid).create_time()] for name, child in started.items()}
        self._file.write_text(json.dumps(noted))

    def _sessions(self) -> set[int]:
        """Sessions of the started processes, also of those that ended; not of an id that was given to someone else since."""
        noted = json.loads(self._file.read_text()) if self._file.exists() else {}
        return {pid for pid, created in noted.values() if not _is_another(pid, created)}

    def _spawn(self, process: Process, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self.log(process.name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - the commands are ours
                list(process.command),
                env={**environment, _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        return child


def answers(url: str) -> bool:
    """Whether an HTTP server answers `url` with success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - loopback addresses of our own servers
            return bool(response.status < 400)
    except OSError:
        return False


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(_MARK) == mark
    except (psutil.Error, OSError):
        return False


def _is_another(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) >= 1
    except psutil.Error:
        return False


def _is_same(pid: int, created: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and _lives(process)
    except psutil.Error:
        return False


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _proportional_size(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, OSError, AttributeError):
        return 0
