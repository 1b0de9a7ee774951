"""The names that everything shares."""

from __future__ import annotations

import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_HOURS, MEDIAN, QUANTILE_COLUMNS, QUANTILES, SeriesId, horizon_bucket, split_series_ids


def test_a_series_id_reads_back_what_it_wrote() -> None:
    series = SeriesId("europe-west9", "tenants:acme", "cpu")
    assert str(series) == "europe-west9/tenants:acme/cpu"
    assert SeriesId.parse(str(series)) == series
    assert split_series_ids(pd.Series([str(series)], index=[7])).loc[7].tolist() == list(series)


@pytest.mark.parametrize("text", ["", "a/b", "a/b/c/d", "a//c"])
def test_what_is_no_series_id_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="expected region/service/resource"):
        SeriesId.parse(text)


def test_quantiles_rise_and_hold_the_median_and_the_80_and_98_percent_bounds() -> None:
    assert list(QUANTILES) == sorted(set(QUANTILES))
    assert {MEDIAN, "0.1", "0.9", "0.01", "0.99"} <= set(QUANTILE_COLUMNS)


def test_every_horizon_has_one_bucket() -> None:
    buckets = horizon_bucket(pd.Series(range(1, HORIZON_HOURS + 1)))
    assert buckets.value_counts(sort=False).to_dict() == {"1-6": 6, "7-24": 18, "25-72": 48}
