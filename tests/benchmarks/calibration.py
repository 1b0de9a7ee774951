"""Measure 3: how often what happens lies inside the intervals, and what calibration costs or gains in weighted quantile loss."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from headroom.vocabulary import HORIZON_BUCKETS, QUANTILE_COLUMNS
from models.accuracy import FINAL, NAIVE_PREFIX, reliability, row_facts
from models.engine import BacktestResult, backtest_frame
from models.ensemble import blend
from models.rhythm import HOURLY
from tests.benchmarks.recordings import DEVELOPED_ON, HOUR, Recording, read_recording

UNCALIBRATED = "uncalibrated"
MOST_WINDOWS = 20
# Windows before the first tested one: some to weigh on and some to calibrate on.
LEAD_WINDOWS = 3
LEVELS = {"80": 0.8, "98": 0.98}
ALL = "all rows"
MEAN = "mean of recordings"


def run_calibration(folder: Path, names: list[str]) -> pd.DataFrame:
    """Rows of the calibrated and of the uncalibrated forecast of every recording (columns of a backtest, `recording`, `bucket`)."""
    return pd.concat([_of_recording(read_recording(folder, name)) for name in names if name in DEVELOPED_ON], ignore_index=True)


def windows_of(recording: Recording) -> int:
    """As many windows as the longest series allows, and at most `MOST_WINDOWS`."""
    ends = recording.series.rows.groupby("unique_id")["ds"].agg(["min", "max"])
    steps = int(((ends["max"] - ends["min"]) / HOUR).max()) + 1
    return max(1, min(MOST_WINDOWS, (steps - HOURLY.shortest) // recording.horizon - LEAD_WINDOWS))


def uncalibrated(result: BacktestResult) -> pd.DataFrame:
    """The ensemble as it was before calibration: its candidates' rows, averaged with its weights."""
    keys = ["unique_id", "cutoff"]
    window = result.weights.groupby(keys, sort=False).ngroup().astype(str)
    named = result.weights.assign(window=window)
    weights = named.pivot_table(index="window", columns="candidate", values="weight", fill_value=0.0)
    rows = result.forecasts[result.forecasts["candidate"] != FINAL].merge(named[[*keys, "window"]].drop_duplicates(), on=keys)
    mixed = blend(rows.rename(columns={"unique_id": "series", "window": "unique_id"}), weights)
    return mixed.drop(columns="unique_id").rename(columns={"series": "unique_id"}).assign(candidate=UNCALIBRATED)


def _of_recording(recording: Recording) -> pd.DataFrame:
    windows = windows_of(recording)
    result = backtest_frame(recording.series, horizon=recording.horizon, windows=windows, events=recording.events)
    sys.stderr.write(f"{recording.name}: calibration over {windows} windows\n")
    columns = ["unique_id", "cutoff", "ds", "candidate", *QUANTILE_COLUMNS, "y"]
    kept = result.forecasts[(result.forecasts["candidate"] == FINAL) | result.forecasts["candidate"].str.startswith(NAIVE_PREFIX)]
    rows = pd.concat([kept, uncalibrated(result)[columns]], ignore_index=True)
    facts = row_facts(rows, recording.series)
    rows = rows[rows["y"].notna()].assign(recording=recording.name, bucket=facts["bucket"].astype(str).to_numpy(), windows=windows)
    return rows.assign(loss=facts["loss"].to_numpy(), **{f"in_{name}": facts[f"in_{level:g}"].to_numpy() for name, level in LEVELS.items()})


def coverage_table(rows: pd.DataFrame) -> pd.DataFrame:
    """`_table` as it is shown: rounded, and without what would mean nothing."""
    shown = _table(rows)
    shown.loc[shown["recording"].isin([ALL, MEAN]), ["WQL", "WQL uncalibrated"]] = np.nan  # a sum over units, or a mean
    shown[["windows", "rows"]] = shown[["windows", "rows"]].astype("Int64").astype(object).where(shown[["windows", "rows"]].notna(), np.nan)
    return shown.round({name: 4 if name.startswith("WQL") else 1 for name in shown.columns if name not in ("recording", "windows", "rows")})


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per recording, all rows together and the mean of recordings: coverage of the final forecast by bucket, WQL before and after."""
    named = [*((name, part) for name, part in rows.groupby("recording", sort=False)), (ALL, rows)]
    table = pd.DataFrame([{"recording": name, **_coverages(part)} for name, part in named])
    numbers = table[table["recording"] != ALL].drop(columns=["recording", "windows", "rows"]).mean()
    mean = pd.DataFrame([{"recording": MEAN, **numbers}])
    whole = pd.concat([table, mean], ignore_index=True)
    whole["change of WQL %"] = 100 * (whole["WQL"] / whole["WQL uncalibrated"] - 1)
    whole.loc[whole["recording"] == ALL, "change of WQL %"] = np.nan
    whole.loc[whole["recording"] == MEAN, "change of WQL %"] = 100 * (_geometric(table) - 1)
    return whole


def doubt_table(rows: pd.DataFrame) -> pd.DataFrame:
    """How far chance alone moves the coverage of 80 % intervals, in points, and what calibration changes of WQL, in %.

    Standard errors over windows, which are what is drawn: hours of one window, and series at one time, are high or low together.
    """
    final, before = rows[rows["candidate"] == FINAL], rows[rows["candidate"] == UNCALIBRATED]
    held = 100 * final.groupby(["recording", "bucket", "cutoff"], sort=False)["in_80"].mean()
    table = _standard_error(held, ["recording", "bucket"]).unstack()[list(HORIZON_BUCKETS)].add_prefix("80 %, ").add_suffix(" h")
    windows = ["recording", "cutoff"]
    change = 100 * (final.groupby(windows, sort=False)["loss"].sum() / before.groupby(windows, sort=False)["loss"].sum() - 1)
    table["change of WQL %"] = _standard_error(change, ["recording"])
    shown = table.loc[list(dict.fromkeys(rows["recording"]))].round(1)
    return shown.rename_axis(None, axis=1).reset_index()


def _standard_error(values: pd.Series, by: list[str]) -> pd.Series:
    groups = values.groupby(by, sort=False)
    return groups.std() / np.sqrt(groups.size())


def _coverages(rows: pd.DataFrame) -> dict[str, object]:
    final, before = rows[rows["candidate"] == FINAL], rows[rows["candidate"] == UNCALIBRATED]
    told: dict[str, object] = {"windows": final["windows"].iloc[0] if final["windows"].nunique() == 1 else np.nan, "rows": len(final)}
    for name in LEVELS:
        told[f"{name} %"] = 100 * final[f"in_{name}"].mean()
        told[f"{name} % uncalibrated"] = 100 * before[f"in_{name}"].mean()
        told |= {f"{name} %, {bucket} h": 100 * final.loc[final["bucket"] == bucket, f"in_{name}"].mean() for bucket in HORIZON_BUCKETS}
    told |= {"WQL": final["loss"].sum() / final["y"].abs().sum(), "WQL uncalibrated": before["loss"].sum() / before["y"].abs().sum()}
    return told


def _geometric(table: pd.DataFrame) -> float:
    each = table[table["recording"] != ALL]
    return float(np.exp(np.log(each["WQL"] / each["WQL uncalibrated"]).mean()))


def bars(rows: pd.DataFrame) -> list[tuple[str, str, float, bool]]:
    """(measure, bar, measured, met): the largest distance from the nominal level in points, judged before it is rounded."""
    table = _table(rows).set_index("recording")
    each = table.drop(index=[ALL, MEAN])
    told = []
    for name, level in LEVELS.items():
        nominal = 100 * level
        buckets = [f"{name} %, {bucket} h" for bucket in HORIZON_BUCKETS]
        for what, gaps, limit in (
            ("all rows together", table.loc[[ALL], f"{name} %"] - nominal, 2.0),
            ("worst recording", each[f"{name} %"] - nominal, 5.0),
            ("worst bucket, all rows", table.loc[ALL, buckets].astype(float) - nominal, 5.0),
            ("worst bucket of a recording", each[buckets].stack() - nominal, 5.0),
        ):
            worst = float(gaps.loc[gaps.abs().idxmax()])
            told.append((f"{name} % interval, points off, {what}", f"within {limit:g}", worst, abs(worst) <= limit))
    change = float(table.loc[MEAN, "change of WQL %"])
    told.append(("WQL by calibration, change in %, geometric mean", "at most 0", change, change <= 0))
    return told


def draw_calibration(rows: pd.DataFrame, path: Path) -> None:
    """Reliability: share of measurements at most each quantile against the quantile (ties count half), before and after calibration."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, candidate, title in zip(panels, (UNCALIBRATED, FINAL), ("Ensemble, uncalibrated", "Calibrated"), strict=True):
        own = rows[rows["candidate"] == candidate]
        panel.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for name, part in [*own.groupby("recording", sort=False), (ALL, own)]:
            curve = reliability(part)
            look = {"color": "#1f4e79", "linewidth": 2.4} if name == ALL else {"linewidth": 1.0, "alpha": 0.8}
            panel.plot(curve["quantile"], (curve["below"] + curve["at_most"]) / 2, marker=".", label=name, **look)
        panel.set(title=title, xlabel="quantile", aspect="equal", xlim=(0, 1), ylim=(0, 1))
    panels[0].set_ylabel("share of measurements below it")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=90)
