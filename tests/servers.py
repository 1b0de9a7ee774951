"""Real servers for tests, started on this machine and stopped again."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["free_port", "running_postgres"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_postgres() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database on a PostgreSQL server of its own; skips the test where there is none."""
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="headroom-postgres-", ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        owner = _as_other_user(folder)
        run = [*owner, str(binaries / "initdb"), "--pgdata", f"{name}/data", "--username", "headroom", "--auth", "trust", "--no-sync"]
        subprocess.run(run, check=True, capture_output=True, cwd=name)
        control = [*owner, str(binaries / "pg_ctl"), "--pgdata", f"{name}/data", "--log", f"{name}/log", "--wait"]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={name} -c fsync=off"
        subprocess.run([*control, "--options", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=name)
        try:
            yield f"postgresql+psycopg://headroom@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "--mode", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=name)


def _postgres_binaries() -> Path | None:
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    on_path = shutil.which("initdb")
    return known[-1] if known else Path(on_path).resolve().parent if on_path else None


def _as_other_user(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: the words that run a command as its own user, who then owns the folder."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["runuser", "-u", "postgres", "--"]
