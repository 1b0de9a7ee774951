"""The stack starts together, stops together, and says what is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from headroom.errors import SettingsError, UnavailableError
from headroom.stack.addresses import Addresses
from headroom.stack.processes import Process, ProcessGroup

# A parent whose child leaves its session, as Airflow's task runners do.
_FAMILY = """
import os, subprocess, sys, time, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


def test_stop_ends_children_that_left_their_parents_session(tmp_path: Path) -> None:
    group, note = ProcessGroup(tmp_path), tmp_path / "child.pid"
    group.start([Process("family", [sys.executable, "-c", _FAMILY, str(note)], ready=note.exists)], os.environ)
    time.sleep(0.3)
    child = int(note.read_text())
    assert group.running
    assert group.memory_bytes() > 0
    assert group.stop() == 2
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert not group.running


# A server that changes its title, as Airflow's do, and so loses its environment in the process table.
_RENAMED = """
import time, pathlib, sys
from setproctitle import setproctitle
setproctitle("renamed" + " " * 4000)
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(600)
"""


def test_stop_ends_processes_that_changed_their_title(tmp_path: Path) -> None:
    group, note = ProcessGroup(tmp_path), tmp_path / "ready"
    group.start([Process("renamed", [sys.executable, "-c", _RENAMED, str(note)], ready=note.exists)], os.environ)
    assert ProcessGroup(tmp_path).running
    assert ProcessGroup(tmp_path).stop() == 1
    group.stop()


def test_stop_from_another_process_finds_a_group_whose_starter_was_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time; from pathlib import Path; from headroom.stack.processes import *;"
            "ProcessGroup(Path(sys.argv[1])).start([Process('sleeper', [sys.executable, '-c', 'import time; time.sleep(600)'])], os.environ);"
            "print('up', flush=True); time.sleep(600)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    with starter.stdout:
        assert starter.stdout.readline() == "up\n"
    starter.kill()
    starter.wait()
    assert ProcessGroup(tmp_path).stop() == 1


def test_a_group_that_lost_a_process_is_not_running_and_can_still_be_stopped(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    group = ProcessGroup(tmp_path)
    group.start([Process("one", sleeper), Process("two", sleeper)], os.environ)
    assert group.running
    group.members()[0].kill()
    time.sleep(0.3)
    assert not group.running
    assert group.stop() == 1


def test_a_process_that_ends_early_is_named_with_its_log(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path)
    with pytest.raises(UnavailableError, match=r"broken ended; its log is .*broken\.log; the last lines:\nno such table"):
        group.start([Process("broken", [sys.executable, "-c", "print('no such table', flush=True)"], ready=lambda: False)], os.environ)
    assert not group.running


def test_a_busy_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} \(mlflow\) is in use; .*HEADROOM_MLFLOW_PORT=<port> make run"):
            Addresses(mlflow=port, airflow=_free(), cloud=_free()).check_free()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HEADROOM_AIRFLOW_PORT": "http"}, "HEADROOM_AIRFLOW_PORT='http' is not a port"),
        ({"HEADROOM_CLOUD_PORT": "70000"}, "HEADROOM_CLOUD_PORT='70000' is not a port"),
        ({"HEADROOM_CLOUD_PORT": "8080"}, "HEADROOM_CLOUD_PORT=8080: another server of the stack has this port"),
    ],
)
def test_a_wrong_port_setting_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Addresses.from_environment(environment)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
