"""Which events a forecast may see, and which of them concern a series."""

from __future__ import annotations

import hashlib
from typing import Final

import pandas as pd

from headroom.vocabulary import SeriesId

__all__ = ["events_digest", "events_known_at", "events_of_series"]

_TELLING: Final = ("kind", "region", "service", "unique_id", "start", "end", "strength", "value")


def events_known_at(events: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """The newest version of every event among those with `available_at` up to `moment`, without cancelled ones (strength 0)."""
    known = events[events["available_at"] <= moment].sort_values(["event_id", "available_at"], kind="stable")
    newest = known.drop_duplicates("event_id", keep="last")
    return newest[newest["strength"] > 0].sort_values(["start", "event_id"], kind="stable").reset_index(drop=True)


def events_of_series(events: pd.DataFrame, unique_id: str) -> pd.DataFrame:
    """Events of the series' region and service; an empty region or service means all of them.

    An id that is not `region/service/resource` has no region: the service must then be a part of the id. Events may name a series
    themselves, in a column `unique_id`.
    """
    parts = unique_id.split("/")
    if len(parts) == len(SeriesId._fields):
        series = SeriesId(*parts)
        here = events["region"].fillna("").isin(["", series.region]) & events["service"].fillna("").isin(["", series.service])
    else:
        here = events["service"].fillna("").isin(["", *parts])
    if "unique_id" in events.columns:
        here &= events["unique_id"].fillna("").isin(["", unique_id])
    return events[here.to_numpy(dtype=bool)].reset_index(drop=True)


def events_digest(events: pd.DataFrame) -> str:
    """The same for events that say the same to every series."""
    columns = [name for name in _TELLING if name in events.columns]
    told = hashlib.blake2b(repr(columns).encode(), digest_size=16)
    told.update(pd.util.hash_pandas_object(events[columns], index=False).to_numpy().tobytes())
    return told.hexdigest()
