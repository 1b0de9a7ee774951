"""Plots of a training, as PNG files: leaderboard, fan chart, reliability. Drawn without pyplot, which keeps state between calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS, QUANTILES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_fan", "plot_leaderboard", "plot_reliability"]

_BEFORE = pd.Timedelta(days=4)
_DPI = 110
_INK, _PALE = "#1f4e79", "#9dc3e6"


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


def plot_fan(rows: pd.DataFrame, history: pd.DataFrame, path: Path) -> None:
    """Median, 80 % and 98 % interval of the last window, and what was measured, of the most variable series.

    Args:
        rows: out-of-fold rows of the ensemble.
        history: `unique_id, ds, y`.
    """
    demand = rows.groupby("unique_id")["y"]
    series = str((demand.std() / demand.mean()).idxmax())
    own = rows[(rows["unique_id"] == series) & (rows["cutoff"] == rows["cutoff"].max())].sort_values("ds")
    measured = history[(history["unique_id"] == series) & (history["ds"] >= own["ds"].min() - _BEFORE)]
    figure, axes = _drawing(f"{series}: the last backtest window, before calibration")
    hours = _plain(own["ds"])
    axes.fill_between(hours, own["0.01"], own["0.99"], color=_PALE, alpha=0.5, label="98 %", linewidth=0)
    axes.fill_between(hours, own["0.1"], own["0.9"], color=_PALE, label="80 %", linewidth=0)
    axes.plot(hours, own[MEDIAN], color=_INK, label="median")
    axes.plot(_plain(measured["ds"]), measured["y"], color="black", linewidth=0.8, label="measured")
    axes.set_ylim(bottom=0)
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
