"""Public holidays asked for by their country are events like those of a file."""

from __future__ import annotations

import pandas as pd
import pytest

from headroom.country_holidays import with_country_holidays
from headroom.errors import BadInputError
from models.drivers import EVENT_COLUMNS
from models.long_frame import LongFrame

DS = pd.date_range("2019-12-20", "2019-12-31T23:00", freq="h", unit="us")
SERIES = LongFrame(pd.DataFrame({"unique_id": "a", "ds": DS, "y": 1.0}), pd.Timedelta(hours=1))
FAIR = pd.DataFrame(
    {
        "start": pd.to_datetime(["2019-12-27"]).as_unit("us"),
        "end": pd.to_datetime(["2019-12-28"]).as_unit("us"),
        "kind": "fair",
        "title": "fair",
        "region": "",
        "service": "",
        "unique_id": "",
        "strength": 1.0,
        "known_at": pd.to_datetime(["2019-11-01"]).as_unit("us"),
    }
)


def test_a_country_adds_its_days_in_its_own_time():
    found = with_country_holidays(FAIR, SERIES, "US", "America/New_York")
    assert found is not None
    assert list(found.columns) == list(EVENT_COLUMNS)
    christmas = found[found["title"].eq("Christmas Day") & (found["start"].dt.year == 2019)].iloc[0]
    assert (christmas["start"], christmas["end"]) == (pd.Timestamp("2019-12-25T05:00"), pd.Timestamp("2019-12-26T05:00"))
    assert christmas["kind"] == "holiday"
    assert found["title"].eq("fair").sum() == 1
    # The forecast reaches into the next year.
    assert (found["start"] >= pd.Timestamp("2020-01-01")).any()


def test_without_a_country_the_events_stay_as_they_are():
    assert with_country_holidays(FAIR, SERIES, None, "UTC") is FAIR


@pytest.mark.parametrize(
    ("code", "zone", "message"), [("XX", "UTC", "'XX' has no known public holidays"), ("US", "Mars", "--timezone 'Mars' is unknown")]
)
def test_what_is_unknown_is_named(code: str, zone: str, message: str):
    with pytest.raises(BadInputError, match=message):
        with_country_holidays(None, SERIES, code, zone)
