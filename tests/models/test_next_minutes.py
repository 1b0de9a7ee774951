"""The next minutes: by the same engine, of what was known, corrected by the newest error, the same with and without its cache."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.lake import Lake
from headroom.settings import Settings, parse_settings
from headroom.vocabulary import QUANTILE_COLUMNS
from models.next_minutes import forecast_next_minutes

pytestmark = pytest.mark.slow

FIVE = pd.Timedelta("5min")
START = pd.Timestamp("2026-07-01", tz="UTC")
ISSUE = START + pd.Timedelta("5D") + pd.Timedelta("9h35min")
CPU, SLOW = "europe-west9/edge/cpu", "europe-west9/edge/bandwidth"

_SETTINGS = """
regions:
  europe-west9: {zones: [europe-west9-a], quotas: {N2_CPUS: 400}, timezone: Europe/Paris}
services:
  edge:
    regions: [europe-west9]
    demand: {cpu: cpu_vcpu, bandwidth: egress_gbps}
    capacity: {machine_type: n2-standard-8}
metrics:
  - {kind: file, name: fast, path: fast.csv, metrics: {cpu_vcpu: {unit: vCPU}}}
  - {kind: file, name: slow, path: slow.csv, step_minutes: 15, metrics: {egress_gbps: {unit: Gbit/s}}}
cloud: {project: test}
"""


@pytest.fixture(scope="module")
def settings() -> Settings:
    return parse_settings(_SETTINGS)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short warm-up: how long it is is not what is tested. Five days are too few to weigh candidates, so all that are no naive weigh alike."""
    monkeypatch.setattr("models.next_minutes._WARM_UP", 4)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Five days of one day's wave and noise, until half an hour after the issue time; bandwidth every 15 minutes."""
    ds = pd.date_range(START, ISSUE + 6 * FIVE, freq=FIVE, inclusive="left")
    noise = np.random.default_rng(0).normal(0, 1, len(ds))
    wave = 100 + 30 * np.sin(2 * np.pi * (ds.hour * 60 + ds.minute) / 1440)
    fast = pd.DataFrame({"unique_id": CPU, "resource": "cpu", "ds": ds, "y": wave + noise, "source": "fast", "available_at": ds + FIVE})
    slow = fast[fast["ds"].dt.minute % 15 == 0].assign(unique_id=SLOW, resource="bandwidth", source="slow")
    return pd.concat([fast, slow], ignore_index=True).assign(region="europe-west9", service="edge", warnings="")


def lake_of(folder: Path, rows: pd.DataFrame) -> Lake:
    lake = Lake(str(folder / "lake"))
    lake.create()
    lake.replace("metrics", rows, start=START, end=ISSUE + pd.Timedelta("1D"))
    return lake


def test_three_steps_of_proper_quantiles_and_a_reason_for_every_series_without(
    tmp_path: Path, settings: Settings, rows: pd.DataFrame
) -> None:
    told = forecast_next_minutes(settings, lake_of(tmp_path, rows), tmp_path / "cache", issue_time=ISSUE)
    assert told.rows["ds"].tolist() == [ISSUE, ISSUE + FIVE, ISSUE + 2 * FIVE]
    assert set(told.rows["unique_id"]) == {CPU}
    values = told.rows[list(QUANTILE_COLUMNS)].to_numpy()
    assert (np.diff(values, axis=1) >= 0).all()
    known = rows[(rows["unique_id"] == CPU) & (rows["ds"] >= ISSUE)]["y"].to_numpy()[:3]
    assert np.abs(told.rows["0.5"].to_numpy() - known).max() < 10
    assert told.left_out == {SLOW: "source slow measures every 15 minutes, not every 5"}
    assert set(told.rows["measured"]) == set(rows[(rows["unique_id"] == CPU) & (rows["ds"] == ISSUE - FIVE)]["y"])
    assert told.fitted_at == ISSUE.floor("D")


def test_what_became_known_later_changes_nothing_with_and_without_the_cache(tmp_path: Path, settings: Settings, rows: pd.DataFrame) -> None:
    honest = forecast_next_minutes(settings, lake_of(tmp_path / "a", rows), tmp_path / "a" / "cache", issue_time=ISSUE)
    future = rows.assign(y=rows["y"].where(rows["available_at"] <= ISSUE, 9_000.0))
    lake, cache = lake_of(tmp_path / "b", future), tmp_path / "b" / "cache"
    pd.testing.assert_frame_equal(forecast_next_minutes(settings, lake, cache, issue_time=ISSUE).rows, honest.rows)
    later = forecast_next_minutes(settings, lake, cache, issue_time=ISSUE + 2 * FIVE)
    assert later.rows["0.5"].min() > honest.rows["0.5"].max()
    pd.testing.assert_frame_equal(forecast_next_minutes(settings, lake, cache, issue_time=ISSUE).rows, honest.rows)


def test_the_newest_errors_move_the_next_steps(tmp_path: Path, settings: Settings, rows: pd.DataFrame) -> None:
    usual = forecast_next_minutes(settings, lake_of(tmp_path / "a", rows), tmp_path / "a" / "cache", issue_time=ISSUE)
    raised = rows.assign(y=rows["y"] + 40.0 * (rows["ds"] >= ISSUE - 4 * FIVE))
    moved = forecast_next_minutes(settings, lake_of(tmp_path / "b", raised), tmp_path / "b" / "cache", issue_time=ISSUE)
    assert (moved.rows["0.5"].to_numpy() > usual.rows["0.5"].to_numpy() + 5).all()


def test_a_series_that_stopped_is_left_out_by_name(tmp_path: Path, settings: Settings, rows: pd.DataFrame) -> None:
    told = forecast_next_minutes(settings, lake_of(tmp_path, rows), tmp_path / "cache", issue_time=ISSUE + pd.Timedelta("45min"))
    assert told.left_out[CPU].startswith("last measured until 2026-07-06T10:05:00+00:00; source fast gave nothing since")
    assert told.rows.empty
    assert {"region", "service", "resource", "ds", "measured", *QUANTILE_COLUMNS} <= set(told.rows.columns)


def test_a_fit_is_made_once_a_day_and_a_broken_one_is_not_left_behind(
    tmp_path: Path, settings: Settings, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, cache = lake_of(tmp_path, rows), tmp_path / "cache"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("models.next_minutes.Path.rename", killed)
        with pytest.raises(KeyboardInterrupt):
            forecast_next_minutes(settings, lake, cache, issue_time=ISSUE)
    assert not list(cache.glob("fit-*"))
    first = forecast_next_minutes(settings, lake, cache, issue_time=ISSUE)
    with monkeypatch.context() as patched:
        patched.setattr("models.next_minutes.fit_ready", killed)
        pd.testing.assert_frame_equal(forecast_next_minutes(settings, lake, cache, issue_time=ISSUE).rows, first.rows)


def test_without_history_it_says_what_to_do(tmp_path: Path, settings: Settings, rows: pd.DataFrame) -> None:
    with pytest.raises(BadInputError, match=r"nothing was measured at steps of 5 minutes before .* ingest metrics first"):
        forecast_next_minutes(settings, lake_of(tmp_path, rows), tmp_path / "cache", issue_time=START)
