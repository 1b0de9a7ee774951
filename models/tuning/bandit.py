"""The bandit: Thompson sampling over a linear model per arm, shared by all segments, with each segment's own deviation from it.

The reward of arm a on segment s with context x (features and a constant) is modelled as

    r = b[s] + x'w[a] + g[s, a] + noise,    w[a] ~ N(0, prior_sd^2 I),  g[s, a] ~ N(0, segment_sd^2),  noise ~ N(0, sigma^2).

b is how hard the segment is, whatever the arm; w is what segments with a like context teach each other (a disjoint linear model per arm,
as in LinUCB: Li et al. 2010; the regression is river's); g is what holds for this segment alone. b, w and g are found by backfitting.

Why Thompson sampling: rewards come days after their choice, and many segments choose at once. An upper confidence bound would send
all segments with a like context to the same arm until the first reward is in, and repeats itself until then; a draw from the posterior
spreads them (Chapelle and Li 2011). Losses are not stationary, so a reward counts half after `HALF_LIFE` and not at all after `MEMORY`
(discounting and sliding window: Garivier and Moulines 2011; Russac, Vernade and Cappe 2019). The draw's deviation is `EXPLORATION`
times the posterior's: histories are short, and a full posterior explores for longer than most of them last.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from river import bandit, linear_model

from models.hourly_grid import Array
from models.tuning.context import FEATURES

__all__ = ["EXPLORATION", "EXPLORERS", "HALF_LIFE", "MEMORY", "Belief", "SegmentThompson"]

HALF_LIFE: Final = pd.Timedelta(days=30)
# Five half-lives: a reward that drops out counts three in a hundred. Where it counts more, arms that were dismissed long ago look as good
# as new on the day that their last rewards drop out.
MEMORY: Final = pd.Timedelta(days=150)
EXPLORATION: Final = 0.5
# Share of the segments of an installation that draw; the others take what is expected to be best. While nothing is known that is the default, which
# is a good choice: half of the segments find out as much as is needed, and the first trainings put no more of them on presets that nobody has tried.
EXPLORERS: Final = 0.5
_PRIOR_SD: Final = 0.2
_SEGMENT_SD: Final = 0.1
_ROUNDS: Final = 4
# Before anything is known about the noise of rewards, and its least variance.
_FIRST_NOISE: Final = 0.2**2
_LEAST_NOISE: Final = 0.03**2
_CONSTANT: Final = "constant"
_TERMS: Final = [_CONSTANT, *FEATURES]
_Index = npt.NDArray[np.int64]


class Belief(NamedTuple):
    """What is expected of an arm on a segment, and the deviation of that expectation."""

    mean: float
    sd: float


class SegmentThompson(bandit.base.ContextualPolicy):
    """A river policy. The context is a mapping of `FEATURES` and `segment`; a segment that was never seen has no deviation yet.

    What it believes is a function of the rewards given to `learn`, and what it draws is one of its seed and the segment, so that
    neither the order of the segments nor their company matters.
    """

    def __init__(self, seed: str = "", *, explore: bool = True, explorers: float = 1.0) -> None:
        super().__init__()
        self.seed = seed
        self.explore = explore
        self.explorers = explorers
        self.rewards = 0
        self._shared: dict[str, Any] = {}
        self._ease: dict[str, float] = {}
        self._own: dict[tuple[str, str], Belief] = {}
        self._mean_ease = 0.0

    def learn(self, log: pd.DataFrame) -> None:
        """Forget what was learnt and learn from these rewards; the age of each counts from the newest.

        Args:
            log: `segment, issue_time, arm, *FEATURES, reward`, sorted the same way for the same rewards.
        """
        age = log["issue_time"].max() - log["issue_time"]
        log, age = log[age <= MEMORY], age[age <= MEMORY]
        self.rewards = len(log)
        if log.empty:
            return
        arm, arms = pd.factorize(log["arm"].astype(str), sort=True)
        segment, segments = pd.factorize(log["segment"].astype(str), sort=True)
        terms = log[list(FEATURES)].assign(**{_CONSTANT: 1.0})[_TERMS].to_numpy(dtype=float)
        weight = 0.5 ** (age / HALF_LIFE).to_numpy(dtype=float)
        rows = _Rows(list(arms), arm, segment, terms, log["reward"].to_numpy(dtype=float), weight)
        fit = _backfit(rows, len(segments))
        self._shared, self._ease = fit.shared, dict(zip(segments, fit.ease.tolist(), strict=True))
        self._mean_ease = float(np.average(fit.ease[segment], weights=weight))
        places = [(i, j) for i in range(len(segments)) for j in range(len(arms))]
        self._own = {(segments[i], arms[j]): Belief(float(fit.own[i, j]), float(fit.own_sd[i, j])) for i, j in places}

    def belief(self, arm: str, context: Mapping[str, Any]) -> Belief:
        """What is expected of `arm` in `context`."""
        segment = str(context["segment"])
        own = self._own.get((segment, arm), Belief(0.0, _SEGMENT_SD))
        terms = {_CONSTANT: 1.0, **{name: float(context[name]) for name in FEATURES}}
        model = self._shared.get(arm)
        if model is None:
            shared = Belief(0.0, _PRIOR_SD * float(np.sqrt(sum(value**2 for value in terms.values()))))
        else:
            told = model.predict_one(terms, with_dist=True)
            # river's deviation is that of a reward; what matters here is that of its mean.
            shared = Belief(told.mu, max(told.sigma**2 - 1 / model.beta, 0.0) ** 0.5)
        ease = self._ease.get(segment, self._mean_ease)
        return Belief(ease + shared.mean + own.mean, float(np.hypot(shared.sd, own.sd)))

    def _pull(self, arm_ids: list[Any], context: Mapping[str, Any]) -> Any:  # type: ignore[override]  # river's base takes a dict
        """The arm with the highest draw, or of a segment that does not explore the highest expectation; the first of equals."""
        beliefs = {arm: self.belief(arm, context) for arm in arm_ids}
        chance = random.Random(f"{self.seed}|{context['segment']}")  # noqa: S311 -- a draw that can be repeated, not a secret
        if not self.explore or (self.explorers < 1 and chance.random() >= self.explorers):
            return max(arm_ids, key=lambda arm: beliefs[arm].mean)
        draws = {arm: chance.gauss(belief.mean, EXPLORATION * belief.sd) for arm, belief in beliefs.items()}
        return max(arm_ids, key=lambda arm: draws[arm])


class _Rows(NamedTuple):
    """Rewards as arrays: number of the arm and of the segment, terms, reward and weight of each."""

    arms: list[str]
    arm: _Index
    segment: _Index
    terms: Array
    reward: Array
    weight: Array


class _Fit(NamedTuple):
    """Regressions by arm; b of every segment; g and its deviation, of shape (segments, arms)."""

    shared: dict[str, Any]
    ease: Array
    own: Array
    own_sd: Array


def _backfit(rows: _Rows, segments: int) -> _Fit:
    """Each of w, g, b in turn from what the other two leave; then the noise from what all three leave."""
    shape = (segments, len(rows.arms))
    cell = rows.segment * shape[1] + rows.arm
    pulls = np.bincount(cell, rows.weight, shape[0] * shape[1]).reshape(shape)
    total = pulls.sum(axis=1)
    ease: Array = np.bincount(rows.segment, rows.weight * rows.reward) / total
    own, noise, parts = np.zeros(shape), _FIRST_NOISE, _by_arm(rows)
    for _ in range(_ROUNDS):
        shared, fitted = _regressions(parts, rows.reward - ease[rows.segment] - own[rows.segment, rows.arm], noise)
        left = rows.weight * (rows.reward - ease[rows.segment] - fitted)
        precision = pulls / noise + 1 / _SEGMENT_SD**2
        own = np.bincount(cell, left, pulls.size).reshape(shape) / noise / precision
        unexplained = rows.reward - fitted - own[rows.segment, rows.arm]
        ease = np.bincount(rows.segment, rows.weight * unexplained) / total
        error = unexplained - ease[rows.segment]
        # Two rewards' worth of what is believed beforehand: a handful of rewards that fit well are no proof of little noise.
        spread = (2 * _FIRST_NOISE + (rows.weight * error**2).sum()) / (2 + rows.weight.sum())
        noise = max(float(spread), _LEAST_NOISE)
    return _Fit(shared, ease, own, 1 / np.sqrt(precision))


class _Part(NamedTuple):
    """The rewards of one arm: which rows they are, their terms, and terms and root of the weight that a regression is given.

    A row of weight w is one of weight 1 whose terms and target are multiplied by the root of w.
    """

    arm: str
    rows: npt.NDArray[np.bool_]
    terms: pd.DataFrame
    weighted: pd.DataFrame
    root: Array


def _by_arm(rows: _Rows) -> list[_Part]:
    parts = []
    for place, arm in enumerate(rows.arms):
        own = rows.arm == place
        terms, root = pd.DataFrame(rows.terms[own], columns=_TERMS), np.sqrt(rows.weight[own])
        parts.append(_Part(arm, own, terms, terms.mul(root, axis=0), root))
    return parts


def _regressions(parts: list[_Part], target: Array, noise: float) -> tuple[dict[str, Any], Array]:
    """A Bayesian regression per arm of the targets of its rows, and the fitted value of every row."""
    models: dict[str, Any] = {}
    fitted = np.zeros(len(target))
    for part in parts:
        model = linear_model.BayesianLinearRegression(alpha=_PRIOR_SD**2, beta=1 / noise)
        model.learn_many(part.weighted, pd.Series(target[part.rows] * part.root))
        fitted[part.rows] = np.asarray(model.predict_many(part.terms))
        models[part.arm] = model
    return models, fitted
