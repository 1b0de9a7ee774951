"""What the demand last measured asks for, on the lines of a forecast's need: what target tracking follows."""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import QUANTILE_COLUMNS
from infra.capacity_need import COMPUTE, INSTANCES, LINE, capacity_need

__all__ = ["measured_since", "with_measured"]

_HOUR: Final = pd.Timedelta("1h")
# Sources are read every hour and are late by minutes: what is older says nothing of now.
_RECENT: Final = pd.Timedelta("3h")


def measured_since(settings: Settings, issue_time: pd.Timestamp) -> pd.Timestamp:
    """The first hour that `with_measured` looks at."""
    return issue_time - _RECENT - (settings.policy.stabilisation_hours - 1) * _HOUR


def with_measured(
    settings: Settings,
    need: pd.DataFrame,
    rows: pd.DataFrame,
    measured: pd.DataFrame | None,
    *,
    quantile: pd.Series[float],
    issue_time: pd.Timestamp,
) -> pd.DataFrame:
    """`need` with `measured`, the amount that the measurements ask for (at target utilisation, `minimum` at least), and `measured_why`.

    A series counts with the most of `policy.stabilisation_hours` up to its newest hour, if that is of the three before the issue time. One without
    counts with its forecast, and so does storage: a disk cannot wait, nor shrink.

    Args:
        need: `capacity_need(settings, rows, quantile=quantile)`.
        measured: `unique_id, ds, y` of hours; those that do not lie before the issue time do not count. None: nothing was measured.
    """
    counted = _counted(settings, measured, issue_time)
    series = rows["unique_id"].where(rows["resource"] != "storage")
    amount = series.map(counted["y"])
    told = rows.assign(**{level: amount.fillna(rows[level]) for level in QUANTILE_COLUMNS})
    asked = capacity_need(settings, told, quantile=quantile, counted_as=need)
    line = rows.assign(resource=rows["resource"].mask(rows["resource"].isin(COMPUTE), INSTANCES), newest=series.map(counted["ds"]))
    line["unmeasured"] = rows["resource"].where(amount.isna() & (rows["resource"] != "storage"))
    told_of = line.drop_duplicates("unique_id").groupby(LINE, sort=False).agg(newest=("newest", "min"), unmeasured=("unmeasured", _listed))
    known = asked[LINE].merge(told_of, left_on=LINE, right_index=True, how="left")
    return need.assign(measured=asked["needed"].to_numpy(), measured_why=_words(settings, asked, known, issue_time).to_numpy())


def _counted(settings: Settings, measured: pd.DataFrame | None, issue_time: pd.Timestamp) -> pd.DataFrame:
    """Indexed by `unique_id`: `ds`, the newest hour, and `y`, the most of those that count."""
    if measured is None or measured.empty:
        return pd.DataFrame({"ds": pd.Series(dtype="datetime64[us, UTC]"), "y": pd.Series(dtype=float)})
    hours = measured[(measured["ds"] >= measured_since(settings, issue_time)) & (measured["ds"] < issue_time)].dropna(subset=["y"])
    newest = hours.groupby("unique_id")["ds"].transform("max")
    held = hours[(newest >= issue_time - _RECENT) & (hours["ds"] > newest - settings.policy.stabilisation_hours * _HOUR)]
    return held.groupby("unique_id").agg(ds=("ds", "max"), y=("y", "max"))


def _listed(resources: pd.Series[str]) -> str:
    return " and ".join(resources.dropna())


def _words(settings: Settings, asked: pd.DataFrame, known: pd.DataFrame, issue_time: pd.Timestamp) -> pd.Series[str]:
    """Per row of `asked` what was measured, when, and at which target it is held; or that it was not."""
    window = settings.policy.stabilisation_hours * _HOUR
    until = known["newest"] + _HOUR
    hours = (until - window).dt.strftime("%Y-%m-%d %H:%M").fillna("") + " to " + until.dt.strftime("%H:%M").fillna("")
    target = asked["service"].map({name: f" at a target of {s.capacity.target_utilisation:.0%}" for name, s in settings.services.items()})
    machines = asked["resource"] == INSTANCES
    amount = asked["demand"].map("{:.3g}".format) + " " + asked["demand_unit"] + target.where(machines, "")
    unmeasured = known["unmeasured"] + f" not measured since {issue_time - _RECENT:%Y-%m-%d %H:%M}, so as forecast"
    words = "measured " + hours + ": " + amount + ("; " + unmeasured).where(known["unmeasured"] != "", "")
    return words.mask(known["newest"].isna(), unmeasured).mask(asked["resource"] == "storage", "held as needed: a disk cannot wait")
