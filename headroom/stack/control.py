"""`make run`, `make up` and `make down`: the whole stack as one thing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from headroom.home import Home
from headroom.runtime import Runtime
from headroom.stack.addresses import Addresses
from headroom.stack.airflow_api import AirflowApi, password_of
from headroom.stack.demo import DEMO, run_demo
from headroom.stack.environment import stack_environment
from headroom.stack.processes import ProcessGroup
from headroom.stack.progress import Stages
from headroom.stack.servers import servers
from headroom.stack.state import prepare_state

__all__ = ["down", "run", "up"]


def run(console: Console) -> None:
    """Start the stack, run the demo on it, report, and stop everything; a stack that was already up stays up.

    Raises:
        HeadroomError: what failed, and where its log is.
    """
    runtime, addresses = Runtime.open(), Addresses.from_environment()
    group = ProcessGroup(runtime.home.root)
    was_running = group.running
    with _stopping_on_signals(), _peak_memory(group) as peak:
        try:
            if not was_running:
                _start(runtime, addresses, group, console)
            api = AirflowApi(addresses.url("airflow"), runtime.home.root / "airflow")
            run_demo(api, console)
            _report(runtime, console)
        finally:
            if not was_running:
                with Stages(console).stage("stack stopped") as say:
                    say(f"{group.stop()} processes")
    console.print(f"peak memory of all processes together: {peak.gib:.1f} GiB", highlight=False)


def up(console: Console) -> None:
    """Start the stack and leave it running; print where everything is."""
    runtime, addresses = Runtime.open(), Addresses.from_environment()
    group = ProcessGroup(runtime.home.root)
    if not group.running:
        _start(runtime, addresses, group, console)
        api = AirflowApi(addresses.url("airflow"), runtime.home.root / "airflow")
        api.ensure_pool("cloud_writes", 4, "Tasks that may change Google Cloud at the same time")
    report = runtime.home.report
    console.print(
        f"Airflow  {addresses.url('airflow')}  (user admin, password {password_of(runtime.home.root / 'airflow')})", highlight=False
    )
    console.print(f"MLflow   {addresses.url('mlflow')}", highlight=False)
    console.print(f"cloud    {addresses.url('cloud')}/compute/v1/", highlight=False)
    console.print(f"report   {report.as_uri() if report.exists() else 'none yet: make run writes it'}", highlight=False)
    console.print("make down stops all of it.")


def down(console: Console) -> None:
    """Stop the stack, children included."""
    stopped = ProcessGroup(Home.from_environment().root).stop()
    console.print(f"stopped {stopped} processes" if stopped else "nothing was running")


def _start(runtime: Runtime, addresses: Addresses, group: ProcessGroup, console: Console) -> None:
    stages = Stages(console)
    group.stop()  # what a killed run may have left behind
    addresses.check_free()
    environment = stack_environment(runtime.home, addresses, DEMO.recording_end.isoformat())
    with stages.stage("state prepared") as say:
        prepare_state(runtime.home, environment)
        say(str(runtime.home.root))
    with stages.stage("stack started") as say:
        started = servers(runtime.home, addresses, runtime.settings.cloud.project)
        group.start(started, environment)
        say(", ".join(process.name for process in started))


def _report(runtime: Runtime, console: Console) -> None:
    from headroom.report import write_report
    from headroom.summary import print_summary, summarise

    with Stages(console).stage("report written") as say:
        page = write_report(runtime.settings, runtime.home, runtime.lake, issue_time=DEMO.end)
        say(str(page))
    print_summary(summarise(runtime.settings, runtime.home, runtime.lake, issue_time=DEMO.end), console)


@contextmanager
def _stopping_on_signals() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that `finally` stops the stack."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise KeyboardInterrupt(f"signal {number}")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Peak:
    def __init__(self) -> None:
        self.gib = 0.0


@contextmanager
def _peak_memory(group: ProcessGroup) -> Iterator[_Peak]:
    """Measure the memory of the whole stack once a second."""
    peak, ended = _Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            peak.gib = max(peak.gib, group.memory_bytes() / 2**30)

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
