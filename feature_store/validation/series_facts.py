"""What the rules about series and hours look at: steps, standstills, completeness and freshness."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from feature_store.validation.window import Window, wanted_metrics
from headroom.vocabulary import SeriesId

__all__ = ["HISTORY", "hour_facts", "series_facts"]

HISTORY: Final = pd.Timedelta("3D")
# A series is judged by its own habits once this many of its steps are known (four hours of 5-minute rows).
_ENOUGH_STEPS: Final = 48
# A jump: more than this many times the largest of a hundred usual steps, and more than the usual level itself.
_JUMP: Final = 3.0
_USUAL_STEP: Final = 0.99
# A series that stands still in more than this share of its steps does so by nature.
_OFTEN_STILL: Final = 0.1


def series_facts(measured: pd.DataFrame, history: pd.DataFrame, window: Window) -> pd.DataFrame:
    """`measured` (`unique_id, ds, y`, unique) with the columns that `series_contract` judges, on the same index.

    Added: `share_of_hour` found of the hour's steps, `change_to_allowed` (the step's absolute change against the largest
    that the series' habits allow) and `standstill` (how many steps, this one included, had this very value).
    The last two are empty where too little is known. `history` holds the `HISTORY` before the window.
    """
    rows = pd.concat([history[["unique_id", "ds", "y"]].assign(label=-1), measured[["unique_id", "ds", "y"]].assign(label=measured.index)])
    rows = rows.sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
    follows = (rows["unique_id"] == rows["unique_id"].shift()) & (rows["ds"].diff() == window.step)
    change = rows["y"].diff().abs().where(follows)
    habits = _habits(rows.assign(change=change))
    of_row = rows[["unique_id"]].join(habits, on="unique_id")
    run = (~(follows & (change == 0))).cumsum()
    judged = pd.DataFrame(
        {
            "label": rows["label"],
            "change_to_allowed": change / of_row["allowed"],
            "standstill": (run.groupby(run).cumcount() + 1).where(of_row["moves"].fillna(False).astype(bool)),
        }
    )
    mine = judged[judged["label"] >= 0].set_index("label")
    return measured.assign(share_of_hour=_share_of_hour(measured, window)).join(mine)


def _habits(rows: pd.DataFrame) -> pd.DataFrame:
    """Per series: the largest `allowed` change of one step, and whether it `moves`; empty where too little is known."""
    grouped = rows.groupby("unique_id")
    usual, level = grouped["change"].quantile(_USUAL_STEP), grouped["y"].median()
    still = (rows["change"] == 0).groupby(rows["unique_id"]).sum() / grouped["change"].count().replace(0, np.nan)
    enough = grouped["change"].count() >= _ENOUGH_STEPS
    allowed = pd.concat([_JUMP * usual, level], axis=1).max(axis=1)
    return pd.DataFrame({"allowed": allowed.where(enough & (allowed > 0)), "moves": enough & (still <= _OFTEN_STILL)})


def _share_of_hour(measured: pd.DataFrame, window: Window) -> pd.Series[float]:
    hour = measured["ds"].dt.floor("h")
    found = measured.groupby([measured["unique_id"], hour])["ds"].transform("size")
    share: pd.Series[float] = found / hour.map(_steps_per_hour(window)).fillna(1.0)
    return share


def hour_facts(measured: pd.DataFrame, history: pd.DataFrame, window: Window) -> pd.DataFrame:
    """One row per expected series and hour: `unique_id, hour, found` rows, and `silent_minutes`.

    `silent_minutes` is on the last hour of each series: from the end of its newest row to the last step that the source
    must have published; at most the length of `HISTORY` and the window.
    """
    series = [str(s) for s in expected_series(window)]
    hours = _steps_per_hour(window).index
    grid = pd.MultiIndex.from_product([series, hours], names=["unique_id", "hour"])
    found = measured.groupby([measured["unique_id"], measured["ds"].dt.floor("h").rename("hour")]).size()
    facts = found.reindex(grid, fill_value=0).rename("found").reset_index()
    both = pd.concat([history[["unique_id", "ds"]], measured[["unique_id", "ds"]]])
    newest = both.groupby("unique_id")["ds"].max().reindex(series) + window.step
    silent = (window.known_until - newest.fillna(window.start - HISTORY)) / pd.Timedelta("1min")
    last = ~facts["unique_id"].duplicated(keep="last")
    return facts.assign(silent_minutes=facts["unique_id"].map(silent).where(last))


def expected_series(window: Window) -> list[SeriesId]:
    """The series that this source feeds, sorted."""
    demanded = wanted_metrics(window.settings, window.source)
    return sorted(
        SeriesId(region, service, resource)
        for service, resource in zip(demanded["service"], demanded["resource"], strict=True)
        for region in window.settings.services[service].regions
    )


def _steps_per_hour(window: Window) -> pd.Series[int]:
    """Hour -> how many of its steps are in the window and published by the issue time."""
    steps = pd.Series(pd.date_range(window.start.ceil(window.frequency), window.known_until - window.step, freq=window.frequency))
    return steps.dt.floor("h").value_counts().sort_index()
