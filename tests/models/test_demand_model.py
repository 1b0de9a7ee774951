"""DemandModel: the same forecast from files, in another process, from a longer history; only what was known counts."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from long_frames import CUTOFF, HOUR, UTC, event_rows, no_events, rhythm

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS
from models.calibration import ALL_SERIES, Calibration
from models.candidates import CANDIDATES
from models.demand_model import FORECAST_COLUMNS, DemandModel

LEVELS = list(QUANTILE_COLUMNS)
SCORE = """
import hashlib, sys
import pandas as pd
from pathlib import Path
from models.demand_model import DemandModel
folder = Path(sys.argv[1])
history, events = pd.read_parquet(folder / "history.parquet"), pd.read_parquet(folder / "events.parquet")
found = DemandModel.load(folder / "model").predict(history, events, pd.Timestamp(sys.argv[2]))
found.to_parquet(folder / sys.argv[3])
"""


def all_candidates() -> dict[str, str]:
    return {f"r/s{i}/cpu": name for i, name in enumerate(CANDIDATES)}


def history_of(names: list[str]) -> pd.DataFrame:
    return pd.concat([rhythm(name, days=40, seed=i, level=10.0**i) for i, name in enumerate(names)], ignore_index=True)


def offsets() -> Calibration:
    return Calibration(pd.DataFrame({"unique_id": ALL_SERIES, "bucket": "1-6", "quantile": ["0.9"], "offset": [0.5], "rows": 9}))


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return history_of(list(all_candidates()))


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return event_rows([CUTOFF + pd.Timedelta(days=day, hours=19) for day in (-20, -12, -5, 1)], service="")


@pytest.fixture(scope="module")
def model(history, events) -> DemandModel:
    return DemandModel.fit(
        history,
        events,
        UTC,
        weights={series: {name: 1.0} for series, name in all_candidates().items()},
        calibration=offsets(),
        issue_time=CUTOFF,
    )


def test_every_series_has_72_hours_by_its_candidate(model, history, events):
    found = model.predict(history, events, CUTOFF)
    assert list(found.columns) == list(FORECAST_COLUMNS)
    assert found.groupby("unique_id")["horizon"].apply(list).map(lambda h: h == list(range(1, 73))).all()
    assert (found["candidate"] == found["unique_id"].map(all_candidates())).all()
    values = found[LEVELS].to_numpy()
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=1) >= 0).all()
    assert (values >= 0).all()
    assert (model.train_start, model.train_end) == (history["ds"].min(), CUTOFF)


def test_two_processes_give_the_same_bytes(model, history, events, tmp_path):
    """What a live run forecast, a backfill in another process forecasts again: with a longer history, and with what came later."""
    model.save(tmp_path / "model")
    issue = CUTOFF + 24 * HOUR
    digests = []
    for run, seen in enumerate((history[history["ds"] >= issue - pd.Timedelta(days=28)], history)):
        upto = seen[seen["ds"] < issue] if run == 0 else seen
        known = events if run == 0 else pd.concat([events, event_rows([issue + 9 * HOUR], known=issue + HOUR)], ignore_index=True)
        upto.to_parquet(tmp_path / "history.parquet")
        known.to_parquet(tmp_path / "events.parquet")
        script = [sys.executable, "-c", SCORE, str(tmp_path), issue.isoformat(), f"{run}.parquet"]
        subprocess.run(script, check=True, cwd=Path(__file__).parents[2], timeout=120)
        found = pd.read_parquet(tmp_path / f"{run}.parquet")
        digests.append(hashlib.sha256(found[LEVELS].to_numpy().tobytes()).hexdigest())
    assert digests[0] == digests[1]
    here = model.predict(history, events, issue)
    assert hashlib.sha256(here[LEVELS].to_numpy().tobytes()).hexdigest() == digests[0]


def test_calibration_is_applied(model, history, events):
    plain = DemandModel(**{**vars(model), "calibration": Calibration.none()}).predict(history, events, CUTOFF)
    found = model.predict(history, events, CUTOFF)
    near = found["horizon"] <= 6
    assert (found.loc[near, "0.9"] > plain.loc[near, "0.9"]).all()
    assert found.loc[~near, LEVELS].equals(plain.loc[~near, LEVELS])


def test_what_it_cannot_serve_is_left_out_and_named(model, history, events):
    short = history[(history["unique_id"] != "r/s0/cpu") | (history["ds"] >= CUTOFF - 50 * HOUR)]
    short = short[short["unique_id"] != "r/s1/cpu"]
    given = pd.concat([short, rhythm("r/unknown/cpu")], ignore_index=True)
    reasons = model.unservable(given, CUTOFF)
    assert set(reasons) == {"r/s0/cpu", "r/s1/cpu", "r/unknown/cpu"}
    assert "50 measured hours" in reasons["r/s0/cpu"]
    assert not set(reasons) & set(model.predict(given, events, CUTOFF)["unique_id"])


def test_no_history_at_all_is_refused(events):
    with pytest.raises(BadInputError, match="no history before"):
        DemandModel.fit(rhythm(days=0), no_events(), UTC, weights={}, calibration=Calibration.none(), issue_time=CUTOFF)


def test_a_folder_without_a_model_or_with_another_format_is_refused(model, tmp_path):
    with pytest.raises(BadInputError, match=r"no model\.json"):
        DemandModel.load(tmp_path)
    model.save(tmp_path)
    facts = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(facts.replace('"format": 2', '"format": 9'))
    with pytest.raises(BadInputError, match="format 9, this version reads 2"):
        DemandModel.load(tmp_path)


def test_a_model_whose_boosters_are_missing_is_refused(model, tmp_path):
    model.save(tmp_path)
    (tmp_path / "lightgbm" / "quantile-0.5.txt").unlink()
    with pytest.raises(BadInputError, match="6 of 7 boosters"):
        DemandModel.load(tmp_path)


def test_without_refit_only_kept_fits_and_naives_forecast_with_all_promises_kept(history, events):
    names = [f"r/s{at}/cpu" for at in range(3)]
    rows = history[history["unique_id"].isin(names)]
    mixed = {"exponential-smoothing": 0.5, "seasonal-ridge": 0.2, "flair": 0.3}
    weights = {names[0]: mixed, names[1]: {"flair": 1.0}, names[2]: {"seasonal-naive-24": 0.4, "exponential-smoothing": 0.6}}
    model = DemandModel.fit(rows, events, UTC, weights=weights, calibration=offsets(), issue_time=CUTOFF)
    full, warm = (model.predict(rows, events, CUTOFF, 24, refit=refit) for refit in (True, False))
    assert warm.equals(model.predict(rows, events, CUTOFF, 24, refit=False))
    assert list(warm.columns) == list(FORECAST_COLUMNS)
    assert warm[["unique_id", "ds"]].equals(full[["unique_id", "ds"]])
    told = dict(warm[["unique_id", "candidate"]].drop_duplicates().to_numpy().tolist())
    assert told[names[0]] == "exponential-smoothing 71 %, seasonal-ridge 29 %"
    assert set(told[names[1]].replace(" 33 %", "").split(", ")) == {"exponential-smoothing", "seasonal-naive-24", "seasonal-ridge"}
    values = warm[LEVELS].to_numpy()
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=1) >= 0).all()
    assert (values >= 0).all()
    # The series without a part of its mixture is forecast the same; the others nearly.
    same = warm["unique_id"] == names[2]
    pd.testing.assert_frame_equal(warm[same], full[same])
    assert (np.abs(warm["0.5"] / full["0.5"] - 1) < 0.1).all()


def test_without_refit_a_model_of_refitted_candidates_repeats_the_day(history, events):
    name = "r/s0/cpu"
    rows = history[history["unique_id"] == name]
    model = DemandModel.fit(rows, events, UTC, weights={name: {"flair": 1.0}}, calibration=Calibration.none(), issue_time=CUTOFF)
    assert set(model.predict(rows, events, CUTOFF, refit=False)["candidate"]) == {"seasonal-naive-24"}


def test_what_learns_from_all_series_is_shown_all_that_are_forecast_and_gives_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightGBM looks at the others, also at those that it has no weight on."""
    given: dict[str, set[str]] = {}
    weights = {"r/a/cpu": {"lightgbm": 1.0}, "r/b/cpu": {"flair": 1.0}, "q/c/cpu": {"seasonal-naive-24": 1.0}}
    history = history_of(list(weights))
    found = DemandModel.fit(history, no_events(), UTC, weights=weights, calibration=offsets(), issue_time=CUTOFF)
    for name, forecaster in found.fitted.items():
        plain = forecaster.predict_quantiles

        def seen(rows: pd.DataFrame, *rest: object, name: str = name, plain=plain) -> pd.DataFrame:
            given[name] = set(rows["unique_id"].unique())
            return plain(rows, *rest)

        monkeypatch.setattr(forecaster, "predict_quantiles", seen)
    told = found.predict(history, no_events(), CUTOFF)
    assert given == {"lightgbm": set(weights), "flair": {"r/b/cpu"}, "seasonal-naive-24": {"q/c/cpu"}}
    assert dict(told.groupby("unique_id")["candidate"].first()) == {series: next(iter(mix)) for series, mix in weights.items()}
    assert told.groupby("unique_id").size().eq(72).all()
