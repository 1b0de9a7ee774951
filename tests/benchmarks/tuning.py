"""Self-tuning simulated on recorded traces: does the bandit's regret against the best fixed arm fall?

    python -m tests.benchmarks.tuning --data DIR --output DIR

Every arm forecasts every series of the traces from every midnight, with the small forecaster of `tests/benchmarks/tuning_forecaster.py`;
the bandit then lives through the issue days in order, sees the reward of the arm that it chose and only that, three days late, and is
compared with the arm that was best for the series over all days (which nobody can know), with the default arm and with arms drawn
uniformly. All data sets are one installation whose first issue days coincide.

What there is to lose differs from day to day, so all of it is run a second time with the issue days of every data set in random order:
then no policy that does not learn can have a regret that falls. Writes `tuning.json` and `tuning.png`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.tuning.bandit import MEMORY, SegmentThompson
from models.tuning.context import FEATURES, segment_contexts
from models.tuning.reward import reward_of
from tests.benchmarks.tuning_forecaster import FIRST_DAY, HORIZON_DAYS, PRESETS, arm_losses, daily_grid

Array = npt.NDArray[np.float64]
DATA_SETS = ("servers", "gpu_queues", "matches", "grid", "fleet")
# Prior deviations and exploration were settled on these.
SETTLED_ON = ("servers", "fleet")
START = pd.Timestamp("2026-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)
SEEDS = 10
PARTS = 4
# A share of the uniform's regret is drawn where that is above this per step; a share of nothing says nothing.
LEAST_SHARED = 0.02
BEST = "best arm of each series"


@dataclass(frozen=True)
class World:
    """What would have happened: rewards of shape (issue days, arms, series), NaN where a series has no such day; contexts per day.

    `signals`, of the shape of `rewards`, is what the bandit is told instead of these, when it is told something else.
    """

    arms: list[str]
    data_set: list[str]
    rewards: Array
    contexts: list[pd.DataFrame]
    signals: Array | None = None

    @property
    def told(self) -> Array:
        """What the bandit sees of a reward."""
        return self.rewards if self.signals is None else self.signals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with servers.parquet, gpu_queues.parquet, ...")
    parser.add_argument("--output", type=Path, required=True, help="folder for tuning.json and tuning.png")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    world = build_world(arguments.data)
    began = time.process_time()
    recorded = mean_regrets([(world, live_through(world, seed)) for seed in range(SEEDS)])
    cpu = (time.process_time() - began) / SEEDS
    worlds = [shuffled(world, seed) for seed in range(SEEDS)]
    reordered = mean_regrets([(other, live_through(other, seed)) for seed, other in enumerate(worlds)])
    report = {
        "arms": list(PRESETS),
        "seeds": SEEDS,
        "cpu_seconds_per_run": round(cpu, 1),
        "days_in_order": summary(world, recorded),
        "days_in_random_order": summary(world, reordered),
    }
    (arguments.output / "tuning.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(world, {"in order": recorded, "in random order": reordered}, arguments.output / "tuning.png")
    print(json.dumps(report))  # noqa: T201 -- a benchmark reports to its terminal


def build_world(folder: Path) -> World:
    """Losses of every arm, and the contexts that the bandit sees, for every data set; issue day k is the k-th of each."""
    parts = []
    for data_set in DATA_SETS:
        long = pd.read_parquet(folder / f"{data_set}.parquet")
        series, values = daily_grid(long)
        losses, naive = arm_losses(values)
        rewards = reward_of(losses, np.repeat(naive[:, None], len(PRESETS), axis=1))
        names = [f"{data_set}/{name}" for name in series]
        parts.append(World(list(PRESETS), [data_set] * len(names), rewards, day_contexts(names, values, len(naive))))
    return joined(parts)


def joined(parts: list[World]) -> World:
    """One installation with the series of all."""
    names = [name for part in parts for name in part.data_set]
    rewards = np.full((max(len(part.rewards) for part in parts), len(parts[0].arms), len(names)), np.nan)
    signals = rewards.copy()
    for part in parts:
        own = [name == part.data_set[0] for name in names]
        rewards[: len(part.rewards), :, own], signals[: len(part.rewards), :, own] = part.rewards, part.told
    days = [pd.concat([part.contexts[day] for part in parts if day < len(part.contexts)]) for day in range(len(rewards))]
    return World(parts[0].arms, names, rewards, days, signals)


def day_contexts(names: list[str], values: Array, issue_days: int) -> list[pd.DataFrame]:
    """Contexts of each issue day, in the order of `names`."""
    found = []
    hours = pd.date_range(START, periods=values.shape[1] * 24, freq="h")
    for day in range(FIRST_DAY, FIRST_DAY + issue_days):
        first = max(0, day - 112)
        past = values[:, first:day].reshape(len(names), -1)
        known = hours[first * 24 : day * 24]
        history = pd.DataFrame({"unique_id": np.repeat(names, len(known)), "ds": np.tile(known, len(names)), "y": past.ravel()})
        found.append(segment_contexts(history, START + day * DAY).loc[names])
    return found


def shuffled(world: World, seed: int) -> World:
    """The same issue days, contexts included, in an order drawn for every data set."""
    chance = np.random.default_rng(seed)
    names = np.array(world.data_set)
    rewards, signals = world.rewards.copy(), world.told.copy()
    parts: list[list[pd.DataFrame]] = [[] for _ in world.contexts]
    for data_set in DATA_SETS:
        own = names == data_set
        days = np.isfinite(world.rewards[:, 0, own]).all(axis=1).sum()
        order = chance.permutation(days)
        rewards[:days, :, own] = world.rewards[order][:, :, own]
        signals[:days, :, own] = world.told[order][:, :, own]
        for day, drawn in enumerate(order):
            context = world.contexts[drawn]
            parts[day].append(context[context.index.str.startswith(f"{data_set}/")])
    return World(world.arms, world.data_set, rewards, [pd.concat(day) for day in parts], signals)


def live_through(world: World, seed: int, explorers: float = 1.0) -> npt.NDArray[np.intp]:
    """The arm chosen on every issue day for every series, -1 where there is none."""
    arms = world.arms
    chosen = np.full((len(world.rewards), world.rewards.shape[2]), -1)
    log: list[pd.DataFrame] = []
    for day, contexts in enumerate(world.contexts):
        # A horizon is measured when its three days are over, and what is learnt then serves from the next issue time on.
        known = log[: max(0, day - HORIZON_DAYS)]
        policy = SegmentThompson(f"{seed}|{day}", explorers=explorers)
        if known:
            policy.learn(pd.concat(known[-MEMORY.days - 1 :], ignore_index=True))
        picks = [arms.index(str(policy.pull([*arms], {"segment": name, **row}))) for name, row in contexts.to_dict("index").items()]
        there = np.isfinite(world.rewards[day, 0])
        chosen[day, there] = picks
        log.append(
            contexts[list(FEATURES)]
            .reset_index(names="segment")
            .assign(issue_time=START + day * DAY, arm=[arms[pick] for pick in picks], reward=world.told[day, picks, there.nonzero()[0]])
        )
    return chosen


def mean_regrets(runs: list[tuple[World, npt.NDArray[np.intp]]]) -> dict[str, Array]:
    """Per policy the mean over runs of the regret of every issue day and series against the series' best fixed arm; NaN where none."""
    found = [regrets_of(world, chosen) for world, chosen in runs]
    return {policy: np.mean([run[policy] for run in found], axis=0) for policy in found[0]}


def regrets_of(world: World, chosen: npt.NDArray[np.intp]) -> dict[str, Array]:
    """As `mean_regrets`, of one run; and the loss of the best arm."""
    best = np.nanmean(world.rewards, axis=0).argmax(axis=0)
    of_best = np.take_along_axis(world.rewards, best[None, None, :], axis=1)[:, 0]
    single = int(np.nanmean(world.rewards, axis=(0, 2)).argmax())
    own = np.take_along_axis(world.rewards, np.maximum(chosen, 0)[:, None, :], axis=1)[:, 0]
    return {
        "bandit": of_best - own,
        "uniform": of_best - world.rewards.mean(axis=1),
        "default": of_best - world.rewards[:, 0],
        "best single arm": of_best - world.rewards[:, single],
        BEST: -of_best,
    }


def summary(world: World, regrets: dict[str, Array]) -> dict[str, object]:
    """Per data set: mean regret of every policy by quarter of its issue days, what the bandit has of the uniform's, and mean losses."""
    found: dict[str, object] = {}
    for data_set in DATA_SETS:
        rows = {policy: of_data_set(world, regret, data_set) for policy, regret in regrets.items()}
        best = float(rows.pop(BEST).mean())
        parts = {policy: np.array([part.mean() for part in np.array_split(regret, PARTS)]) for policy, regret in rows.items()}
        found[data_set] = {
            "series": rows["bandit"].shape[1],
            "issue_days": rows["bandit"].shape[0],
            "settled_on": data_set in SETTLED_ON,
            "regret_by_quarter": {policy: means.round(3).tolist() for policy, means in parts.items()},
            "share_of_uniform_by_quarter": (parts["bandit"] / parts["uniform"]).round(2).tolist(),
            "loss_over_naive": {BEST: round(best, 3), **{name: round(float(part.mean()) + best, 3) for name, part in rows.items()}},
        }
    return found


def of_data_set(world: World, regret: Array, data_set: str) -> Array:
    """Rows of the data set's issue days, columns of its series."""
    own = regret[:, np.array(world.data_set) == data_set]
    return own[np.isfinite(own).all(axis=1)]


def draw(world: World, regrets: dict[str, dict[str, Array]], path: Path) -> None:
    """Mean regret per step over 7 days, days in order and in random order; and what the bandit has had of the uniform's regret so far."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 9), layout="constrained")
    panels = figure.subplots(len(regrets) + 1, len(DATA_SETS), sharex="col")
    inks = {"bandit": "#1f4e79", "uniform": "#c55a11", "default": "#7f7f7f"}
    for column, data_set in enumerate(DATA_SETS):
        for row, (order, of_order) in enumerate(regrets.items()):
            days = {name: pd.Series(of_data_set(world, of_order[name], data_set).mean(axis=1)) for name in inks}
            for name, ink in inks.items():
                panels[row, column].plot(days[name].rolling(7, min_periods=1).mean(), color=ink, label=name)
            had, by_chance = days["bandit"].cumsum(), days["uniform"].cumsum()
            share = (had / by_chance).where(by_chance > LEAST_SHARED * np.arange(1, len(had) + 1))
            panels[-1, column].plot(share, color=inks["bandit"], linestyle=("-", "--")[row], label=f"days {order}")
            panels[row, column].axhline(0, color="#cccccc", linewidth=0.8)
            panels[row, 0].set_ylabel(f"regret per step, 7-day mean\ndays {order}")
        panels[0, column].set_title(f"{data_set} ({of_data_set(world, regrets['in order']['bandit'], data_set).shape[1]} series)")
        panels[-1, column].axhline(1, color=inks["uniform"], linewidth=0.8)
        panels[-1, column].set(xlabel="issue day", ylim=(0, 1.3))
    panels[-1, 0].set_ylabel("cumulative regret of the bandit\nover that of uniform choice")
    panels[0, 0].legend(frameon=False)
    panels[-1, 0].legend(frameon=False)
    figure.suptitle("Regret against each series' best fixed arm, in units of the loss of repeating last week")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
