"""A plan as text for a terminal: per region and service what is hot, warm, cold and unmet, why, and the limits that bind."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from headroom.summary_text import amount
from infra.budget import plan_usd_per_day

if TYPE_CHECKING:
    from headroom.allocation import MadePlan

__all__ = ["print_plan", "without_limits"]

_POOLS: Final = ("hot", "warm", "cold", "unmet")


def print_plan(made: MadePlan, plan: pd.DataFrame, console: Console, *, project: str) -> None:
    """Print every service in the hour in which it is shortest, or else needs most; then the limits that bind, and the quotas to ask for.

    Args:
        plan: the rows of `made`, in the `plans` schema.
        project: of Google Cloud, for the commands that ask for quotas.
    """
    title = f"Plan of {made.issue_time:%Y-%m-%d %H:%M} UTC, every service in the hour in which it is shortest or needs most"
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=False, pad_edge=False, box=None)
    for name in ("region", "service", "hour"):
        table.add_column(name)
    for name in (*_POOLS, "USD/day"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for (region, service), rows in plan.groupby(["region", "service"], sort=True):
        _add_service(table, str(region), str(service), rows, made.limits)
    console.print(table)
    if made.limits:
        console.print("limits that bind:", highlight=False)
    for words in made.limits:
        console.print(f"  {words}", highlight=False)
    if made.quota_requests:
        console.print("quotas to ask Google for; nothing asks by itself (docs/runbooks/quota.md):", style="yellow", highlight=False)
    for request in made.quota_requests:
        console.print(f"  {request}", highlight=False)
        console.print(f"    {request.command(project)}", highlight=False, soft_wrap=True)


def without_limits(why: str, limits: Collection[str]) -> str:
    """The reason of a line without the prices of limits, which are told once for all lines."""
    return "; ".join(part for part in why.split("; ") if part not in limits)


def _add_service(table: Table, region: str, service: str, rows: pd.DataFrame, limits: Collection[str]) -> None:
    rows = rows.assign(unmet=rows["unmet"].astype(float).fillna(0.0))
    machines = rows[rows["resource"] == "instances"]
    by_hour = (machines if len(machines) else rows).groupby("ds")[["unmet", "needed"]].sum()
    hour = by_hour.sort_values(["unmet", "needed"], ascending=False, kind="stable").index[0]
    at_hour = rows[rows["ds"] == hour].sort_values("resource", key=lambda names: names != "instances", kind="stable")
    for number, row in enumerate(at_hour.to_dict("records")):
        first = number == 0
        table.add_row(
            region if first else "",
            service if first else "",
            f"{hour:%a %H:%M}" if first else "",
            *(_cell(row, pool) for pool in _POOLS),
            f"{plan_usd_per_day(rows):,.0f}" if first else "",
            without_limits(str(row["why"]), limits),
        )


def _cell(row: dict[str, Any], pool: str) -> Text:
    machines = row["resource"] == "instances"
    if pool == "warm" and not machines:
        return Text("-")
    unit = f" {row['machine_type'] if machines else row['unit']}" if pool == "hot" else ""
    return Text(f"{amount(row[pool])}{unit}", "red" if pool == "unmet" and row[pool] > 0 else "")
