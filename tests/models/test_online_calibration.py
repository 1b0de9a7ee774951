"""Online calibration: coverage comes back within a week after a shift the model does not know of, and calm times are left alone."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.stats import norm

from headroom.lake import Lake
from headroom.vocabulary import HORIZON_BUCKETS, QUANTILE_COLUMNS, QUANTILES, horizon_bucket
from models.adaptive_conformal import STATE_COLUMNS
from models.calibration import OFFSET_COLUMNS, apply_offsets
from models.online_calibration import applied_offsets, learnt_offsets, moved_offsets
from models.pinball import row_pinball

HOUR, DAY, START = pd.Timedelta("1h"), pd.Timedelta(days=1), pd.Timestamp("2026-03-02", tz="UTC")
STEPS = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
NOISE = 0.08
SHIFT_DAY, DAYS = 6, 15
NOTHING = pd.DataFrame(columns=list(OFFSET_COLUMNS)).astype({"offset": float})
COLUMNS = [*QUANTILE_COLUMNS, *STATE_COLUMNS]


def demand(*, level: float = 1.0, spread: float = 1.0, series: int = 20, seed: int = 1) -> dict[str, np.ndarray]:
    """Arrays (series, hours): a day's rhythm, what was used, its mean and deviation; from `SHIFT_DAY` on these change. Noise lasts for hours."""
    random, hours = np.random.default_rng(seed), np.arange((DAYS + 3) * 24)
    rhythm = 100 * (1 + 0.4 * np.sin(2 * np.pi * (hours / 24 + random.uniform(size=(series, 1)))))
    noise = random.normal(size=rhythm.shape)
    for hour in range(1, len(hours)):
        noise[:, hour] = 0.5 * noise[:, hour - 1] + np.sqrt(0.75) * noise[:, hour]
    after = hours >= SHIFT_DAY * 24
    mean = rhythm * np.where(after, level, 1.0)
    deviation = mean * NOISE * np.where(after, spread, 1.0)
    return {"rhythm": rhythm, "y": mean + deviation * noise, "mean": mean, "deviation": deviation}


def issued(world: dict[str, np.ndarray], hour: int) -> pd.DataFrame:
    """The next 72 hours as a model sees them that knows of no shift: honest before it."""
    ahead = hour + np.arange(72)
    quantiles = world["rhythm"][:, ahead, None] * (1 + NOISE * STEPS)
    rows = pd.DataFrame(quantiles.reshape(-1, len(QUANTILES)), columns=list(QUANTILE_COLUMNS))
    names = [f"r/s{place:02d}/cpu" for place in range(len(world["y"]))]
    horizon = np.tile(np.arange(1, 73), len(names))
    truth = {name: world[name][:, ahead].ravel() for name in ("y", "mean", "deviation")}
    rows = rows.assign(unique_id=np.repeat(names, 72), horizon=horizon, hour=hour + horizon - 1, **truth)
    return rows.assign(bucket=horizon_bucket(rows["horizon"]), ds=START + rows["hour"] * HOUR)


def live(world: dict[str, np.ndarray], *, every: int = 6, learning: bool = True) -> pd.DataFrame:
    """Forecasts every `every` hours; before each, what was measured since is judged, however long ago it was forecast."""
    offsets, waiting, told = NOTHING, [], []
    for hour in range(0, DAYS * 24, every):
        due = [rows[(rows["hour"] >= hour - every) & (rows["hour"] < hour)] for rows in waiting]
        if learning and due:
            judged = pd.concat(due, ignore_index=True)
            applied = judged[[f"applied {name}" for name in COLUMNS]].set_axis(COLUMNS, axis=1)
            offsets = moved_offsets(judged, offsets, applied)
        raw = issued(world, hour)
        wide = offsets.pivot_table(index=["unique_id", "bucket"], columns="quantile", values="offset").reindex(columns=COLUMNS)
        carried = wide.reindex(pd.MultiIndex.from_frame(raw[["unique_id", "bucket"]])).fillna(0.0).to_numpy()
        rows = apply_offsets(raw, offsets)
        applied = pd.DataFrame(carried, columns=[f"applied {name}" for name in COLUMNS])
        waiting = [*waiting[-72 // every :], pd.concat([rows, applied], axis=1)]
        told.append(rows.assign(raw_loss=row_pinball(raw), loss=row_pinball(rows)))
    found = pd.concat(told, ignore_index=True)
    return found.assign(day=found["hour"] // 24 - SHIFT_DAY)


def covered(rows: pd.DataFrame, level: float) -> float:
    """Probability that demand lies in the interval of `level`, given how it is really spread; free of the luck of single hours."""
    low, high = (norm.cdf(rows[f"{q:.2g}"], rows["mean"], rows["deviation"]) for q in ((1 - level) / 2, (1 + level) / 2))
    return float(np.mean(high - low))


def by_bucket(rows: pd.DataFrame, level: float) -> dict[str, float]:
    return {bucket: covered(part, level) for bucket, part in rows.groupby("bucket")}


@pytest.mark.slow
@pytest.mark.parametrize("shift", [{"level": 0.5}, {"level": 2.0}, {"spread": 2.0}, {"spread": 0.5}])
def test_coverage_is_back_within_seven_days_at_every_horizon(shift):
    rows = live(demand(**shift))
    for day in range(7, DAYS - SHIFT_DAY):
        own = rows[rows["day"] == day]
        assert by_bucket(own, 0.8) == pytest.approx(dict.fromkeys(HORIZON_BUCKETS, 0.8), abs=0.05), day
        assert by_bucket(own, 0.98) == pytest.approx(dict.fromkeys(HORIZON_BUCKETS, 0.98), abs=0.03), day
    before = rows[(rows["day"] < 0) & (rows["day"] >= -4)]
    assert covered(before, 0.8) == pytest.approx(0.8, abs=0.02)
    assert covered(before, 0.98) == pytest.approx(0.98, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [{"level": 0.5}, {"level": 2.0}, {"spread": 2.0}, {"spread": 0.5}])
def test_without_learning_it_does_not_come_back(shift):
    rows = live(demand(**shift), learning=False)
    for bucket, share in by_bucket(rows[rows["day"] >= 7], 0.8).items():
        assert abs(share - 0.8) > 0.15, bucket


@pytest.mark.slow
def test_calm_times_are_left_alone():
    rows = live(demand())
    for level in (0.8, 0.98):
        assert covered(rows, level) == pytest.approx(level, abs=0.02)
        assert by_bucket(rows, level) == pytest.approx(dict.fromkeys(HORIZON_BUCKETS, level), abs=0.02)
    assert rows["loss"].sum() < 1.01 * rows["raw_loss"].sum()


def judged_once(seed: int = 1) -> pd.DataFrame:
    return issued(demand(series=2, seed=seed), SHIFT_DAY * 24)


def test_a_series_without_new_outcomes_keeps_its_offsets():
    offsets = moved_offsets(judged_once(), NOTHING)
    keys = ["unique_id", "bucket", "quantile"]
    kept = moved_offsets(judged_once().iloc[:0], offsets)
    assert (kept["rows"] == 0).all()
    assert_frame_equal(kept.sort_values(keys)[[*keys, "offset"]], offsets.sort_values(keys)[[*keys, "offset"]], check_index_type=False)


def test_what_a_forecast_carries_is_taken_out_before_it_teaches():
    """The same outcomes teach the same, whatever offsets the judged forecasts were published with."""
    raw = judged_once()
    state = moved_offsets(raw, NOTHING)
    carried = pd.DataFrame(0.0, index=raw.index, columns=COLUMNS)
    moves = pd.DataFrame(
        [(name, bucket, quantile, 0.3 * step, 1) for name in raw["unique_id"].unique() for bucket in HORIZON_BUCKETS
         for quantile, step in zip(QUANTILE_COLUMNS, STEPS, strict=True)],
        columns=list(OFFSET_COLUMNS),
    )  # fmt: skip
    published = carried.assign(**dict(zip(QUANTILE_COLUMNS, 0.3 * STEPS, strict=True)))
    plain, moved = moved_offsets(raw, state, carried), moved_offsets(apply_offsets(raw, moves), state, published)
    assert np.allclose(plain["offset"], moved["offset"])


def test_forecasts_without_width_teach_nothing_and_break_nothing():
    flat = judged_once().assign(**dict.fromkeys(QUANTILE_COLUMNS, 0.0))
    assert moved_offsets(flat, NOTHING).empty
    both = pd.concat([flat.assign(unique_id="r/flat/cpu"), judged_once()], ignore_index=True)
    offsets = moved_offsets(both, NOTHING)
    assert "r/flat/cpu" not in set(offsets["unique_id"])
    assert np.isfinite(offsets["offset"]).all()


def test_one_spike_moves_a_median_by_less_than_half_a_width_and_is_forgotten():
    rows = judged_once()
    calm = rows.assign(y=rows["0.5"])
    offsets = NOTHING
    for day in range(3):
        own = calm.assign(ds=calm["ds"] + day * DAY, y=calm["y"].where((calm["hour"] % 24 > 0) | (day > 0), 20 * calm["y"]))
        offsets = moved_offsets(own[own["horizon"] <= 24], offsets)
        middle = offsets.loc[offsets["quantile"] == "0.5", "offset"].abs().max()
        assert middle < (0.5 if day == 0 else 0.05)


@pytest.fixture
def lake(tmp_path) -> Lake:
    """Offsets 0.1, 0.2, ... of version 1, learnt at the hours 0, 6, 12, 18 and 24."""
    made = Lake(str(tmp_path / "lake"))
    made.create()
    for place, hour in enumerate(range(0, 30, 6), start=1):
        now = START + hour * HOUR
        rows = pd.DataFrame({"quantile": ["0.9", "stretch"], "offset": [0.1 * place, 1.0 * place]})
        rows = rows.assign(issue_time=now, available_at=now, model_version="1", unique_id="r/s/cpu", bucket="1-6", rows=1)
        made.replace("calibration", rows.astype({"rows": "int32"}), start=now, end=now + HOUR)
    return made


def test_a_judged_row_finds_the_offsets_that_its_forecast_was_published_with(lake):
    hours = [0, 1, 6, 7, 24, 25]
    judged = pd.DataFrame(
        {"issue_time": [START + hour * HOUR for hour in hours], "unique_id": "r/s/cpu", "model_version": "1", "bucket": "1-6"}
    )
    judged = pd.concat([judged, judged.tail(1).assign(model_version="2"), judged.tail(1).assign(bucket="7-24")], ignore_index=True)
    judged = judged.astype({"issue_time": "datetime64[us, UTC]"})
    found = applied_offsets(lake, judged, START + 30 * HOUR)
    assert found["0.9"].tolist() == pytest.approx([0.0, 0.1, 0.1, 0.2, 0.4, 0.5, 0.0, 0.0])
    assert found["stretch"].tolist() == pytest.approx([0.0, 1.0, 1.0, 2.0, 4.0, 5.0, 0.0, 0.0])
    for hour, offset in zip(hours, found["0.9"], strict=False):
        learnt = learnt_offsets(lake, START + hour * HOUR)
        assert learnt.loc[learnt["quantile"] == "0.9", "offset"].sum() == pytest.approx(offset)
    assert applied_offsets(lake, judged.iloc[:0], START).empty
