"""One series of a backtest as SVG: what was measured, and in every window the median and the intervals given before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import NDArray

from headroom.backtest_page.axes import Axes, time_ticks, value_ticks
from headroom.vocabulary import MEDIAN

__all__ = ["BacktestFan", "draw_backtest_fan"]

# As wide as a column on a desk and not much wider than a phone, so that the letters are readable on both.
_WIDTH, _HEIGHT = 420.0, 232.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 8.0, 12.0, 26.0
_DATE_ROOM: Final = 52.0
# Bands from the widest to the narrowest: (class, lower column, upper column).
_BANDS: Final = (("b98", "0.01", "0.99"), ("b80", "0.1", "0.9"), ("b50", "0.2", "0.8"))
# Extreme quantiles must not flatten everything else: beyond the rest, the axis takes up to this share of its span for them.
_TAIL_SHARE: Final = 0.4
# Less than this share of the values' size is not magnified: ticks could not be told apart, and a constant would seem to move.
_LEAST_SPAN: Final = 0.02
# A chart with more steps than this is a smear of ink and a megabyte: it shows the last windows.
_MOST_STEPS: Final = 1500


@dataclass(frozen=True)
class BacktestFan:
    """What one chart shows.

    Attributes:
        key: unique on the page; letters, digits and hyphens.
        title: for people who hear the page.
        step: time between two rows.
        measured: `ds, y`, history before the first window included.
        forecast: `cutoff, ds, y`, quantile columns; several windows.
        words: cutoff -> what is said about its window.
    """

    key: str
    title: str
    step: pd.Timedelta
    measured: pd.DataFrame
    forecast: pd.DataFrame
    words: dict[pd.Timestamp, str]


def draw_backtest_fan(fan: BacktestFan) -> Markup:
    """The chart as one `<svg>` element that is styled by the page and readable without it being seen."""
    forecast = _last_windows(fan.forecast)
    context = forecast["ds"].max() - forecast["cutoff"].max()
    start = forecast["cutoff"].min() - context
    measured = fan.measured[(fan.measured["ds"] >= start) & (fan.measured["ds"] <= forecast["ds"].max())]
    ticks = value_ticks(*_value_span(measured, forecast))
    axes = Axes(
        left=_LEFT,
        top=_TOP,
        right=_WIDTH - _RIGHT,
        bottom=_HEIGHT - _BOTTOM,
        start=start,
        end=forecast["ds"].max() + fan.step,
        low=ticks[0],
        high=ticks[-1],
    )
    windows = [part for _, part in forecast.groupby("cutoff")]
    parts = [
        f'<svg class="fan" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-labelledby="{fan.key}-t">',
        f'<title id="{fan.key}-t">{escape(fan.title)}</title>',
        *_grid(axes, ticks),
        *(_area(axes, part, low, high, name, fan.step) for part in windows for name, low, high in _BANDS),
        f'<path class="median" d="{"".join(_line(axes, part, MEDIAN, fan.step) for part in windows)}"/>',
        f'<path class="history" d="{_line(axes, measured, "y", fan.step)}"/>',
        *(_window(axes, part, fan) for part in windows),
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 - every text inside went through escape()


def _last_windows(forecast: pd.DataFrame) -> pd.DataFrame:
    sizes = forecast.groupby("cutoff").size().sort_index(ascending=False).cumsum()
    kept = sizes.index[(sizes <= _MOST_STEPS) | (np.arange(len(sizes)) == 0)]
    return forecast[forecast["cutoff"].isin(kept)]


def _value_span(measured: pd.DataFrame, forecast: pd.DataFrame) -> tuple[float, float]:
    """Lower and upper end of what must be seen; 0 is included unless that would flatten the rest."""
    low = float(np.nanmin([measured["y"].min(), forecast["0.1"].min()]))
    high = float(np.nanmax([measured["y"].max(), forecast["0.9"].max()]))
    tail = _TAIL_SHARE * (high - low)
    low, high = max(float(forecast["0.01"].min()), low - tail), min(float(forecast["0.99"].max()), high + tail)
    low, high = min(low, float(measured["y"].min())), max(high, float(measured["y"].max()))
    pad = max(0.0, _LEAST_SPAN * max(abs(low), abs(high)) - (high - low)) / 2
    low, high = low - pad, high + pad
    return (0.0 if 0 < low < high / 2 else low), high


def _grid(axes: Axes, ticks: list[float]) -> list[str]:
    parts = []
    for value in ticks:
        y = axes.y(value)
        parts.append(f'<path class="grid" d="M{axes.left} {y}H{axes.right}"/>')
        parts.append(f'<text class="tick" x="{axes.left - 6}" y="{y + 4}" text-anchor="end">{tick_words(value)}</text>')
    for x, name in time_ticks(axes, _DATE_ROOM):
        parts.append(f'<path class="day" d="M{x} {axes.top}V{axes.bottom + 4}"/>')
        anchor = "end" if x > axes.right - _DATE_ROOM / 2 else "middle"
        parts.append(f'<text class="tick" x="{x}" y="{axes.bottom + 18}" text-anchor="{anchor}">{name}</text>')
    return parts


def tick_words(value: float) -> str:
    """A short number: at most five characters and a sign."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:.4g}"


def _window(axes: Axes, part: pd.DataFrame, fan: BacktestFan) -> str:
    """A line where the window begins, and an invisible area over it whose tooltip says how it went."""
    cutoff = part["cutoff"].iloc[0]
    left, right = axes.x(cutoff), axes.x(part["ds"].max() + fan.step)
    words = escape(fan.words.get(cutoff, f"{cutoff:%Y-%m-%d %H:%M}"))
    area = f'<path d="M{left} {axes.top}V{axes.bottom}H{right}V{axes.top}z"><title>{words}</title></path>'
    return f'<path class="cutoff" d="M{left} {axes.top}V{axes.bottom}"/><g class="hover">{area}</g>'


def _runs(rows: pd.DataFrame, column: str, step: pd.Timedelta) -> list[pd.DataFrame]:
    """The rows split where steps are missing, so that a gap stays a gap."""
    ordered = rows[rows[column].notna()].sort_values("ds")
    return [part for _, part in ordered.groupby((ordered["ds"].diff() > step).cumsum())]


def _line(axes: Axes, rows: pd.DataFrame, column: str, step: pd.Timedelta) -> str:
    """A line through the middles of the steps."""
    return "".join("M" + _points(axes.xs(run["ds"] + step / 2), axes.ys(run[column])) for run in _runs(rows, column, step))


def _area(axes: Axes, rows: pd.DataFrame, low: str, high: str, name: str, step: pd.Timedelta) -> str:
    paths = []
    for run in _runs(rows, MEDIAN, step):
        xs = axes.xs(run["ds"] + step / 2)
        around = np.concatenate([axes.ys(run[high]), axes.ys(run[low])[::-1]])
        paths.append("M" + _points(np.concatenate([xs, xs[::-1]]), around) + "Z")
    return f'<path class="{name}" d="{"".join(paths)}"/>' if paths else ""


def _points(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> str:
    return " ".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True))
