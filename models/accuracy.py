"""How good forecasts of a backtest are: weighted quantile loss, scaled error, coverage, against the naives and with hindsight.

Everything starts from `row_facts`: what each forecast row contributes. Sums over groups of those rows give every measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.errors import BadInputError
from headroom.vocabulary import HORIZON_BUCKETS, MEDIAN, QUANTILE_COLUMNS, QUANTILES
from models.long_frame import LongFrame

__all__ = [
    "DECILES",
    "FINAL",
    "INTERVALS",
    "NAIVE_PREFIX",
    "OWN_NAIVE",
    "accuracy",
    "better_naive",
    "naive_scales",
    "regret",
    "reliability",
    "row_facts",
    "season_steps",
]

# The name of the forecast that the product gives, among the candidates that it is made of.
FINAL: Final = "headroom"
NAIVE_PREFIX: Final = "seasonal-naive-"
# Columns of `row_facts`: loss of the naive that is better over all series, and of the one that is better over the row's own.
COMMON_NAIVE: Final = "naive_loss"
OWN_NAIVE: Final = "own_naive_loss"
DECILES: Final = tuple(q for q in QUANTILES if 0.1 <= q <= 0.9)
# Central intervals: level -> (lower, upper quantile column).
INTERVALS: Final = {"0.6": ("0.2", "0.8"), "0.8": ("0.1", "0.9"), "0.9": ("0.05", "0.95"), "0.98": ("0.01", "0.99")}

_ROW: Final = ["unique_id", "cutoff", "ds"]
_WINDOW: Final = ["unique_id", "cutoff"]
_HOUR: Final = pd.Timedelta("1h")
_DAY: Final = pd.Timedelta("1D")


def row_facts(forecasts: pd.DataFrame, series: LongFrame) -> pd.DataFrame:
    """What every row with a measured `y` contributes to the measures.

    Args:
        forecasts: `unique_id, cutoff, ds, candidate, *QUANTILE_COLUMNS, y`; `cutoff` is the first step that was not known.
        series: what was measured; gives the step and the scales of the scaled error.

    Returns:
        `unique_id, candidate` (categories), `cutoff`; `place`: the same number for the same series, cutoff and step; `bucket`: hours ahead as in `HORIZON_BUCKETS`, or what lies beyond;
        `absolute`: |y|; `loss`: twice the pinball loss, mean over the nine deciles; `naive_loss`: that of the better naive in the
        same place (of the other naive where it could not serve); `own_naive_loss`: that of the naive which is better over the series;
        `error`: |y - median|; `scale`: see `naive_scales`; `in_<level>`: whether y is in the interval.

    Raises:
        BadInputError: when there is no row with a `y`, or no seasonal naive among the candidates.
    """
    rows = forecasts[forecasts["y"].notna()]
    if rows.empty:
        raise BadInputError("no forecast can be judged: nothing was measured in any window; hand in a longer history")
    y = rows["y"].to_numpy(dtype=float)
    facts = pd.DataFrame(
        {
            "unique_id": pd.Categorical(rows["unique_id"]),
            "candidate": pd.Categorical(rows["candidate"]),
            "place": rows.groupby(_ROW, sort=False).ngroup().to_numpy(),
            "cutoff": rows["cutoff"].to_numpy(),
            "bucket": _buckets(rows, series.step),
            "absolute": np.abs(y),
            "loss": _loss(rows, y),
            "error": np.abs(y - rows[MEDIAN].to_numpy(dtype=float)),
            **{f"in_{level}": (y >= rows[low].to_numpy()) & (y <= rows[high].to_numpy()) for level, (low, high) in INTERVALS.items()},
        }
    )
    facts[COMMON_NAIVE] = _naive_loss(facts)
    facts[OWN_NAIVE] = _own_naive_loss(facts)
    cutoffs = rows[_WINDOW].drop_duplicates()
    return facts.merge(naive_scales(series, cutoffs), on=_WINDOW, how="left").astype({"unique_id": "category"})


def accuracy(facts: pd.DataFrame, by: Sequence[str], *, naive: str = COMMON_NAIVE) -> pd.DataFrame:
    """The measures of every group of rows, indexed by the columns `by`.

    Args:
        naive: column of the loss to compare with; `OWN_NAIVE` where every group lies within one series.

    Returns:
        `rows`; `wql`: weighted quantile loss, sum of `loss` / sum of |y| (Park et al. 2022, as GluonTS's
        `mean_weighted_sum_quantile_loss`), NaN when y is all zero; `relative_wql`: sum of `loss` over that of the naive, on
        the rows that both have, NaN when the naive is never wrong; `mase`: mean over series and windows of the mean absolute error
        of the median over the window's scale (Hyndman and Koehler 2006), series of scale 0 left out; `coverage_<level>`: share of
        rows inside the central interval.
    """
    keys = list(by)
    shared = facts[naive].notna()
    sums = facts.assign(
        shared_loss=facts["loss"].where(shared, 0.0), scaled=facts["error"] / facts["scale"].where(facts["scale"] > 0)
    ).groupby(keys, observed=True)
    totals = sums[["absolute", "loss", "shared_loss", naive]].sum()
    windows = sums.obj.groupby(list(dict.fromkeys([*keys, *_WINDOW])), observed=True)["scaled"].mean()
    measures = pd.DataFrame(
        {
            "rows": sums.size(),
            "wql": totals["loss"] / totals["absolute"].where(totals["absolute"] > 0),
            "relative_wql": totals["shared_loss"] / totals[naive].where(totals[naive] > 0),
            "mase": windows.groupby(keys, observed=True).mean(),
        }
    )
    inside = sums[[f"in_{level}" for level in INTERVALS]].mean()
    return measures.join(inside.rename(columns=lambda name: name.replace("in_", "coverage_")))


def better_naive(facts: pd.DataFrame) -> str:
    """The seasonal naive with the lower weighted quantile loss in the places that all of them serve: what a forecast has to beat.

    Raises:
        BadInputError: when there is no seasonal naive among the candidates.
    """
    losses = _losses_of_naives(facts)
    if losses.empty:
        raise BadInputError(f"no candidate is called {NAIVE_PREFIX}...: there is nothing to compare with; add {NAIVE_PREFIX}24")
    served_by_all = losses.dropna()
    return str((served_by_all if len(served_by_all) else losses).mean().sort_values(kind="stable").index[0])


def naive_scales(series: LongFrame, cutoffs: pd.DataFrame) -> pd.DataFrame:
    """`unique_id, cutoff, scale`: mean |y(t) - y(t - season)| over the steps before the cutoff, NaN without such a pair.

    Args:
        series: what was measured.
        cutoffs: `unique_id, cutoff`, each pair once.
    """
    lag = season_steps(series.step) * series.step
    earlier = series.rows.assign(ds=series.rows["ds"] + lag)
    pairs = series.rows.merge(earlier, on=["unique_id", "ds"], suffixes=("", "_before")).sort_values("ds", kind="stable")
    pairs["change"] = (pairs["y"] - pairs["y_before"]).abs()
    grouped = pairs.groupby("unique_id", sort=False)["change"]
    known = pairs[["unique_id", "ds"]].assign(scale=grouped.cumsum() / (grouped.cumcount() + 1))
    wanted = cutoffs.assign(cutoff=cutoffs["cutoff"].astype("datetime64[us]")).sort_values("cutoff", kind="stable")
    found = pd.merge_asof(wanted, known, left_on="cutoff", right_on="ds", by="unique_id", allow_exact_matches=False)
    return found[[*_WINDOW, "scale"]]


def season_steps(step: pd.Timedelta) -> int:
    """Steps of the season that scales errors: a day for steps that divide it, a week for days, else 1."""
    if step == _DAY:
        return 7
    return int(_DAY // step) if step < _DAY and _DAY % step == pd.Timedelta(0) else 1


def reliability(forecasts: pd.DataFrame) -> pd.DataFrame:
    """How often `y` was below and at most each quantile: `quantile, below, at_most, rows`, one row per quantile.

    A calibrated continuous forecast has both equal to the quantile; for counts and zeros the quantile lies between the two.
    """
    rows = forecasts[forecasts["y"].notna()]
    y, quantiles = rows["y"].to_numpy(dtype=float)[:, None], rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    shares = {"quantile": QUANTILES, "below": (y < quantiles).mean(axis=0), "at_most": (y <= quantiles).mean(axis=0)}
    return pd.DataFrame(shares).assign(rows=len(rows))


def regret(facts: pd.DataFrame) -> pd.DataFrame:
    """The final forecast against the single candidate that would have been best, chosen per series with hindsight.

    Returns:
        Indexed by `unique_id`: `loss` of the final forecast, `oracle` (the candidate's name) and `oracle_loss`. Only candidates that
        served every row of the final forecast are in the choice. Over all series, `loss.sum() / oracle_loss.sum() - 1` is the
        regret; below zero the ensemble beats what any selection of one candidate per series could reach.
    """
    totals = facts.groupby(["unique_id", "candidate"], observed=True)["loss"].agg(["sum", "size"]).reset_index()
    final = totals[totals["candidate"] == FINAL].set_index("unique_id")
    others = totals[totals["candidate"] != FINAL]
    whole = others[others["size"].to_numpy() >= final["size"].reindex(others["unique_id"]).to_numpy()]
    best = whole.sort_values("sum", kind="stable").drop_duplicates("unique_id").set_index("unique_id")
    found = pd.DataFrame({"loss": final["sum"], "oracle": best["candidate"].astype(str), "oracle_loss": best["sum"]})
    return found.dropna().sort_index()


def _loss(rows: pd.DataFrame, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Twice the pinball loss, mean over the deciles; one column at a time, so that millions of rows fit in memory."""
    total = np.zeros(len(rows))
    for level in DECILES:
        error = y - rows[str(level)].to_numpy(dtype=float)
        total += np.maximum(level * error, (level - 1.0) * error)
    return 2.0 * total / len(DECILES)


def _buckets(rows: pd.DataFrame, step: pd.Timedelta) -> pd.Categorical:
    """The bucket of the hour ahead in which a step ends."""
    lasts = [last for _, last in HORIZON_BUCKETS.values()]
    hours = (rows["ds"] - rows["cutoff"] + step).to_numpy(dtype="timedelta64[us]") / _HOUR.to_timedelta64()
    codes = np.searchsorted(lasts, hours, side="left")
    names = pd.Index([*HORIZON_BUCKETS, f"{lasts[-1] + 1}+"])
    return pd.Categorical.from_codes(codes.tolist(), categories=names, ordered=True)


def _naive_loss(facts: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Loss of the better naive in the place of every row; of the other where the better one has none, NaN where none has."""
    losses = _losses_of_naives(facts)
    best = better_naive(facts)
    filled = losses[best].fillna(losses.min(axis=1))
    return filled.reindex(facts["place"]).to_numpy(dtype=float)


def _own_naive_loss(facts: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The same of the naive that is better over the row's series, in the places that all naives serve there."""
    losses = _losses_of_naives(facts)
    series = facts.drop_duplicates("place").set_index("place")["unique_id"].astype(object).reindex(losses.index)
    means = losses.dropna().groupby(series).mean().reindex(series.unique()).fillna(losses.groupby(series).mean())
    best = series.map(means.fillna(np.inf).idxmin(axis=1))
    own = losses.to_numpy()[np.arange(len(losses)), losses.columns.get_indexer(pd.Index(best))]
    filled = pd.Series(own, index=losses.index).fillna(losses.min(axis=1))
    return filled.reindex(facts["place"]).to_numpy(dtype=float)


def _losses_of_naives(facts: pd.DataFrame) -> pd.DataFrame:
    """One column per seasonal naive, one row per place."""
    names = [name for name in facts["candidate"].cat.categories if str(name).startswith(NAIVE_PREFIX)]
    its = {name: facts[facts["candidate"] == name].set_index("place")["loss"] for name in names}
    return pd.DataFrame(its)
