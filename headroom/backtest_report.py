"""What a backtest leaves behind: forecasts, metrics, leaderboard, and one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from headroom.atomic_write import write_whole
from headroom.backtest_judgement import Judgement, metrics
from headroom.backtest_page.chosen_series import chosen_series
from headroom.backtest_page.fan_chart import BacktestFan, draw_backtest_fan
from headroom.backtest_page.feature_words import feature_words
from headroom.backtest_page.reliability_chart import draw_reliability
from headroom.backtest_page.summary_words import share_words, step_words, summary_words
from headroom.vocabulary import QUANTILE_COLUMNS
from models.accuracy import FINAL, INTERVALS, NAIVE_PREFIX

__all__ = ["BACKTEST_FILES", "write_backtest"]

BACKTEST_FILES: Final = ("forecasts.parquet", "metrics.json", "leaderboard.csv", "index.html")
_PAGE: Final = Path(__file__).with_name("backtest_page")
# Both pages look alike: the report's style, and what only this page needs.
_STYLES: Final = (Path(__file__).with_name("report_page") / "page.css", _PAGE / "page.css")
_SHOWN_WEIGHTS: Final = 3
_SHOWN_FEATURES: Final = 15


@dataclass(frozen=True)
class _Figure:
    """One fan chart with its captions."""

    unique_id: str
    why: str
    measures: dict[Hashable, Any]
    blend: str
    svg: Markup


def write_backtest(judgement: Judgement, folder: Path) -> Path:
    """Write `BACKTEST_FILES` to the folder, each in a single step; other files there stay. Returns the page.

    `forecasts.parquet` holds the final forecast: `unique_id, cutoff, ds, *QUANTILE_COLUMNS, y`, times in UTC without a zone.
    """
    forecasts = judgement.final[["unique_id", "cutoff", "ds", *QUANTILE_COLUMNS, "y"]].reset_index(drop=True)
    text = json.dumps(metrics(judgement), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    page = _page(judgement)
    write_whole(folder / "forecasts.parquet", lambda path: forecasts.to_parquet(path, index=False))
    write_whole(folder / "metrics.json", lambda path: path.write_text(text, encoding="utf-8"))
    write_whole(folder / "leaderboard.csv", lambda path: judgement.leaderboard.to_csv(path, index=False))
    return write_whole(folder / "index.html", lambda path: path.write_text(page, encoding="utf-8"))


def _page(judgement: Judgement) -> str:
    result = judgement.result
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(feature=feature_words, percent=share_words, ratio=_ratio)
    return environment.get_template("page.html.j2").render(
        style=Markup("\n".join(path.read_text(encoding="utf-8") for path in _STYLES)),  # noqa: S704 - our own files
        judged=judgement,
        overall=judgement.overall,
        final=FINAL,
        naive_prefix=NAIVE_PREFIX,
        summary=summary_words(judgement),
        step=step_words(judgement.series.step),
        levels=list(INTERVALS),
        board=judgement.leaderboard.to_dict("records"),
        buckets=judgement.per_bucket.reset_index().to_dict("records"),
        figures=_figures(judgement),
        reliability=draw_reliability(judgement.reliability),
        importance=result.importance.sort_values("share", ascending=False, kind="stable").head(_SHOWN_FEATURES).to_dict("records"),
        weights=_mean_weights(result.weights),
        left_out=result.left_out,
    )


def _figures(judgement: Judgement) -> list[_Figure]:
    chosen = chosen_series(judgement.per_series, judgement.result.weights)
    measured = judgement.series.rows[judgement.series.rows["unique_id"].isin(list(chosen))]
    history = {str(name): rows for name, rows in measured.groupby("unique_id")}
    final = judgement.final
    forecasts = {str(name): rows for name, rows in final[final["unique_id"].isin(list(chosen))].groupby("unique_id")}
    windows = {str(name): rows.reset_index().to_dict("records") for name, rows in judgement.per_window.groupby(level=0, observed=True)}
    measures = {str(row["unique_id"]): row for row in judgement.per_series.reset_index().to_dict("records")}
    figures = []
    for number, (name, why) in enumerate(chosen.items()):
        words = {row["cutoff"]: _window_words(row) for row in windows[name]}
        title = f"{name}: measured, and the forecasts of {len(words)} windows"
        fan = BacktestFan(f"fan-{number}", title, judgement.series.step, history[name], forecasts[name], words)
        blend = _blend(judgement.result.weights, name)
        figures.append(_Figure(name, why, measures[name], blend, draw_backtest_fan(fan)))
    return figures


def _window_words(row: dict[Hashable, Any]) -> str:
    return (
        f"Window from {row['cutoff']:%Y-%m-%d %H:%M} UTC: {_ratio(row['relative_wql'])} x the loss of its better naive, "
        f"{share_words(row['coverage_0.8'])} of the measurements in the 80 % interval"
    )


def _blend(weights: pd.DataFrame, name: str) -> str:
    """For example `lightgbm 62 %, mstl 30 %`."""
    mine = _mean_weights(weights[weights["unique_id"] == name])
    return ", ".join(f"{row['candidate']} {share_words(row['weight'])}" for row in mine[:_SHOWN_WEIGHTS])


def _mean_weights(weights: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean weight of every candidate over series and windows, largest first, those above half a percent; absent ones count as 0."""
    if weights.empty:
        return []
    blends = weights[["unique_id", "cutoff"]].drop_duplicates()
    mean = (weights.groupby("candidate", observed=True)["weight"].sum() / len(blends)).sort_values(ascending=False, kind="stable")
    return [{"candidate": str(name), "weight": float(share)} for name, share in mean[mean >= 0.005].items()]


def _ratio(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}" if value < 10 else f"{value:,.0f}"
