"""Plots of a training, as PNG files. Drawn without pyplot, which keeps state between calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from headroom.vocabulary import HORIZON_BUCKETS, MEDIAN, QUANTILE_COLUMNS, QUANTILES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_coverage", "plot_fan", "plot_importance", "plot_leaderboard", "plot_reliability", "plot_weights"]

_BEFORE = pd.Timedelta(days=4)
_DPI = 110
_INK, _PALE = "#1f4e79", "#9dc3e6"
# More bars than this cannot be read.
_MOST_BARS: Final = 20


def plot_leaderboard(leaderboard: pd.DataFrame, path: Path) -> None:
    """Bars: mean pinball loss of every candidate over the better naive's; below 1 is better than naive."""
    figure, axes = _drawing("Pinball loss over the better naive's, selection windows")
    rows = leaderboard.iloc[::-1]
    axes.barh(rows["candidate"], rows["ratio"], color=_PALE)
    axes.axvline(1, color=_INK, linewidth=1)
    for place, (ratio, weight) in enumerate(zip(rows["ratio"], rows["weight"], strict=True)):
        axes.text(ratio, place, f" {ratio:.2f}, weight {weight:.0%}", va="center", fontsize=8)
    axes.margins(x=0.25)
    figure.savefig(path, dpi=_DPI)


def plot_fan(rows: pd.DataFrame, history: pd.DataFrame, series: str, title: str, path: Path) -> None:
    """Median, 80 % and 98 % interval of a series' last window, and what was measured.

    Args:
        rows: `unique_id, cutoff, ds, *QUANTILE_COLUMNS`.
        history: `unique_id, ds, y`.
        series: one of `rows`.
    """
    mine = rows[rows["unique_id"] == series]
    own = mine[mine["cutoff"] == mine["cutoff"].max()].sort_values("ds")
    measured = history[(history["unique_id"] == series) & (history["ds"] >= own["ds"].min() - _BEFORE)]
    figure, axes = _drawing(title)
    hours = _plain(own["ds"])
    axes.fill_between(hours, own["0.01"], own["0.99"], color=_PALE, alpha=0.5, label="98 %", linewidth=0)
    axes.fill_between(hours, own["0.1"], own["0.9"], color=_PALE, label="80 %", linewidth=0)
    axes.plot(hours, own[MEDIAN], color=_INK, label="median")
    axes.plot(_plain(measured["ds"]), measured["y"], color="black", linewidth=0.8, label="measured")
    axes.set_ylim(bottom=min(0.0, float(own["0.01"].min()), float(measured["y"].min())))
    axes.tick_params(axis="x", rotation=30)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=_DPI)


def plot_reliability(sets: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Share of measurements at or below each quantile against its level; the diagonal is perfect."""
    figure, axes = _drawing("Reliability on the windows that did not select")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.6)
    for label, rows in sets.items():
        shares = [float((rows["y"] <= rows[column]).mean()) for column in QUANTILE_COLUMNS]
        axes.plot(QUANTILES, shares, marker="o", markersize=3, label=label)
    axes.set_xlabel("quantile")
    axes.set_ylabel("share of measurements at or below")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=_DPI)


def plot_coverage(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Coverage of the 80 % (left) and the 98 % interval by horizon bucket, beside what they promise.

    Args:
        tables: label -> rows of `models.breakdown.breakdown` of one segment.
    """
    figure, axes = _drawing("Coverage by horizon, on the windows that did not select")
    width, places = 0.8 / max(len(tables), 1), range(2 * len(HORIZON_BUCKETS))
    for shift, (label, table) in enumerate(tables.items()):
        shares = table.set_index("bucket").reindex(list(HORIZON_BUCKETS))
        heights = [*shares["coverage_80"], *shares["coverage_98"]]
        axes.bar([place + (shift + 0.5) * width - 0.4 for place in places], heights, width, label=label, color=(_PALE, _INK)[shift % 2])
    half = len(HORIZON_BUCKETS) - 0.5
    axes.hlines([0.8, 0.98], [-0.5, half], [half, 2 * half + 0.5], color="black", linewidth=0.8)
    axes.set_xticks(list(places), [f"{level} %\n{name} h" for level in (80, 98) for name in HORIZON_BUCKETS], fontsize=8)
    axes.set_ylim(0, 1.3)  # room for the legend
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    figure.savefig(path, dpi=_DPI)


def plot_importance(importance: pd.DataFrame, path: Path) -> None:
    """Bars: the share of the gain of the features (`feature, share`, the largest first) that LightGBM leans on most."""
    figure, axes = _drawing("What the LightGBM model leans on: share of the gain of all its boosters")
    rows = importance.head(_MOST_BARS).iloc[::-1]
    axes.barh(rows["feature"], rows["share"], color=_PALE)
    axes.tick_params(axis="y", labelsize=7)
    figure.savefig(path, dpi=_DPI)


def plot_weights(weights: pd.DataFrame, path: Path) -> None:
    """Stacked bars: the mean weight of every candidate in a segment's ensemble (index segment, a column per candidate)."""
    figure, axes = _drawing("Weights in the ensemble, mean over the series of a segment")
    rows = weights.head(_MOST_BARS).iloc[::-1]
    left = pd.Series(0.0, index=rows.index)
    for name in rows.columns[(rows > 0).any()]:
        axes.barh(rows.index.astype(str), rows[name], left=left, label=str(name))
        left += rows[name]
    axes.set_xlim(0, 1.45)  # room for the legend
    axes.set_xticks([0, 0.5, 1])
    axes.legend(frameon=False, fontsize=8, loc="center right")
    figure.savefig(path, dpi=_DPI)


def _drawing(title: str) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.2, right=0.96, bottom=0.16, top=0.9)  # an automatic layout would draw everything twice
    axes: Axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _plain(ds: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """UTC without its zone, which matplotlib draws without further libraries."""
    return ds.dt.tz_localize(None)
