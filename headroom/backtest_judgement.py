"""A backtest judged once: the tables that its metrics, its leaderboard and its page are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from headroom.errors import BadInputError
from models.accuracy import FINAL, INTERVALS, OWN_NAIVE, accuracy, better_naive, regret, reliability, row_facts
from models.leaderboard import leaderboard
from models.long_frame import LongFrame

if TYPE_CHECKING:
    from models.engine import BacktestResult

__all__ = ["Judgement", "judge", "metrics"]


@dataclass(frozen=True)
class Judgement:
    """What a backtest says about the final forecast and its candidates.

    Attributes:
        series: what was measured.
        result: forecasts, weights, importance, seconds.
        horizon, windows: steps per window, windows per series, as asked for.
        naive: the better naive of the data set.
        candidates: measures (`models.accuracy.accuracy`) by candidate, the final forecast among them.
        per_series, per_bucket, per_series_bucket, per_window: measures of the final forecast; within one series `relative_wql` compares
            with the naive that is better on that series.
        leaderboard: see `models.leaderboard`.
        reliability: of the final forecast, see `models.accuracy.reliability`.
        regret: per series, see `models.accuracy.regret`.
    """

    series: LongFrame
    result: BacktestResult
    horizon: int
    windows: int
    naive: str
    candidates: pd.DataFrame
    per_series: pd.DataFrame
    per_bucket: pd.DataFrame
    per_series_bucket: pd.DataFrame
    per_window: pd.DataFrame
    leaderboard: pd.DataFrame
    reliability: pd.DataFrame
    regret: pd.DataFrame

    @property
    def overall(self) -> pd.Series[Any]:
        """Measures of the final forecast over everything."""
        return cast("pd.Series[Any]", self.candidates.loc[FINAL])

    @property
    def final(self) -> pd.DataFrame:
        """Rows of the final forecast."""
        forecasts: pd.DataFrame = self.result.forecasts
        return forecasts[forecasts["candidate"] == FINAL]

    @property
    def served_windows(self) -> pd.Series[int]:
        """How many windows of every series were forecast and measured, of those asked for; by `unique_id`."""
        counts: pd.Series[int] = self.per_window.groupby(level=0, observed=True).size()
        return counts

    @property
    def total_regret(self) -> float:
        """Loss of the final forecast over that of the best single candidate per series in hindsight, minus 1; NaN when unknown."""
        best = float(self.regret["oracle_loss"].sum())
        return float(self.regret["loss"].sum()) / best - 1 if best > 0 else float("nan")


def judge(result: BacktestResult, series: LongFrame, *, horizon: int, windows: int) -> Judgement:
    """Judge every candidate and the final forecast on the steps that were measured.

    Raises:
        BadInputError: when no series could be forecast, with the reasons.
    """
    if not (result.forecasts["candidate"] == FINAL).any():
        reasons = "; ".join(f"{name}: {why}" for name, why in list(result.left_out.items())[:3])
        raise BadInputError(f"no series could be forecast ({reasons or 'no reason was given'}); hand in a longer history, or ask for less")
    facts = row_facts(result.forecasts, series)
    final = facts[facts["candidate"] == FINAL]
    return Judgement(
        series=series,
        result=result,
        horizon=horizon,
        windows=windows,
        naive=better_naive(facts),
        candidates=accuracy(facts, ["candidate"]),
        per_series=accuracy(final, ["unique_id"], naive=OWN_NAIVE),
        per_bucket=accuracy(final, ["bucket"]),
        per_series_bucket=accuracy(final, ["unique_id", "bucket"], naive=OWN_NAIVE),
        per_window=accuracy(final, ["unique_id", "cutoff"], naive=OWN_NAIVE),
        leaderboard=leaderboard(facts, result.seconds),
        reliability=reliability(result.forecasts[result.forecasts["candidate"] == FINAL]),
        regret=regret(facts),
    )


def metrics(judgement: Judgement) -> dict[str, Any]:
    """Everything as plain values for `metrics.json`; what is undefined (a ratio to zero) is None."""
    judged, result = judgement, judgement.result
    seconds = result.seconds.get(FINAL, float("nan"))
    each = _plain(seconds / max(len(judged.per_series), 1))
    buckets = {str(name): part.droplevel(0) for name, part in judged.per_series_bucket.groupby(level=0, observed=True)}
    served = judged.served_windows.to_dict()
    per_series = {
        str(row.name): {
            **_measures(row),
            "windows": int(served[row.name]),
            "seconds": each,
            "by_horizon_hours": _by_bucket(buckets[str(row.name)]),
        }
        for _, row in judged.per_series.iterrows()
    }
    curve = judged.reliability
    return {
        "step_seconds": judged.series.step.total_seconds(),
        "horizon": judged.horizon,
        "windows": judged.windows,
        "series_count": len(judged.per_series),
        "better_naive": judged.naive,
        "overall": {
            **_measures(judged.overall),
            "seconds": _plain(seconds),
            "by_horizon_hours": _by_bucket(judged.per_bucket),
            "reliability": {f"{q:g}": _plain(share) for q, share in zip(curve["quantile"], curve["at_most"], strict=True)},
            "series_better_than_naive": int((judged.per_series["relative_wql"] < 1).sum()),
            "selected_against_oracle_regret": _plain(judged.total_regret),
        },
        "series": per_series,
        "candidates": {
            str(row.name): {**_measures(row), "seconds": _plain(result.seconds.get(str(row.name), float("nan")))}
            for _, row in judged.candidates.iterrows()
        },
        "importance": {str(f): _plain(s) for f, s in zip(result.importance["feature"], result.importance["share"], strict=True)}
        if len(result.importance)
        else {},
        "left_out": dict(result.left_out),
        "left_out_as_faults": dict(result.doubted),
        "input_notes": list(judged.series.notes),
    }


def _measures(row: pd.Series[Any]) -> dict[str, Any]:
    plain = {name: _plain(row[name]) for name in ("wql", "relative_wql", "mase")}
    return {**plain, "coverage": {level: _plain(row[f"coverage_{level}"]) for level in INTERVALS}, "rows": int(row["rows"])}


def _by_bucket(table: pd.DataFrame) -> Mapping[str, Any]:
    return {str(row.name): _measures(row) for _, row in table.iterrows()}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
