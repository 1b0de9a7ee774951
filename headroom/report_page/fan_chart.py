"""A fan chart as SVG: history, median, intervals, events, and the capacity planned for it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import NDArray

from headroom.report_page.fan_data import FanChart
from headroom.report_page.hour_words import anomalous_hours, hours_ahead, hours_behind
from headroom.report_page.scales import Frame, nice_ticks
from headroom.summary_text import amount

__all__ = ["draw_fan_chart"]

_WIDTH: Final = 760.0
_HEIGHT: Final = 286.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 30.0, 42.0
_STRIP: Final = 6.0
_NAME_ROOM: Final = 36.0
_HOUR: Final = pd.Timedelta("1h")
# Bands from the widest to the narrowest: (class, lower column, upper column).
_BANDS: Final = (("b98", "0.01", "0.99"), ("b80", "0.1", "0.9"), ("b50", "0.25", "0.75"))
# An extreme 99 % quantile must not flatten everything else: the axis ends at this multiple of the rest.
_LONGEST_TAIL: Final = 1.6


def draw_fan_chart(chart: FanChart) -> Markup:
    """The chart as one `<svg>` element that is styled by the page and readable without it being seen."""
    ticks = nice_ticks(_highest(chart))
    frame = Frame(
        left=_LEFT,
        top=_TOP,
        width=_WIDTH - _LEFT - _RIGHT,
        height=_HEIGHT - _TOP - _BOTTOM,
        start=min([chart.issue_time, *chart.history["ds"].head(1)]),
        issue_time=chart.issue_time,
        end=chart.forecast["ds"].max() + _HOUR,
        top_value=ticks[-1],
    )
    parts = [
        f'<svg class="fan" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-labelledby="{chart.key}-t {chart.key}-d">',
        f'<title id="{chart.key}-t">{escape(chart.title)}</title>',
        f'<desc id="{chart.key}-d">{escape(_description(chart))}</desc>',
        *_grid(chart, frame, ticks),
        *_events(chart, frame),
        *_bands(chart, frame),
        *_lines(chart, frame),
        *_tier_strip(chart, frame),
        *_hover(chart, frame),
        *_anomalies(chart, frame),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 - every text inside went through escape()


def _highest(chart: FanChart) -> float:
    """Upper end of the data that must be seen."""
    tail = chart.forecast["0.99"].max()
    columns = (
        chart.history["y"],
        chart.measured["y"],
        chart.forecast["0.9"],
        chart.capacity["hot"],
        chart.capacity["held"],
        chart.earlier["0.9"],
        chart.anomalies["y"],
    )
    rest = max((float(c.max()) for c in columns if len(c)), default=0.0)
    return min(float(tail), rest * _LONGEST_TAIL) if tail > rest else rest


def _description(chart: FanChart) -> str:
    top = chart.forecast.to_dict("records")[int(chart.forecast["0.5"].to_numpy().argmax())]
    words = (
        f"Forecast for {chart.forecast['ds'].nunique()} hours from {chart.issue_time:%Y-%m-%d %H:%M} UTC. The median peaks at "
        f"{amount(top['0.5'])} {chart.unit} on {top['ds']:%a %d %b %H:%M}, 80 % interval {amount(top['0.1'])} to {amount(top['0.9'])}."
    )
    ahead = chart.capacity[chart.capacity["ds"] >= chart.issue_time]
    if len(ahead):
        words += f" Planned hot capacity is {amount(ahead['hot'].min())} to {amount(ahead['hot'].max())} {chart.unit}."
    if len(chart.anomalies):
        words += f" Anomalous hours: {len(chart.anomalies)}, the last on {chart.anomalies['ds'].max():%a %d %b %H:%M}."
    return words


def _grid(chart: FanChart, frame: Frame, ticks: list[float]) -> list[str]:
    now = frame.x(chart.issue_time)
    parts = [f'<rect class="ahead" x="{now}" y="{frame.top}" width="{frame.right - now:.1f}" height="{frame.height}"/>']
    for value in ticks:
        y = frame.y(value)
        parts.append(f'<path class="grid" d="M{frame.left} {y}H{frame.right}"/>')
        parts.append(f'<text class="tick" x="{frame.left - 7}" y="{y + 3.5}" text-anchor="end">{amount(value)}</text>')
    parts.append(f'<text class="unit" x="{frame.left - 7}" y="{frame.top - 12}" text-anchor="end">{escape(chart.unit)}</text>')
    parts += _days(chart, frame)
    label = f"issued {chart.issue_time:%a %H:%M}"
    parts.append(f'<path class="now" d="M{now} {frame.top - 6}V{frame.bottom}"/>')
    parts.append(f'<text class="nowlabel" x="{now}" y="{frame.top - 12}" text-anchor="middle">{label}</text>')
    return parts


def _days(chart: FanChart, frame: Frame) -> list[str]:
    """A line and a name per day, the name only where it has room; the month is named ahead, where there is more."""
    parts = []
    for day in pd.date_range(frame.start.ceil("D"), frame.end, freq="D"):
        x, room = frame.x(day), frame.x(day + pd.Timedelta(days=1)) - frame.x(day)
        parts.append(f'<path class="day" d="M{x} {frame.top}V{frame.bottom + _STRIP + 5}"/>')
        if room >= _NAME_ROOM:
            name = f"{day:%a} {day.day} {day:%b}" if day >= chart.issue_time else f"{day:%a} {day.day}"
            parts.append(f'<text class="tick" x="{x + 3}" y="{frame.bottom + _STRIP + 17}">{name}</text>')
    return parts


def _events(chart: FanChart, frame: Frame) -> list[str]:
    parts = []
    for start, end, title in chart.events[["start", "end", "title"]].itertuples(index=False, name=None):
        left, right = frame.x(start), frame.x(end)
        width = max(right - left, 2.0)
        middle = left + width / 2
        words = escape(f"{title}, {start:%a %d %b %H:%M} to {end:%H:%M} UTC")
        parts.append(
            f'<g class="event"><title>{words}</title><rect x="{left}" y="{frame.top}" width="{width:.1f}" height="{frame.height}"/>'
            f'<path d="M{middle - 4:.1f} {frame.top - 7}h8l-4 6z"/></g>'
        )
    return parts


def _bands(chart: FanChart, frame: Frame) -> list[str]:
    parts = [_area(frame, chart.earlier, "0.1", "0.9", "earlier")]
    parts += [_area(frame, chart.forecast, low, high, name) for name, low, high in _BANDS]
    return parts


def _lines(chart: FanChart, frame: Frame) -> list[str]:
    hot = _steps(frame, chart.capacity, "hot")
    warm = chart.capacity[chart.capacity["held"] > chart.capacity["hot"]]
    xs, ys = frame.xs(chart.measured["ds"] + _HOUR / 2), frame.ys(chart.measured["y"])
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.6"/>' for x, y in zip(xs, ys, strict=True))
    return [
        f'<path class="warm" d="{_steps(frame, chart.capacity, "held")}"/>' if len(warm) else "",
        f'<path class="history" d="{_line(frame, chart.history, "y")}"/>',
        f'<path class="median" d="{_line(frame, chart.forecast, "0.5")}"/>',
        f'<path class="hot" d="{hot}"/>' if hot else "",
        f'<g class="measured">{dots}</g>' if dots else "",
    ]


def _tier_strip(chart: FanChart, frame: Frame) -> list[str]:
    """One bar per run of hours in the same tier, under the axis."""
    ahead = chart.capacity[chart.capacity["ds"] >= chart.issue_time]
    runs = ahead.groupby((ahead["tier"] != ahead["tier"].shift()).cumsum()).agg(
        tier=("tier", "first"), start=("ds", "min"), end=("ds", "max")
    )
    parts = []
    for tier, start, end in runs.itertuples(index=False, name=None):
        left, right = frame.x(start), frame.x(end + _HOUR)
        words = f"{tier} confidence, {start:%a %H:%M} to {end + _HOUR:%a %H:%M}"
        parts.append(
            f'<rect class="tier {escape(tier)}" x="{left}" y="{frame.bottom + 2}" width="{right - left:.1f}" height="{_STRIP}"><title>{escape(words)}</title></rect>'
        )
    return parts


def _hover(chart: FanChart, frame: Frame) -> list[str]:
    """An invisible column per hour whose tooltip has the hour's figures."""
    words = pd.concat([hours_behind(chart), hours_ahead(chart)])
    lefts, rights = frame.xs(words["ds"]), frame.xs(words["ds"] + _HOUR)
    columns = [
        f'<path d="M{left:g} {frame.top}V{frame.bottom}H{right:g}V{frame.top}z"><title>{escape(text)}</title></path>'
        for left, right, text in zip(lefts, rights, words["words"], strict=True)
    ]
    return ['<g class="hover">', *columns, "</g>"]


def _anomalies(chart: FanChart, frame: Frame) -> list[str]:
    """A ring around every anomalous hour; above the invisible columns, so that its own tooltip shows."""
    rows = anomalous_hours(chart)
    xs, ys = frame.xs(rows["ds"] + _HOUR / 2), frame.ys(rows["y"])
    return [
        f'<circle class="anomaly" cx="{x:g}" cy="{y:g}" r="4.5"><title>{escape(words)}</title></circle>'
        for x, y, words in zip(xs, ys, rows["words"], strict=True)
    ]


def _runs(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows split where hours are missing, so that a gap stays a gap."""
    ordered = rows.sort_values("ds")
    return [part for _, part in ordered.groupby((ordered["ds"].diff() > _HOUR).cumsum())]


def _line(frame: Frame, rows: pd.DataFrame, column: str) -> str:
    """A line through the middles of the hours."""
    return "".join("M" + _points(frame.xs(part["ds"] + _HOUR / 2), frame.ys(part[column])) for part in _runs(rows))


def _area(frame: Frame, rows: pd.DataFrame, low: str, high: str, name: str) -> str:
    paths = []
    for part in _runs(rows):
        xs = frame.xs(part["ds"] + _HOUR / 2)
        xs_around = np.concatenate([xs, xs[::-1]])
        ys_around = np.concatenate([frame.ys(part[high]), frame.ys(part[low])[::-1]])
        paths.append("M" + _points(xs_around, ys_around) + "Z")
    return f'<path class="{name}" d="{"".join(paths)}"/>' if paths else ""


def _steps(frame: Frame, rows: pd.DataFrame, column: str) -> str:
    """A line that keeps each hour's amount from its start to its end."""
    paths = []
    for part in _runs(rows):
        xs = np.column_stack([frame.xs(part["ds"]), frame.xs(part["ds"] + _HOUR)]).ravel()
        paths.append("M" + _points(xs, np.repeat(frame.ys(part[column]), 2)))
    return "".join(paths)


def _points(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> str:
    return " ".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True))
