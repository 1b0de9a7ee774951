"""What the rules about single rows look at: columns computed from the raw rows, none of them decided here."""

from __future__ import annotations

import numpy as np
import pandas as pd

from feature_store.validation.window import Window, wanted_metrics

__all__ = ["key_facts", "row_facts", "wanted_rows"]


def wanted_rows(raw: pd.DataFrame, window: Window) -> pd.Series[bool]:
    """False for the rows that nobody asked for: a metric that the source's settings do not list, or that the service does not demand.

    Rows of unknown services and rows without a metric are wanted: they are judged.
    """
    metric, service = raw["metric"], raw["service"]
    demanded = wanted_metrics(window.settings, window.source)
    pairs = set(demanded["service"] + "\n" + demanded["metric"])
    known_service = service.isin(list(window.settings.services))
    undemanded = known_service & metric.notna() & ~(service.astype("object") + "\n" + metric.astype("object")).isin(pairs)
    return (metric.isna() | metric.isin(list(window.source.metrics))) & ~undemanded


def row_facts(raw: pd.DataFrame, window: Window) -> pd.DataFrame:
    """`raw` with the columns that `row_contract` judges, on the same index.

    Added: `window` (inside or outside it), `minutes_ahead` of the issue time, `seconds_off_step`, `placement`
    (region/service, empty when one of them is unknown), `unit`, `factor` to the canonical unit, `number` (finite, else
    NaN) and `share_of_maximum`.
    """
    facts = raw.copy(deep=False)
    for column in ("region", "service", "metric"):
        facts[column] = raw[column].astype("object").where(raw[column].notna(), "")
    stamp = facts["timestamp"]
    inside = (stamp >= window.start) & (stamp < window.end)
    facts["window"] = pd.Series(np.where(inside, "inside", "outside"), index=facts.index).where(stamp.notna())
    facts["minutes_ahead"] = (stamp + window.step - window.issue_time).dt.total_seconds() / 60
    facts["seconds_off_step"] = (stamp - stamp.dt.floor(window.frequency)).dt.total_seconds()
    placed = facts["region"].isin(list(window.settings.regions)) & facts["service"].isin(list(window.settings.services))
    facts["placement"] = (facts["region"] + "/" + facts["service"]).where(placed)
    number = pd.to_numeric(facts["value"], errors="coerce").astype("float64")
    facts["number"] = number.where(np.isfinite(number))
    maxima = {name: metric.maximum for name, metric in window.source.metrics.items() if metric.maximum is not None}
    facts["share_of_maximum"] = facts["number"] / facts["metric"].map(maxima).astype("float64")
    units = {name: metric.unit for name, metric in window.source.metrics.items()}
    facts["unit"] = facts["metric"].map(units)
    facts["factor"] = _factors(facts, window)
    return facts


def _factors(facts: pd.DataFrame, window: Window) -> pd.Series[float]:
    """1 where the unit measures every resource that the metric feeds, or where there is nothing to say; else NaN."""
    demanded = wanted_metrics(window.settings, window.source)
    wrong = demanded[demanded["factor"].isna()]
    bad = (facts["service"] + "\n" + facts["metric"]).isin(set(wrong["service"] + "\n" + wrong["metric"]))
    return pd.Series(np.where(bad, np.nan, 1.0), index=facts.index)


def key_facts(sound: pd.DataFrame) -> pd.DataFrame:
    """`sound` rows with `equal_copy` and `other_copy`: the how-manieth further copy of its key the row is (0: none).

    The first row seen is the one to keep: nothing in the data tells which of two is right, and the order of a source
    does not change between two readings, so a rerun decides alike.
    """
    keys = ["timestamp", "region", "service", "metric"]
    grouped = sound.groupby(keys, sort=False, observed=True)["number"]
    copy = grouped.cumcount()
    equal = sound["number"] == grouped.transform("first")
    return sound.assign(equal_copy=copy.where(equal, 0), other_copy=copy.where(~equal, 0))
