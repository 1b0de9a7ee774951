"""AutoGluon-TimeSeries on the rows of `tests/benchmarks/peers.py`: run by the Python of an environment that has it, not by ours.

    PYTHON autogluon_peer.py --input given.parquet --output answer.parquet --horizon 72 --seconds 150

One fit per window with its preset `high_quality` (statistical and tabular models, small deep networks, a weighted ensemble), without the
models whose weights were trained elsewhere. Reads `window, unique_id, ds, y`, rows of the horizon without y; further columns are known ahead.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

QUANTILES = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
PRETRAINED = ["Chronos", "Chronos2", "Toto", "Toto2"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    options = parser.parse_args()
    rows = pd.read_parquet(options.input).rename(columns={"unique_id": "item_id", "ds": "timestamp"})
    parts = [forecast(part.drop(columns="window"), options.horizon, options.seconds).assign(window=w) for w, part in rows.groupby("window")]
    pd.concat(parts).to_parquet(options.output, index=False)


def forecast(rows: pd.DataFrame, horizon: int, seconds: int) -> pd.DataFrame:
    known = [column for column in rows.columns if column not in ("item_id", "timestamp", "y")]
    past, ahead = rows[rows["y"].notna()], rows[rows["y"].isna()].drop(columns="y")
    with tempfile.TemporaryDirectory() as folder:
        predictor = TimeSeriesPredictor(
            target="y",
            prediction_length=horizon,
            freq="h",
            eval_metric="WQL",
            quantile_levels=QUANTILES,
            known_covariates_names=known or None,
            path=folder,
            verbosity=2,
        )
        train = TimeSeriesDataFrame.from_data_frame(past)
        predictor.fit(train, presets="high_quality", excluded_model_types=PRETRAINED, time_limit=seconds, random_seed=0)
        future = TimeSeriesDataFrame.from_data_frame(ahead) if known else None
        found = predictor.predict(train, known_covariates=future, random_seed=0)
    return found.reset_index().rename(columns={"item_id": "unique_id", "timestamp": "ds"}).drop(columns="mean")


if __name__ == "__main__":
    main()
