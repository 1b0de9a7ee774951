"""Commands about the installation: run, up, down, cloud, doctor, compact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headroom.console import open_console

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (run, up, down, cloud, doctor, compact):
        app.command()(command)


def run() -> None:
    """Run the whole loop on the bundled traces: start the stack, train, live through a day, report, stop."""
    from headroom.stack import control

    control.run(open_console())


def up() -> None:
    """Start Airflow, MLflow and the local cloud, and leave them running."""
    from headroom.stack import control

    control.up(open_console())


def down() -> None:
    """Stop the stack, children included."""
    from headroom.stack import control

    control.down(open_console())


def cloud(
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0 picks a free one.", min=0, max=65535)] = 8787,
    state: Annotated[Path, typer.Option(help="Folder of the cloud's state.")] = Path("var/cloud"),
    project: Annotated[str, typer.Option(help="The one project that exists.")] = "headroom-demo",
    capacity: Annotated[Path | None, typer.Option(help="Take regions, zones and quotas from this capacity.yaml.")] = None,
) -> None:
    """Run the local cloud alone: Compute Engine v1 under /compute/v1/, on the loopback address.

    Example: headroom cloud --port 8787 --state var/cloud --project headroom-demo
    """
    from headroom.settings import load_settings
    from infra.local_cloud import Seed, serve

    console = open_console()
    seed = Seed.from_settings(load_settings(capacity)) if capacity else None
    serve(
        port,
        state,
        project,
        seed=seed,
        on_ready=lambda address: console.print(f"local cloud ready at {address}/compute/v1/", highlight=False),
    )


def doctor() -> None:
    """Check environment, settings, databases, pools, connections, endpoints and free disk; say how to mend each."""
    from rich.text import Text

    from headroom.doctor import examine

    console = open_console()
    findings = examine()
    for finding in findings:
        word, colour = ("ok", "green") if finding.ok else ("mend", "red") if finding.needed else ("note", "yellow")
        console.print(Text.assemble((f"{word:5}", colour), f" {finding.subject}: {finding.detail}"))
        if not finding.ok:
            console.print(f"      -> {finding.remedy}", highlight=False)
    if any(not finding.ok and finding.needed for finding in findings):
        raise typer.Exit(1)


def compact() -> None:
    """Put together the lake's many small files, and delete those that were replaced more than a week ago. No row changes; safe at any time."""
    from headroom.lake_upkeep import tend_lake
    from headroom.runtime import Runtime

    console = open_console()
    with console.status("compacting the lake"):
        for done in tend_lake(Runtime.open().lake):
            console.print(str(done), highlight=False)
