"""The table of many series holds, row for row, what the tables of each series alone hold, and what the others did beside it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from models.direct_features import DirectTable, Layout, direct_table
from models.forecaster import SeriesCalendar
from models.other_series import DEPARTURES, part_names, scopes

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


def _table(names: list[str], values: np.ndarray, anchor: np.ndarray, layout: Layout = LAYOUT) -> DirectTable:
    origins = np.arange(500, 700, 40)
    horizon = np.tile(np.array([1, 5, 30, 72]), (origins.size, 1))
    return direct_table(names, values, END, origins, horizon, _events(), CALENDAR, layout, anchor)


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


def test_others_are_the_mean_of_the_other_series_of_all_and_of_the_region_each_in_its_own_scale() -> None:
    random = np.random.default_rng(2)
    values = random.gamma(3.0, 1.0, (len(NAMES), 700)) * np.logspace(-3, 3, len(NAMES))[:, None]
    layout = Layout(tuple(NAMES), scopes=scopes(NAMES), parts=part_names(NAMES))
    assert layout.scopes == ("others", "region")
    found = pd.DataFrame(
        _table(NAMES, values, values[:, :5, None] * np.ones(4), layout).features[:, 0, 0], index=NAMES, columns=layout.columns
    )
    for column in DEPARTURES:
        for at, name in enumerate(NAMES):
            beside = [other for other in NAMES if other != name]
            here = [other for other in beside if other.split("/")[0] == name.split("/")[0]]
            own = found[column]
            assert np.isclose(found[f"{column}@others"].iloc[at], own[beside].mean(), rtol=1e-5, atol=1e-7)
            assert np.isclose(found[f"{column}@region"].iloc[at], own[here].mean() if here else 0.0, rtol=1e-5, atol=1e-7)


def test_a_part_of_the_name_has_the_same_code_wherever_it_was_learnt_and_none_where_it_was_not() -> None:
    layout = Layout(tuple(NAMES[:4]), parts=part_names(NAMES))
    assert layout.parts == ("region", "service", "resource")
    assert [layout.columns[at] for at in layout.categories] == ["series", "name:region", "name:service", "name:resource"]
    values = np.random.default_rng(3).gamma(3.0, 1.0, (len(NAMES), 700))
    found = _table(NAMES, values, values[:, :5, None] * np.ones(4), layout).features[:, 0, 0, layout.categories]
    nan = np.nan
    expected = [[0, 0, 0, 0], [1, 1, 0, 0], [2, 0, 1, 0], [3, 1, 1, 0], [nan, 0, nan, 0], [nan, 1, nan, 0], [nan] * 4, [nan, nan, 1, nan]]
    np.testing.assert_array_equal(found, expected)


def test_series_without_others_and_names_of_one_part_get_no_columns_for_them() -> None:
    assert (scopes(["link"]), part_names(["link"])) == ((), ())
    assert (scopes(["link", "edge"]), part_names(["link", "edge"])) == (("others",), ())
    assert (scopes(["a/link", "edge"]), part_names(["a/link", "edge"])) == (("others", "region"), ("part 1", "part 2"))
