"""The reference that rewards are told against: what the cheap candidates would have forecast together if nobody had tuned them.

Whether a day is easy or hard moves the loss of every forecast alike, and by far more than one arm differs from another. Told against repeating the
last week, the rewards of a series scatter by 0.2 to 0.4 from day to day; told against this reference, which errs when the version errs, by a
third of that (docs/benchmarks-tuning.md), so that a tenth of the rewards says as much. It is a control variate: an average of candidates costs
seconds, where the version's own default would have to be trained.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.vocabulary import QUANTILE_COLUMNS
from models.candidates import create
from models.ensemble import blend
from models.forecaster import SeriesCalendar
from models.hourly_grid import recent, unservable
from models.pinball import row_pinball

__all__ = ["REFERENCE", "reference_forecast", "with_reference_pinball"]

REFERENCE: Final = ("flair", "seasonal-ridge", "exponential-smoothing")
_KEYS: Final = ["unique_id", "ds"]


def reference_forecast(history: pd.DataFrame, events: pd.DataFrame, calendar: SeriesCalendar, issue_time: pd.Timestamp) -> pd.DataFrame:
    """`unique_id, ds, *QUANTILE_COLUMNS` of the series that can be served: the average of `REFERENCE`, each series and candidate alike.

    Args:
        history: `unique_id, ds, y` as known at the issue time.
        events: as known then.
    """
    rows = history.dropna(subset=["y"])
    rows = rows[(rows["ds"] < issue_time) & ~rows["unique_id"].isin(list(unservable(rows, issue_time, calendar.rhythm)))]
    if rows.empty:
        return pd.DataFrame(columns=[*_KEYS, *QUANTILE_COLUMNS])
    seen = recent(rows, issue_time, calendar.rhythm)
    parts = [
        create(name).fit(rows, events, calendar).predict_quantiles(seen, events, issue_time).assign(candidate=name) for name in REFERENCE
    ]
    names = pd.Index(sorted(rows["unique_id"].unique()), name="unique_id")
    alike = pd.DataFrame(1.0 / len(REFERENCE), index=names, columns=list(REFERENCE))
    return blend(pd.concat(parts, ignore_index=True), alike)[[*_KEYS, *QUANTILE_COLUMNS]]


def with_reference_pinball(outcomes: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """`outcomes` (`unique_id, ds, y`) with `reference_pinball`, the reference's loss on the hour; hours that it did not forecast are left out.

    Args:
        outcomes: of one issue time.
        reference: see `reference_forecast`, of the same issue time.
    """
    rows = outcomes.merge(reference, on=_KEYS, how="inner")
    return rows.assign(reference_pinball=row_pinball(rows))[[*outcomes.columns, "reference_pinball"]]
