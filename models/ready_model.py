"""A model for forecasts without a refit: fitted once, it issues forecasts for a while, as a replay and the correction between two plans do.

A fit learns in two steps, both before its moment: the candidates are fitted `HELD_OUT` earlier and forecast from cutoffs since then as they
will be used, a while after their fit; these rows give the weights of the ensemble and its calibration, cutoffs in turn
(`models.backtest.split_windows`). Then they are fitted again on everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from headroom.errors import BadInputError
from models.anomaly_doubt import believed
from models.backtest import split_windows
from models.calibration import Calibration, fit_calibration
from models.candidates import NAIVES, create
from models.demand_model import DemandModel
from models.ensemble import blend, ensemble_weights
from models.forecaster import SeriesCalendar
from models.hourly_grid import recent, unservable
from models.rhythm import hours_ahead
from models.visible_events import events_known_at
from models.young_series import with_young_series

__all__ = ["HELD_OUT", "READY", "fit_ready"]

# Candidates that forecast without a refit; the others would be fitted at every issue time.
READY: Final = (*NAIVES, "seasonal-ridge", "exponential-smoothing", "lightgbm")
HELD_OUT: Final = pd.Timedelta(days=9)
_CUTOFFS: Final = 16


def fit_ready(
    history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar, names: Sequence[str], moment: pd.Timestamp, seed: int
) -> DemandModel:
    """Weights and calibration from forecasts that were made a while after their fit, then a fit on everything before `moment`.

    Args:
        history: `unique_id, ds, y`, and `models.anomaly_doubt.DOUBTED` where doubts are known.
        names: candidates among `READY`.
        moment: UTC; nothing after it counts.

    Raises:
        BadInputError: when no series has the history for a fit.
    """
    seen = believed(history, moment)
    served = sorted(set(seen["unique_id"].unique()) - set(unservable(seen, moment, calendar.rhythm)))
    if not served:
        days = calendar.rhythm.shortest * calendar.rhythm.step / pd.Timedelta(days=1)
        raise BadInputError(f"no series has {days:g} days of history before {moment.tz_localize(None)}; choose a later time")
    oof = _held_out(history, events, calendar, names, moment, seed)
    cutoffs, told, calibration = oof["cutoff"].nunique(), pd.DataFrame(), Calibration.none()
    if cutoffs > 1:
        early, late = split_windows(oof, cutoffs // 2)
        told = ensemble_weights(early)
        calibration = fit_calibration(blend(late[late["unique_id"].isin(told.index)], told))
    mix = with_young_series(told, served, names).loc[served]
    weights = {str(name): {str(candidate): float(share) for candidate, share in row.items() if share > 0} for name, row in mix.iterrows()}
    return DemandModel.fit(seen, events, calendar, weights=weights, calibration=calibration, issue_time=moment, seed=seed)


def _held_out(
    history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar, names: Sequence[str], moment: pd.Timestamp, seed: int
) -> pd.DataFrame:
    """Out-of-fold rows of candidates fitted `HELD_OUT`, and at least two horizons, before `moment`, at cutoffs between.

    Empty when the history is too short for it.
    """
    rhythm, truth = calendar.rhythm, history[["unique_id", "ds", "y"]]
    fitted_at = moment - max(HELD_OUT, 2 * rhythm.horizon * rhythm.step)
    learnt = believed(history, fitted_at)
    learnt = learnt[~learnt["unique_id"].isin(list(unservable(learnt, fitted_at, rhythm)))]
    if learnt.empty:
        return pd.DataFrame({"cutoff": pd.Series(dtype="datetime64[us, UTC]")})
    fitted = {name: create(name, seed=seed).fit(learnt, events_known_at(events, fitted_at), calendar) for name in names}
    room = int((moment - fitted_at) / rhythm.step) - rhythm.horizon
    stride = rhythm.stride(max(1, room // _CUTOFFS))
    parts = []
    for back in range(0, room + 1, stride):
        cutoff = moment - (rhythm.horizon + back) * rhythm.step
        known, shown = believed(history, cutoff), events_known_at(events, cutoff)
        known = known[known["unique_id"].isin(learnt["unique_id"].unique())]
        known = recent(known[~known["unique_id"].isin(list(unservable(known, cutoff, rhythm)))], cutoff, rhythm)
        for name, forecaster in fitted.items():
            rows = forecaster.predict_quantiles(known, shown, cutoff, rhythm.horizon)
            rows = rows.merge(truth, on=["unique_id", "ds"], how="inner")
            parts.append(rows.assign(candidate=name, cutoff=cutoff, horizon=hours_ahead(rows["ds"], cutoff, rhythm), seconds=0.0))
    return pd.concat(parts, ignore_index=True)
