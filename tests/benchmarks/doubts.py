"""Does it help to leave out faults that came back, and is a new level believed? Faults planted in recorded traces, before their test windows.

    python -m tests.benchmarks.doubts --data DIR

Prints the loss with doubts over the loss without (geometric mean over series, mean of the windows), the share of hours that are doubted, and
what doubting costs for 1,000 series.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from headroom.schemas import empty_frame
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.anomaly_doubt import DOUBTED, believed, with_doubts
from models.candidates import create
from models.forecaster import SeriesCalendar
from models.hourly_grid import recent
from models.rhythm import HOURLY

HOUR = pd.Timedelta("1h")
HORIZON = 72
# Series of each data set, and hours at the end of it that belong to other benchmarks.
DATA_SETS = {"servers": 12, "grid": 6, "gpu_queues": 8}
TEST_HOURS = 3 * HORIZON
WINDOWS = 2
FAULTS = ("none", "spikes", "outages", "halved 24 h before", "halved 48 h before")
CANDIDATES = ("seasonal-naive-168", "seasonal-ridge", "flair")
EVENTS = empty_frame("events")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with servers.parquet, grid.parquet, gpu_queues.parquet")
    arguments = parser.parse_args()
    rows = []
    for name, count in DATA_SETS.items():
        traces = load(arguments.data / f"{name}.parquet", count)
        end = traces.groupby("unique_id")["ds"].max().min() + HOUR - TEST_HOURS * HOUR
        for fault in FAULTS:
            found = pd.DataFrame([measure(traces, end - back * HORIZON * HOUR, fault) for back in range(1, WINDOWS + 1)]).mean()
            rows.append({"hours planted": fault, "data set": name, **found})
    table = pd.DataFrame(rows).sort_values("hours planted", key=lambda names: names.map(FAULTS.index), kind="stable")
    print(table.to_string(index=False, float_format="{:.3f}".format))  # noqa: T201 -- a benchmark reports to its terminal
    print(f"1,000 series x 41 days: {cost(1000, 41):.1f} s CPU")  # noqa: T201


def load(path: Path, count: int) -> pd.DataFrame:
    """`count` series, evenly spread over the names."""
    rows = pd.read_parquet(path)[["unique_id", "ds", "y"]].dropna()
    names = sorted(rows["unique_id"].unique())
    rows = rows[rows["unique_id"].isin(names[:: max(1, len(names) // count)][:count])]
    return rows.assign(ds=pd.to_datetime(rows["ds"], utc=True)).sort_values(["unique_id", "ds"], ignore_index=True)


def planted(traces: pd.DataFrame, cutoff: pd.Timestamp, fault: str, random: np.random.Generator) -> pd.DataFrame:
    """Faults within the four weeks before `cutoff`; a halved level lasts."""
    y, before = traces["y"].to_numpy(dtype=float).copy(), (traces["ds"] < cutoff).to_numpy()
    for places in traces.groupby("unique_id").indices.values():
        past = places[before[places]]
        if fault == "spikes":
            y[random.choice(past[-28 * 24 :], 5, replace=False)] *= 4
        elif fault == "outages":
            for start in random.choice(past[-28 * 24 : -12], 2, replace=False):
                y[start : start + random.integers(3, 12)] *= 0.02
        elif fault.startswith("halved"):
            y[past[-int(fault.split()[1]) :]] *= 0.5
            y[places[len(past) :]] *= 0.5
    return traces.assign(y=y)


def measure(traces: pd.DataFrame, cutoff: pd.Timestamp, fault: str) -> dict[str, float]:
    near = traces[(traces["ds"] >= cutoff - 60 * 24 * HOUR) & (traces["ds"] < cutoff + HORIZON * HOUR)].reset_index(drop=True)
    faulty = planted(near, cutoff, fault, np.random.default_rng(len(fault)))
    truth = faulty if fault.startswith("halved") else near
    plain = faulty[faulty["ds"] < cutoff]
    kept = believed(with_doubts(faulty, EVENTS), cutoff)
    ratio = np.log(losses(kept, truth, cutoff) / losses(plain, truth, cutoff)).mean()
    since = cutoff - int(fault.split()[1]) * HOUR if fault.startswith("halved") else cutoff - 28 * 24 * HOUR
    share = 1 - (kept["ds"] >= since).sum() / (plain["ds"] >= since).sum()
    return {"doubted": float(share), **{str(name): float(np.exp(value)) for name, value in ratio.items()}}


def losses(seen: pd.DataFrame, truth: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """Mean pinball loss, series x candidates, above zero."""
    found, levels = {}, np.array(QUANTILES)
    for name in CANDIDATES:
        fitted = create(name).fit(seen, EVENTS, SeriesCalendar())
        rows = fitted.predict_quantiles(recent(seen, cutoff, HOURLY), EVENTS, cutoff, HORIZON).merge(truth, on=["unique_id", "ds"])
        error = rows["y"].to_numpy(dtype=float)[:, None] - rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
        loss = np.maximum(levels * error, (levels - 1) * error).mean(axis=1)
        found[name] = pd.Series(loss, index=rows["unique_id"]).groupby(level=0).mean() + 1e-9 * rows["y"].abs().mean()
    return pd.DataFrame(found)


def cost(series: int, days: int) -> float:
    random, ds = np.random.default_rng(0), pd.date_range("2026-01-01", periods=24 * days, freq="h", tz="UTC", unit="us")
    rhythm = 10 + 3 * np.sin(np.arange(len(ds)) * np.pi / 12)
    parts = [pd.DataFrame({"unique_id": f"r/s{n}/cpu", "ds": ds, "y": rhythm + random.normal(0, 0.5, len(ds))}) for n in range(series)]
    rows = pd.concat(parts, ignore_index=True)
    began = time.process_time()
    doubted = with_doubts(rows, EVENTS)[DOUBTED].notna().mean()
    spent = time.process_time() - began
    print(f"{doubted:.3%} of normal noise around a rhythm is doubted")  # noqa: T201
    return spent


if __name__ == "__main__":
    main()
