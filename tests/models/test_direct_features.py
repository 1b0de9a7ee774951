"""The table of many series holds, row for row, what the tables of each series alone hold."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from models.direct_features import DirectTable, Layout, direct_table
from models.forecaster import SeriesCalendar

NAMES: Final = [*(f"region{at % 2}/service{at // 2}/cpu" for at in range(6)), "link", "link/service1"]
END: Final = pd.Timestamp("2026-03-02", tz="UTC")
LAYOUT: Final = Layout(tuple(NAMES[:-1]), ("launch",), ("temperature",))
CALENDAR: Final = SeriesCalendar(timezones={NAMES[0]: "Europe/Berlin", NAMES[3]: "Europe/Berlin"})


def _events() -> pd.DataFrame:
    """Events and readings of regions, services and single series; some were announced late."""
    random = np.random.default_rng(5)
    start = END - pd.to_timedelta(random.integers(-60, 700, 40), unit="h")
    return pd.DataFrame(
        {
            "event_id": [str(at) for at in range(40)],
            "kind": np.where(np.arange(40) % 4, "launch", "temperature"),
            "region": random.choice(["", "region1"], 40),
            "service": random.choice(["", "service1"], 40),
            "unique_id": random.choice(["", "link"], 40),
            "start": start,
            "end": start + pd.Timedelta(hours=5),
            "strength": 1.0,
            "value": np.where(np.arange(40) % 4, np.nan, random.normal(size=40)),
            "available_at": start - pd.Timedelta(hours=20),
        }
    )


def _table(names: list[str], values: np.ndarray, anchor: np.ndarray) -> DirectTable:
    origins = np.arange(500, 700, 40)
    horizon = np.tile(np.array([1, 5, 30, 72]), (origins.size, 1))
    return direct_table(names, values, END, origins, horizon, _events(), CALENDAR, LAYOUT, anchor)


def test_series_share_columns_only_where_they_are_equal() -> None:
    random = np.random.default_rng(1)
    values, anchor = random.gamma(3.0, 1.0, (len(NAMES), 700)), random.gamma(3.0, 1.0, (len(NAMES), 5, 4))
    together = _table(NAMES, values, anchor)
    assert together.features.shape == (len(NAMES), 5, 4, len(LAYOUT.columns))
    for at, name in enumerate(NAMES):
        np.testing.assert_array_equal(
            together.features[at], _table([name], values[at : at + 1], anchor[at : at + 1]).features[0], err_msg=name
        )
    told = together.features[..., LAYOUT.columns.index("launch:during") :].reshape(len(NAMES), -1)
    assert len(np.unique(np.nan_to_num(told), axis=0)) > 4
