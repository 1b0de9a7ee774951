"""The detector judges every row by the rows before it alone, on any step and in any unit, and says once what lasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from models.anomaly_detector import THRESHOLD, AnomalyDetector, detect_anomalies

STEP = pd.Timedelta("15min")
PER_DAY = 96
DAYS = 21


def trace(name: str = "r/edge/cpu", *, seed: int = 0, days: int = DAYS, noise: float = 0.03) -> pd.DataFrame:
    """A day's rhythm between 60 and 140 with noise."""
    ds = pd.date_range("2026-06-01", periods=days * PER_DAY, freq=STEP, tz="UTC")
    hour = ds.hour + ds.minute / 60
    y = (100 + 40 * np.sin(2 * np.pi * hour.to_numpy() / 24)) * (1 + np.random.default_rng(seed).normal(0, noise, len(ds)))
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": y})


def changed(rows: pd.DataFrame, first: int, last: int, factor: float) -> pd.DataFrame:
    inside = (rows.index >= first) & (rows.index <= last)
    return rows.assign(y=rows["y"].where(~inside, rows["y"] * factor))


@pytest.fixture(scope="module")
def plain() -> pd.DataFrame:
    return detect_anomalies(trace(), step=STEP)


@pytest.mark.parametrize("factor", [2.0, 0.4])
def test_a_spike_or_a_drop_is_an_alarm_at_its_row(factor: float) -> None:
    found = detect_anomalies(changed(trace(), 1900, 1900, factor), step=STEP)
    assert found.loc[1900, "alarm"]
    assert found.loc[1900, "y"] == pytest.approx(factor * found.loc[1900, "expected"], rel=0.15)


def test_rows_of_a_usual_day_are_rarely_flagged(plain: pd.DataFrame) -> None:
    """About one row in 200 is as rare as one in 200 by chance."""
    assert (plain["score"] >= THRESHOLD).mean() < 0.005
    assert plain["score"].max() < 3.5


def test_what_is_usual_at_noon_is_an_anomaly_at_night() -> None:
    rows = trace(noise=0.01)
    night, noon = 18 * PER_DAY + 72, 18 * PER_DAY + 24
    rows.loc[night, "y"] = rows.loc[noon, "y"]
    assert detect_anomalies(rows, step=STEP).loc[night, "alarm"]


def test_an_outage_is_one_alarm_and_an_incident_until_it_is_over() -> None:
    """Four hours down; the expectation, which followed a little, has recovered after half a day."""
    found = detect_anomalies(changed(trace(), 1900, 1915, 0.0), step=STEP)
    assert list(found.index[found["alarm"] & (found.index >= 1850)]) == [1900]
    assert found["incident"][1900:1916].all()
    assert not found["incident"][1916 + PER_DAY // 2 : 1916 + PER_DAY].any()


def test_a_new_level_is_said_and_then_becomes_the_expectation() -> None:
    found = detect_anomalies(changed(trace(days=30), 1900, 10**6, 0.5), step=STEP)
    assert found.loc[1900:1904, "alarm"].any()
    settled = found[1900 + 7 * PER_DAY :]
    assert (settled["score"] >= THRESHOLD).mean() < 0.01
    assert (settled["y"] / settled["expected"]).median() == pytest.approx(1.0, abs=0.1)


def test_the_future_changes_nothing(plain: pd.DataFrame) -> None:
    found = detect_anomalies(changed(trace(), 1900, 10**6, 7.0), step=STEP)
    pd.testing.assert_frame_equal(found[:1900], plain[:1900])


def test_a_series_is_judged_alike_alone_and_among_others(plain: pd.DataFrame) -> None:
    others = [trace(f"r/edge-{number}/cpu", seed=number).assign(y=lambda rows: rows["y"] * 1e3) for number in (1, 2)]
    found = detect_anomalies(pd.concat([*others, trace()[::-1]]), step=STEP)
    pd.testing.assert_frame_equal(found[found["unique_id"] == "r/edge/cpu"].reset_index(drop=True), plain)


@pytest.mark.parametrize("unit", [1e-6, 1e9])
def test_the_unit_does_not_matter(plain: pd.DataFrame, unit: float) -> None:
    found = detect_anomalies(trace().assign(y=lambda rows: rows["y"] * unit), step=STEP)
    np.testing.assert_allclose(found["score"], plain["score"], atol=1e-6)


def test_a_known_event_is_neither_judged_nor_learnt_from() -> None:
    rows = changed(trace(), 1500, 1515, 5.0)
    excused = pd.Series((rows.index >= 1500) & (rows.index <= 1515))
    with_event = detect_anomalies(rows, step=STEP, excused=excused)
    assert (with_event["score"][1500:1516] == 0).all()
    missing = detect_anomalies(rows.assign(y=rows["y"].mask(excused)), step=STEP)
    pd.testing.assert_series_equal(with_event["score"], missing["score"])


def test_missing_rows_are_not_anomalies_and_do_not_disturb() -> None:
    rows = trace()
    gappy = rows[np.random.default_rng(3).random(len(rows)) > 0.2].reset_index(drop=True)
    found = detect_anomalies(gappy, step=STEP)
    assert len(found) == len(gappy)
    assert (found["score"] >= THRESHOLD).mean() < 0.01


def test_bursts_of_a_series_that_rests_at_zero_become_usual() -> None:
    """Bursts a hundred thousand times the first values: rare at first, not for ever: an alarm in three days at most."""
    rows, random = trace(days=35), np.random.default_rng(5)
    burst = random.random(len(rows)) < 0.03
    tiny = np.where(rows.index < 200, 20.0, 0.0)
    found = detect_anomalies(
        rows.assign(y=np.where(burst & (rows.index > 200), 2e6 * random.lognormal(0, 0.5, len(rows)), tiny)), step=STEP
    )
    late = found["alarm"] & (found.index > 21 * PER_DAY)
    assert found["alarm"].any()
    assert late.sum() <= 5


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_a_constant_series_has_no_anomaly_until_it_moves(value: float) -> None:
    rows = trace().assign(y=value)
    rows.loc[1900, "y"] = value + 1
    found = detect_anomalies(rows, step=STEP)
    assert not found["alarm"][:1900].any()
    assert found.loc[1900, "alarm"] == (value > 0)


def test_early_rows_are_not_judged() -> None:
    found = detect_anomalies(changed(trace(), 60, 60, 50.0), step=STEP)
    assert (found["score"][:100] == 0).all()


def test_two_rows_of_one_time_are_refused_with_the_row() -> None:
    rows = trace()
    with pytest.raises(BadInputError, match=r"r/edge/cpu has more than one row at 2026-06-01 00:00:00"):
        detect_anomalies(pd.concat([rows, rows[:1]]), step=STEP)


@pytest.mark.parametrize("step", [pd.Timedelta(0), pd.Timedelta("7d")])
def test_a_step_must_be_within_a_day(step: pd.Timedelta) -> None:
    with pytest.raises(BadInputError, match="above 0 and up to a day"):
        AnomalyDetector(1, step)
