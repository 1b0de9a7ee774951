"""Which events a forecast may see, and how they become numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, event_rows, no_events

from models.event_features import driver_hours, driver_kinds, event_hours, event_kinds, known_at_each_origin
from models.visible_events import events_known_at, events_of_series

HOURS = pd.date_range(CUTOFF, periods=72, freq="h")


def test_an_event_is_seen_from_its_announcement_on():
    events = event_rows([CUTOFF + 5 * HOUR], known=CUTOFF + HOUR)
    assert events_known_at(events, CUTOFF).empty
    assert len(events_known_at(events, CUTOFF + HOUR)) == 1


def test_the_version_known_then_counts_and_a_cancelled_event_is_gone():
    first = event_rows([CUTOFF + 5 * HOUR], known=CUTOFF)
    moved = first.assign(start=first["start"] + 3 * HOUR, end=first["end"] + 3 * HOUR, available_at=CUTOFF + HOUR)
    cancelled = moved.assign(strength=0.0, available_at=CUTOFF + 2 * HOUR)
    versions = pd.concat([cancelled, moved, first])
    assert events_known_at(versions, CUTOFF)["start"].tolist() == [CUTOFF + 5 * HOUR]
    assert events_known_at(versions, CUTOFF + HOUR)["start"].tolist() == [CUTOFF + 8 * HOUR]
    assert events_known_at(versions, CUTOFF + 2 * HOUR).empty


@pytest.mark.parametrize(("region", "service", "seen"), [("", "", True), ("r", "edge", True), ("q", "", False), ("", "api", False)])
def test_events_concern_their_region_and_service(region, service, seen):
    events = event_rows([CUTOFF], region=region, service=service)
    assert len(events_of_series(events, "r/edge/cpu")) == int(seen)


def test_during_lead_and_lag():
    events = event_rows([CUTOFF + 3.5 * HOUR], hours=2)
    during, lead, lag = event_hours(events, ["match"], HOURS).T
    np.testing.assert_allclose(during[:8], [0, 0, 0, 0.5, 1, 0.5, 0, 0])
    np.testing.assert_allclose(lead[:5], [3.5, 2.5, 1.5, 0.5, 24])
    np.testing.assert_allclose(lag[5:8], [24, 0.5, 1.5])


def test_no_events_are_no_columns_and_a_kind_without_events_is_quiet():
    assert event_hours(no_events(), [], HOURS).shape == (72, 0)
    assert event_kinds(no_events()) == driver_kinds(no_events()) == []
    np.testing.assert_array_equal(event_hours(no_events(), ["match"], HOURS), np.tile([0.0, 24.0, 24.0], (72, 1)))


def test_a_reading_is_the_value_of_its_hour():
    events = event_rows(list(HOURS[:3]), kind="temperature", hours=1).assign(value=[20.0, 21.0, 23.0])
    assert (event_kinds(events), driver_kinds(events)) == ([], ["temperature"])
    found = driver_hours(events, ["temperature"], HOURS)[:, 0]
    np.testing.assert_array_equal(found[:4], [20.0, 21.0, 23.0, np.nan])


def test_an_origin_in_training_knows_only_what_was_announced_by_then():
    planned = event_rows([CUTOFF + 40 * HOUR])
    surprise = event_rows([CUTOFF + 10 * HOUR], kind="outage", known=CUTOFF + 10 * HOUR)
    imported = event_rows([CUTOFF + 20 * HOUR], kind="import", known=CUTOFF + 500 * HOUR)
    origins = pd.DatetimeIndex([CUTOFF, CUTOFF + 12 * HOUR])
    known = known_at_each_origin(pd.concat([planned, surprise, imported], ignore_index=True), origins, 72)
    assert set(known) == {0}
    assert set(known[0]["kind"]) == {"match", "import"}
