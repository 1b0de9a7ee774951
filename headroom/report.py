"""The report: one self-contained HTML page that shows what is expected, what is held for it, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from headroom.errors import BadInputError
from headroom.home import Home
from headroom.lake import Lake
from headroom.report_page.anomaly_list import anomaly_spans
from headroom.report_page.chart_data import read_charts
from headroom.report_page.correction_chart import correction_figures
from headroom.report_page.fan_chart import draw_fan_chart
from headroom.report_page.fan_data import FanChart
from headroom.settings import Settings
from headroom.summary import ServiceSummary, Summary, summarise
from headroom.summary_text import amount, corrected_words, spent_words
from headroom.vocabulary import SeriesId

__all__ = ["write_report"]

_PAGE: Final = Path(__file__).with_name("report_page")
_RECENT: Final = pd.Timedelta(days=7)
_SHOWN_ANOMALIES: Final = 12
_SHOWN_SPELLS: Final = 12
_SHOWN_CORRECTED: Final = 6


@dataclass(frozen=True)
class _Figure:
    """One chart with its captions."""

    series: SeriesId
    svg: Markup
    upcoming: tuple[tuple[pd.Timestamp, str], ...]


@dataclass(frozen=True)
class _Accuracy:
    """How the forecasts of the last week did, over every hour that has been measured since.

    `covered` is the share inside the 80 % interval; `met` the share whose demand the planned hot capacity carried, None
    where no plan can be compared.
    """

    hours: int
    covered: float
    met: float | None


def write_report(
    settings: Settings, home: Home, lake: Lake, *, issue_time: pd.Timestamp | None = None, links: Mapping[str, str] | None = None
) -> Path:
    """Write the page for the newest forecast that is not after `issue_time` (None: the newest) to `home.report`.

    The page needs no network, no script and no other file. It replaces the one before in a single step: a reader never sees half a page.

    Args:
        settings: which services there are, and their capacity models.
        home: where the page goes, and where the ledger and the promotion log are.
        lake: forecasts, plans, demand, events, anomalies, outcomes.
        issue_time: what the page may know; only demand that was measured later is shown too, beside its forecast.
        links: name -> http(s) address, such as Airflow's. MLflow's and the Data Docs' are added when there are some.

    Raises:
        BadInputError: when there is no forecast yet, or a link is not an http(s) address.
    """
    addresses = _links(home, links or {})
    summary = summarise(settings, home, lake, issue_time=issue_time)
    charts = read_charts(settings, lake, issue_time=issue_time)
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            style=Markup((_PAGE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            project=settings.cloud.project,
            policy=settings.policy,
            summary=summary,
            accuracy=_accuracy(lake, summary.issue_time),
            tier_hours=_tier_hours(summary),
            machines=_machines(summary),
            regions=_by_region(summary.services, charts),
            anomalies=anomaly_spans(charts),
            shown_anomalies=_SHOWN_ANOMALIES,
            shown_spells=_SHOWN_SPELLS,
            corrected_figures=correction_figures(summary.corrected, most=_SHOWN_CORRECTED) if summary.corrected else [],
            links=addresses,
        )
    )
    home.report.parent.mkdir(parents=True, exist_ok=True)
    fresh = home.report.with_name(f".{home.report.name}.{os.getpid()}")
    fresh.write_text(page, encoding="utf-8")
    return fresh.replace(home.report)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(amount=amount, usd="{:,.0f}".format, percent="{:.0%}".format, stamp=_stamp, until=_until)
    environment.filters.update(spent=spent_words, corrected=corrected_words)
    return environment


def _stamp(when: pd.Timestamp) -> str:
    return f"{when:%a} {when.day} {when:%b %H:%M}"


def _until(end: pd.Timestamp, start: pd.Timestamp) -> str:
    """The end of a time whose start is written before it."""
    return f"{end:%H:%M}" if end.date() == start.date() else _stamp(end)


def _accuracy(lake: Lake, issued: pd.Timestamp) -> _Accuracy | None:
    rows = lake.read("outcomes", start=issued - _RECENT, end=issued, columns=["covered_80", "unmet"])
    if rows.empty:
        return None
    unmet = rows["unmet"].dropna()
    met = float((unmet <= 0).mean()) if len(unmet) else None
    return _Accuracy(len(rows), float(rows["covered_80"].astype(float).mean()), met)


def _tier_hours(summary: Summary) -> dict[str, float]:
    """Share of all service hours in each tier."""
    hours = {tier: sum(s.tier_hours.get(tier, 0) for s in summary.services) for tier in ("high", "medium", "low")}
    total = sum(hours.values())
    return {tier: count / total for tier, count in hours.items()} if total else {}


def _machines(summary: Summary) -> dict[str, float]:
    pools = [pool for service in summary.services for pool in service.pools if pool.resource == "instances"]
    return {"hot": sum(p.hot for p in pools), "warm": sum(p.warm for p in pools)}


def _by_region(
    services: tuple[ServiceSummary, ...], charts: Mapping[SeriesId, FanChart]
) -> dict[str, list[tuple[ServiceSummary, list[_Figure]]]]:
    regions: dict[str, list[tuple[ServiceSummary, list[_Figure]]]] = {}
    for service in services:
        mine = [_figure(series, chart) for series, chart in charts.items() if series[:2] == (service.region, service.service)]
        regions.setdefault(service.region, []).append((service, mine))
    return regions


def _figure(series: SeriesId, chart: FanChart) -> _Figure:
    ahead = chart.events[chart.events["end"] > chart.issue_time].sort_values("start")
    return _Figure(series, draw_fan_chart(chart), tuple(ahead[["start", "title"]].itertuples(index=False, name=None)))


def _links(home: Home, given: Mapping[str, str]) -> dict[str, str]:
    """Addresses that a reader may follow; the page itself asks for none of them."""
    for name, address in given.items():
        if urlsplit(address).scheme not in {"http", "https"}:
            raise BadInputError(f"link {name} {address!r}: expected an http or https address")
    own = {"MLflow": home.mlflow_uri} if urlsplit(home.mlflow_uri).scheme in {"http", "https"} else {}
    docs = home.data_docs / "index.html"
    local = {"Data Docs": os.path.relpath(docs, home.report.parent)} if docs.is_file() else {}
    return {**own, **local, **given}
