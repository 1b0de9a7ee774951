"""Commands for what is in the cloud beside the plan: orphans, drift, and what it all cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headroom.console import open_console

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from infra.cloud import Cloud
    from infra.drift import Drift

__all__ = ["register"]

Regions = Annotated[list[str] | None, typer.Option("--region", help="Only this region; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (orphans, drift, bill):
        app.command()(command)


def orphans(
    collect: Annotated[bool, typer.Option("--collect", help="Delete those that nobody uses.")] = False,
    unnamed: Annotated[
        bool,
        typer.Option("--unnamed", help="Those without an installation's name too: no other installation without one works in the project."),
    ] = False,
) -> None:
    """Resources that bear Headroom's mark and that the ledger does not know; changes nothing without --collect.

    Example: headroom orphans --collect
    """
    import pandas as pd

    from headroom.allocation import open_cloud
    from headroom.runtime import Runtime
    from infra.ledger import Ledger
    from infra.orphans import collect as collect_orphans
    from infra.orphans import find_orphans

    console, opened = open_console(), Runtime.open()
    ledger, cloud = Ledger.open(opened.home.database_url), open_cloud(opened)
    found = find_orphans(opened.settings, ledger, cloud, unnamed=unnamed)
    for orphan in found:
        console.print(str(orphan), highlight=False)
    free = sum(not orphan.kept for orphan in found)
    if collect:
        for entry in collect_orphans(opened.settings, ledger, cloud, found, now=pd.Timestamp.now(tz="UTC")):
            console.print(f"{entry.state}: {entry.action.description} {entry.message}".rstrip(), highlight=False)
    elif free:
        console.print(f"{free} may be collected: headroom orphans --collect{' --unnamed' if unnamed else ''}", highlight=False)
    if not found:
        console.print("no orphans", highlight=False)


def drift(
    region: Regions = None,
    mend: Annotated[bool, typer.Option("--mend", help="Bring it back to the newest plan that was acted upon.")] = False,
    adopt: Annotated[
        str | None, typer.Option(help="Keep what was changed on this service; `attachment` for the region's interconnect.")
    ] = None,
    hours: Annotated[float, typer.Option(help="How long --adopt lasts, at most 720.")] = 24.0,
    why: Annotated[str, typer.Option(help="The reason of --adopt, kept in the ledger.")] = "",
) -> None:
    """What somebody changed by hand on resources that Headroom keeps; changes nothing without --mend or --adopt.

    Example: headroom drift --adopt web --hours 6 --why "load test"
    """
    import pandas as pd

    from headroom.allocation import open_cloud
    from headroom.errors import BadInputError
    from headroom.runtime import Runtime
    from infra.drift import find_drift
    from infra.ledger import Ledger

    if mend and adopt is not None:
        raise BadInputError("--mend brings back what --adopt would keep; give one of them")
    console, opened = open_console(), Runtime.open()
    chosen = region or sorted(opened.settings.regions)
    if unknown := sorted(set(chosen) - set(opened.settings.regions)):
        raise BadInputError(f"--region {unknown[0]}: not in the settings; known: {', '.join(sorted(opened.settings.regions))}")
    ledger, cloud = Ledger.open(opened.home.database_url), open_cloud(opened)
    rows = [row for name in chosen for row in find_drift(ledger, cloud, region=name, now=pd.Timestamp.now(tz="UTC"))]
    for name in chosen:
        if under_way := len(ledger.unfinished(name)):
            console.print(
                f"{name}: {under_way} calls are under way, so nothing can be said; run headroom apply, then look again", style="yellow"
            )
    for row in rows:
        console.print(str(row), highlight=False)
    if not rows:
        console.print("nothing has drifted", highlight=False)
    elif mend:
        _mend(rows)
    elif adopt is not None:
        _adopt(rows, cloud, "" if adopt == "attachment" else adopt, hours, why)


def bill(
    hours: Annotated[int, typer.Option(help="Length of the window.", min=1, max=24 * 400)] = 24,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="End of the window, UTC. Default: an hour after the newest reconciliation.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only this region.")] = None,
    by: Annotated[str, typer.Option(help="One line per: hour, day or region.")] = "day",
) -> None:
    """What was held and what it cost at list prices, beside the plan, beside changing nothing, and beside holding the peak.

    Example: headroom bill --hours 168 --by region
    """
    import pandas as pd

    from headroom.errors import BadInputError
    from headroom.issue_time import as_utc
    from headroom.runtime import Runtime
    from infra.bill import hourly_bill
    from infra.ledger import Ledger

    keys = {"hour": "ds", "day": "day", "region": "region"}
    if by not in keys:
        raise BadInputError(f"--by {by}: must be one of {', '.join(keys)}")
    console, opened = open_console(), Runtime.open()
    ledger = Ledger.open(opened.home.database_url)
    newest = ledger.newest_issue_time(region)
    if newest is None:
        raise BadInputError("nothing was ever reconciled, so there is no bill; run headroom apply")
    end = as_utc(as_of, "--as-of").floor("h") if as_of else newest + pd.Timedelta("1h")
    start = end - pd.Timedelta(hours=hours)
    # A plan has 72 hours; one that is older says nothing about the window.
    plans = opened.lake.read("plans", start=start - pd.Timedelta("72h"), end=end)
    rows = hourly_bill(ledger, plans, start=start, end=end, region=region)
    if rows.empty:
        raise BadInputError(
            f"no reconciliation has said what was held between {start.isoformat()} and {end.isoformat()}; choose another --as-of, or "
            "run headroom apply: the bill begins with it"
        )
    rows["day"] = rows["ds"].dt.floor("D").dt.strftime("%Y-%m-%d")
    rows["ds"] = rows["ds"].dt.strftime("%Y-%m-%d %H:00")
    _print_bill(console, rows, keys[by])


def _print_bill(console: Console, rows: pd.DataFrame, key: str) -> None:
    from rich.table import Table

    columns = {"held_usd": "held", "plan_usd": "planned", "unchanged_usd": "unchanged", "peak_usd": "peak held"}
    table = Table(title=f"USD at list prices, {len(rows)} hours of {rows['region'].nunique()} regions")
    table.add_column({"ds": "hour"}.get(key, key))
    for words in columns.values():
        table.add_column(words, justify="right")
    sums = rows.groupby(key)[list(columns)].sum(min_count=1)
    for name, row in [*sums.iterrows(), ("total", rows[list(columns)].sum(min_count=1))]:
        table.add_row(str(name), *("no plan" if value != value else f"{value:,.2f}" for value in row))
    console.print(table)


def _mend(rows: list[Drift]) -> None:
    from headroom.allocation import reconcile_region
    from headroom.errors import BadInputError
    from headroom.runtime import Runtime
    from infra.ledger import Ledger

    console, opened = open_console(), Runtime.open()
    issue_time = Ledger.open(opened.home.database_url).newest_issue_time()
    if issue_time is None:
        raise BadInputError("no plan was acted upon yet, so there is nothing to go back to; run headroom apply")
    for region in sorted({row.region for row in rows}):
        done = reconcile_region(opened, issue_time=issue_time, region=region, dry_run=False)
        for action in done.actions:
            console.print(f"{action['state']}: {action['description']}", highlight=False)


def _adopt(rows: list[Drift], cloud: Cloud, service: str, hours: float, why: str) -> None:
    import pandas as pd

    from headroom.runtime import Runtime
    from infra.adoptions import adopt
    from infra.ledger import Ledger

    console, opened = open_console(), Runtime.open()
    ledger = Ledger.open(opened.home.database_url)
    for region in sorted({row.region for row in rows if row.service == service}) or [rows[0].region]:
        held: dict[str, int] = {}
        for reservation in (r for zone in opened.settings.regions[region].zones for r in cloud.reservations(zone)):
            held[reservation.name] = held.get(reservation.name, 0) + reservation.count
        mine = [row for row in rows if row.region == region]
        made = adopt(ledger, mine, held, service=service, now=pd.Timestamp.now(tz="UTC"), lasts=pd.Timedelta(hours=hours), why=why)
        for kept in made:
            asked = opened.settings.services.get(kept.service)
            of = f" {kept.machine_type}" if asked is not None and kept.machine_type in asked.capacity.also else ""
            console.print(f"{region}: {kept.what} {kept.amount:g}{of} is kept until {kept.until:%Y-%m-%d %H:%M} UTC", highlight=False)
