"""The summary as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from headroom.corrected import Corrected
    from headroom.spent import Spent
    from headroom.summary import DemandPeak, PoolLine, ServiceSummary, Summary
    from models.promotion_log import Promotion

__all__ = ["amount", "champion_words", "corrected_words", "demand_words", "print_summary", "saving_words", "spent_words"]

_TIER_STYLES: Final = {"high": "green", "medium": "yellow", "low": "red"}


def print_summary(summary: Summary, console: Console) -> None:
    """Print what is expected, held and spent per region and service, then the champion, the data and the report's place."""
    planned = "no plan yet" if summary.planned_at is None else f"plan of {summary.planned_at:%Y-%m-%d %H:%M} UTC"
    title = f"Next {summary.hours} h from {summary.issue_time:%Y-%m-%d %H:%M} UTC, {planned}"
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=False, pad_edge=False, box=None)
    table.add_column("region")
    table.add_column("service")
    table.add_column("peak (80 % interval)", no_wrap=True)
    table.add_column("confidence", no_wrap=True)
    table.add_column("hot", justify="right", no_wrap=True)
    table.add_column("warm", justify="right", no_wrap=True)
    table.add_column("cold", justify="right", no_wrap=True)
    table.add_column("unmet", justify="right", no_wrap=True)
    table.add_column("USD/day", justify="right", no_wrap=True)
    table.add_column("at peak", justify="right", no_wrap=True)
    for service in summary.services:
        _add_service(table, service)
    table.add_section()
    table.add_row("all", "", "", "", "", "", "", "", f"{summary.usd_per_day:,.0f}", f"{summary.peak_usd_per_day:,.0f}", style="bold")
    console.print(table)
    if any(pool.planned for service in summary.services for pool in service.pools):
        console.print("* planned; no reconciliation has confirmed it yet", style="dim")
    console.print(f"cost      {saving_words(summary.usd_per_day, summary.peak_usd_per_day)}", highlight=False)
    if summary.held_usd_per_day is not None:
        console.print(f"held      {summary.held_usd_per_day:,.0f} USD/day of reservations, standby and attachments", highlight=False)
    if summary.spent is not None:
        console.print(f"spent     {spent_words(summary.spent)}", highlight=False)
    if summary.corrected is not None:
        console.print(f"corrected {corrected_words(summary.corrected)}", highlight=False)
    for request in summary.quota_requests:
        console.print(f"quota     {request}", style="yellow", highlight=False)
    console.print(f"champion  {champion_words(summary.champion)}", highlight=False)
    for reason in summary.fallbacks:
        console.print(f"fallback  {reason}", style="yellow", highlight=False)
    console.print(f"data      {summary.data.ingested:,} rows ingested, {summary.data.quarantined:,} quarantined", highlight=False)
    console.print(f"report    {summary.report}", highlight=False, soft_wrap=True)


def demand_words(demand: DemandPeak) -> str:
    """For example `41.2 vCPU (36.0-47.1)`."""
    return f"{amount(demand.median)} {demand.unit} ({amount(demand.low)}-{amount(demand.high)})"


def champion_words(champion: Promotion | None) -> str:
    """Name, version and score against the best naive forecast."""
    if champion is None:
        return "none promoted yet: seasonal naive forecasts"
    score = "" if champion.score is None else f", {champion.score:.3f} x the pinball loss of the best naive"
    return f"{champion.model} version {champion.version}{score}"


def saving_words(usd_per_day: float, peak_usd_per_day: float) -> str:
    """The plan's cost against the peak held all day."""
    share = f", {1 - usd_per_day / peak_usd_per_day:.0%} less" if 0 < usd_per_day <= peak_usd_per_day else ""
    return f"{usd_per_day:,.0f} USD/day, holding the peak all day would be {peak_usd_per_day:,.0f}{share}"


def spent_words(spent: Spent) -> str:
    """The bill of the last days, beside the plans and beside doing nothing."""
    days = "hour" if spent.hours == 1 else f"{spent.hours} h"
    return f"{spent.held_usd:,.0f} USD in the last {days}: planned {spent.plan_usd:,.0f}, had nobody changed anything {spent.unchanged_usd:,.0f}"


def corrected_words(corrected: Corrected) -> str:
    """What ran between the plans of the last days, and what it cost beyond them."""
    if not corrected.spells:
        return "no plan in the last 7 days: nothing more was needed than hot"
    times = "once" if len(corrected.spells) == 1 else f"{len(corrected.spells)} times"
    short = f"; {corrected.short} fell short" if corrected.short else ""
    return (
        f"{times} in the last 7 days: {amount(corrected.machine_hours)} machine-hours and {corrected.usd:,.2f} USD beyond the plans{short}"
    )


def amount(value: float) -> str:
    """Three significant digits, thousands in full."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 and value % 1 else f"{value:.3g}"


def _add_service(table: Table, service: ServiceSummary) -> None:
    style = _TIER_STYLES.get(service.tier, "dim")
    table.add_row(
        service.region,
        service.service,
        "\n".join(demand_words(d) for d in service.demands),
        Text(f"{service.confidence:.2f} ").append(service.tier, style),
        "\n".join(_pool_words(p, p.hot) for p in service.pools),
        "\n".join(_pool_words(p, p.warm, standby=True) for p in service.pools),
        "\n".join(amount(p.cold) for p in service.pools),
        Text("\n".join(amount(p.unmet) for p in service.pools), "red" if any(p.unmet for p in service.pools) else ""),
        f"{service.usd_per_day:,.0f}",
        f"{service.peak_usd_per_day:,.0f}",
    )


def _pool_words(pool: PoolLine, value: float, *, standby: bool = False) -> str:
    """An amount with its unit; a star marks what is planned and not yet confirmed by the ledger."""
    star = "*" if pool.planned and not standby else ""
    if standby:
        return amount(value) if pool.resource == "instances" else "-"
    return f"{amount(value)} {pool.machine_type if pool.resource == 'instances' else pool.unit}{star}"
