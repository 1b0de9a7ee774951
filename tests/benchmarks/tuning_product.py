"""Does the tuner's regret fall with the product's own candidates?

    python -m tests.benchmarks.tuning_product --data DIR --output DIR

Every arm of the product (`models/tuning/arms.py`) trains a few series of every recording at every midnight, as a training does: the candidates
that it takes by itself are fitted with the arm's parameters, and weighed by their forecasts of the three windows before. It is judged by the 72
hours that follow, before calibration. The bandit then lives through the issue days as in `tests.benchmarks.tuning`: it sees the reward of the arm
that it chose, three days late, and nothing else. As in the product the reward is told against the untuned reference (`models/tuning/reference.py`);
regret is told against repeating the last week, and what the bandit comes to when its reward is told so too is shown beside. The last three windows of every recording are left out, because they are test windows elsewhere.

Writes `losses.parquet`, which a second run reads instead of forecasting again, `tuning-product.json` and `tuning-product.png`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.schemas import TABLES
from models.anomaly_doubt import with_doubts
from models.backtest import backtest
from models.candidates import DEFAULT_CANDIDATES, NAIVES
from models.ensemble import blend, ensemble_weights
from models.forecaster import SeriesCalendar
from models.pinball import row_pinball
from models.tuning.arms import ARMS, Tuning
from models.tuning.bandit import EXPLORERS
from models.tuning.context import segment_contexts
from models.tuning.reference import REFERENCE
from models.tuning.reward import reward_of
from tests.benchmarks.tuning import BEST, DATA_SETS, SEEDS, World, joined, live_through, mean_regrets, of_data_set, shuffled, summary

Array = npt.NDArray[np.float64]
HOUR: Final = pd.Timedelta("1h")
DAY: Final = 24 * HOUR
WINDOW: Final = 3 * DAY
# What nothing is settled on, here as elsewhere.
TEST_WINDOWS: Final = 3
# Days of history before the first window that weighs, and windows that weigh.
FIRST: Final = 8 * DAY
WEIGHING: Final = 3
MOST_DAYS: Final = 45
# Series of each recording, evenly spread over their names, and days of history that a training is given.
SERIES: Final = {"servers": 8, "gpu_queues": 8, "matches": 1, "grid": 3, "fleet": 2}
HISTORY: Final = 41 * DAY
ABSENT: Final = pd.Series([np.nan])
OF_REFERENCE: Final = "reference"
NOISY: Final = "bandit, told against last week"
INKS: Final = {"bandit": "#1f4e79", NOISY: "#8fb4d9", "uniform": "#c55a11", "default": "#7f7f7f", "best single arm": "#2e7d32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with servers.parquet, gpu_queues.parquet, ...")
    parser.add_argument("--output", type=Path, required=True, help="folder for the losses, tuning-product.json and tuning-product.png")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    losses = all_losses(arguments.data, arguments.output / "losses.parquet")
    world = joined([world_of(arguments.data, name, losses[losses["data_set"] == name]) for name in DATA_SETS])
    recorded = both_regrets([world] * SEEDS)
    reordered = both_regrets([shuffled(world, seed) for seed in range(SEEDS)])
    report = {
        "arms": world.arms,
        "seeds": SEEDS,
        "loss_over_naive_by_arm": by_arm(world),
        "days_in_order": summary(world, recorded),
        "days_in_random_order": summary(world, reordered),
    }
    (arguments.output / "tuning-product.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(world, {"in order": recorded, "in random order": reordered}, arguments.output / "tuning-product.png")
    print(json.dumps(report))  # noqa: T201 -- a benchmark reports to its terminal


def both_regrets(worlds: list[World]) -> dict[str, Array]:
    """`mean_regrets` of a run in each world, and of one in which rewards are told against last week."""
    found = mean_regrets([(world, live_through(world, seed, EXPLORERS)) for seed, world in enumerate(worlds)])
    noisy = mean_regrets([(world, live_through(replace(world, signals=None), seed, EXPLORERS)) for seed, world in enumerate(worlds)])
    return {**found, NOISY: noisy["bandit"]}


def all_losses(folder: Path, kept: Path) -> pd.DataFrame:
    """`data_set, arm, unique_id, cutoff, loss, naive`; read from `kept` as far as it is there."""
    found = [pd.read_parquet(kept)] if kept.is_file() else []
    for data_set in DATA_SETS:
        for arm in (*ARMS, OF_REFERENCE):
            if any(((part["data_set"] == data_set) & (part["arm"] == arm)).any() for part in found):
                continue
            began = time.process_time()
            learn = losses_of if arm in ARMS else losses_of_reference
            found.append(learn(recording(folder, data_set), arm).assign(data_set=data_set, arm=arm))
            pd.concat(found, ignore_index=True).to_parquet(kept)
            print(data_set, arm, f"{time.process_time() - began:.0f} s", flush=True)  # noqa: T201 -- it takes minutes
    return pd.concat(found, ignore_index=True)


def recording(folder: Path, data_set: str) -> pd.DataFrame:
    """`unique_id, ds, y` of some of its series, before the test windows."""
    long = pd.read_parquet(folder / f"{data_set}.parquet")[["unique_id", "ds", "y"]]
    long = long.assign(ds=pd.to_datetime(long["ds"], utc=True).astype("datetime64[us, UTC]"))
    names = sorted(long["unique_id"].unique())
    some = [names[at] for at in np.unique(np.linspace(0, len(names) - 1, SERIES[data_set]).astype(int))]
    end = (long["ds"].max() + HOUR).floor("D") - TEST_WINDOWS * WINDOW
    return long[long["unique_id"].isin(some) & (long["ds"] < end)].reset_index(drop=True)


def losses_of(history: pd.DataFrame, arm: str) -> pd.DataFrame:
    """`unique_id, cutoff, loss, naive` of trainings at every midnight that took the arm for all series, and of repeating the last week."""
    tuning = dict.fromkeys(history["unique_id"].unique(), ARMS[arm])
    frames = forecasts(history, DEFAULT_CANDIDATES, tuning)
    shrinkage = {series: told.weight_shrinkage for series, told in tuning.items()}
    return pd.concat([judged(frames, cutoff, shrinkage) for cutoff in frames if cutoff - WINDOW in frames], ignore_index=True)


def losses_of_reference(history: pd.DataFrame, arm: str) -> pd.DataFrame:
    """As `losses_of`, of the untuned average that rewards are told against."""
    del arm
    parts = []
    for cutoff, rows in forecasts(history, [*REFERENCE, NAIVES[1]], {}).items():
        names = pd.Index(sorted(rows["unique_id"].unique()), name="unique_id")
        own = blend(rows, pd.DataFrame(1.0 / len(REFERENCE), index=names, columns=list(REFERENCE)))
        parts.append(means(own, rows[rows["candidate"] == NAIVES[1]]).assign(cutoff=cutoff))
    return pd.concat(parts, ignore_index=True)


def forecasts(history: pd.DataFrame, candidates: Sequence[str], tuning: dict[str, Tuning]) -> dict[pd.Timestamp, pd.DataFrame]:
    """Midnight -> out-of-fold rows of the candidates, fitted on what a training is given."""
    events = TABLES["events"].schema.empty_table().to_pandas().drop(columns="day")
    history = with_doubts(history, events)
    end = history["ds"].max() + HOUR
    first = max((history["ds"].min() + FIRST).ceil("D"), end - WINDOW - (MOST_DAYS - 1) * DAY - WEIGHING * WINDOW)
    found = {}
    for cutoff in pd.date_range(first, end - WINDOW, freq="D"):
        seen = history[(history["ds"] >= cutoff - HISTORY) & (history["ds"] < cutoff + WINDOW)]
        found[cutoff] = backtest(candidates, seen, events, SeriesCalendar(), [cutoff], tuning=tuning)
    return found


def judged(frames: dict[pd.Timestamp, pd.DataFrame], cutoff: pd.Timestamp, shrinkage: dict[str, float]) -> pd.DataFrame:
    """The training of one midnight, weighed on the windows before it and judged on the one after it."""
    before = [frames[past] for back in range(1, WEIGHING + 1) if (past := cutoff - back * WINDOW) in frames]
    now = frames[cutoff]
    own = blend(now, ensemble_weights(pd.concat(before, ignore_index=True), shrinkage))
    return means(own, now[now["candidate"] == NAIVES[1]]).assign(cutoff=cutoff)


def means(own: pd.DataFrame, naive: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, loss, naive`: mean pinball losses of the series of both."""
    both = {
        name: rows.assign(loss=row_pinball(rows)).groupby("unique_id")["loss"].mean() for name, rows in (("loss", own), ("naive", naive))
    }
    return pd.DataFrame(both).dropna().rename_axis("unique_id").reset_index()


def world_of(folder: Path, data_set: str, losses: pd.DataFrame) -> World:
    """Rewards, against last week and against the reference, and contexts of one recording; series that were not judged at some midnight are left out."""
    keys = ["unique_id", "cutoff"]
    reference = losses[losses["arm"] == OF_REFERENCE].set_index(keys)["loss"].rename("reference")
    losses = losses[losses["arm"] != OF_REFERENCE].join(reference, on=keys)
    losses = losses.assign(reward=reward_of(losses["loss"], losses["naive"]), signal=reward_of(losses["loss"], losses["reference"]))
    rewards, signals = (losses.pivot_table(index="cutoff", columns=["arm", "unique_id"], values=name) for name in ("reward", "signal"))
    names = [name for name in sorted(losses["unique_id"].unique()) if all(rewards[arm].get(name, ABSENT).notna().all() for arm in ARMS)]
    of_arms = [np.stack([table[arm][names].to_numpy() for arm in ARMS], axis=1) for table in (rewards, signals)]
    history = recording(folder, data_set)
    contexts = []
    for cutoff in rewards.index:
        told = segment_contexts(history[history["ds"] < cutoff], cutoff).loc[names]
        contexts.append(told.set_axis([f"{data_set}/{name}" for name in names], axis=0))
    return World(list(ARMS), [data_set] * len(names), of_arms[0], contexts, of_arms[1])


def by_arm(world: World) -> dict[str, dict[str, float]]:
    """Mean loss over that of repeating the last week of every arm."""
    found = {}
    for data_set in DATA_SETS:
        own = world.rewards[:, :, np.array(world.data_set) == data_set]
        means = -np.nanmean(own, axis=(0, 2))
        found[data_set] = {arm: round(float(mean), 3) for arm, mean in zip(world.arms, means, strict=True)}
    return found


def draw(world: World, regrets: dict[str, dict[str, Array]], path: Path) -> None:
    """Cumulative regret per series against its best fixed arm, days in order and in random order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 7), layout="constrained")
    panels = figure.subplots(len(regrets), len(DATA_SETS), sharex="col", squeeze=False)
    for row, (order, of_order) in enumerate(regrets.items()):
        for column, data_set in enumerate(DATA_SETS):
            for name, ink in INKS.items():
                panels[row, column].plot(of_data_set(world, of_order[name], data_set).mean(axis=1).cumsum(), color=ink, label=name)
            panels[row, column].axhline(0, color="#cccccc", linewidth=0.8)
        panels[row, 0].set_ylabel(f"cumulative regret per series\ndays {order}")
    for column, data_set in enumerate(DATA_SETS):
        panels[0, column].set_title(f"{data_set} ({of_data_set(world, regrets['in order'][BEST], data_set).shape[1]} series)")
        panels[-1, column].set_xlabel("issue day")
    panels[0, 0].legend(frameon=False)
    figure.suptitle("The product's candidates: regret against each series' best fixed arm, in units of the loss of repeating last week")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
