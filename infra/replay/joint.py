"""The replay's plan as a problem of `infra.program`: for series that share a stock, where no series can be planned alone."""

from __future__ import annotations

from typing import Final

import numpy as np

from infra.program import Problem, Solution, solve
from infra.replay.forecasts import bands
from infra.replay.scene import Array, Scene
from infra.replay.walk import Decision, Known, Track
from infra.replay.world import Terms

__all__ = ["JointPlan", "joint_track", "problem_of"]

_REGION: Final = "here"
# Narrower bands, in machines, are rounding.
_NOTHING: Final = 1e-9
# Whole numbers up to which the mixed-integer program is solved in a walk: it is solved at every step, so rounding must do.
_SMALL: Final = 0


def problem_of(
    width: Array,
    reach: Array,
    terms: Terms,
    *,
    held: Array,
    held_warm: Array,
    times: float | Array = 1.0,
    ready_from: int = 0,
) -> Problem:
    """The program of S series over n steps, each series a place with one machine option that serves one unit of demand.

    Args:
        width, reach: shape (S, n, K), see `infra.replay.forecasts.bands`.
        held, held_warm: shape (S,), machines there now.
        times: of the world's value of service; a number, or of shape (n, 1).
        ready_from: first step in which machines ordered now serve.
    """
    count, steps = width.shape[:2]
    width = np.where(width < _NOTHING, 0.0, width)
    every = np.arange(count)
    return Problem(
        block_hours=np.full(steps, terms.step_hours),
        regions=[_REGION],
        places=[f"{_REGION}/{number}" for number in every],
        resources=["load"],
        region=np.zeros(count, dtype=np.int64),
        width=width[..., None],
        reach=reach,
        value=terms.value * times * width,
        option_place=every,
        option_name=["machine"] * count,
        option_size=np.ones((count, 1)),
        hot_price=np.full((count, steps), terms.hot),
        warm_price=np.full((count, steps), terms.warm if terms.standby and terms.warm_loss < 1 else np.inf),
        cold_use_price=np.full((count, steps), terms.cold if terms.cold_loss < 1 else np.inf),
        warm_loss=np.full(count, terms.warm_loss),
        cold_loss=np.full(count, terms.cold_loss),
        start_cost=np.full(count, terms.start),
        held=held,
        held_warm=held_warm,
        resume_from=np.full(count, min(ready_from, steps)),
        ready_from=np.full(count, min(ready_from, steps)),
        floors=np.full((count, steps), float(terms.minimum)),
        family_limit=np.full((1, 1, steps), terms.stock),
    )


class JointPlan:
    """Plans all series at once, at every step from the newest forecast; each solve starts from the one before."""

    def __init__(self) -> None:
        self._last: Solution | None = None

    def decide(self, known: Known, ahead: int, times: float) -> Decision:
        """What the plan wants now and in the step that an order reaches.

        Args:
            times: the world's value of service is multiplied by it.

        Raises:
            BadInputError: when the stock cannot hold the minimum.
        """
        terms = known.terms
        if known.outlook is None:
            raise ValueError("a joint plan needs a forecast")
        width, reach = bands(known.outlook.quantiles[:, :ahead])
        problem = problem_of(
            width,
            reach,
            terms,
            held=known.available,
            held_warm=known.standby,
            times=times,
            ready_from=terms.lead,
        )
        self._last = solve(problem, warm_start=self._last, small=_SMALL)
        hot, warm = np.round(self._last.hot), np.round(self._last.warm)
        reached = min(terms.warm_lead, ahead - 1)
        return Decision(hot[:, 0], hot[:, terms.lead], np.maximum(warm[:, 0], warm[:, reached]), warm[:, reached], foreseen=True)


def joint_track(scene: Scene, terms: Terms, *, held: Array, times: float | Array = 1.0) -> Track:
    """What the plan that is told the demand holds."""
    width = scene.demand[..., None]
    problem = problem_of(width, np.ones_like(width), terms, held=held, held_warm=np.zeros_like(held), times=times, ready_from=terms.lead)
    found = solve(problem, small=_SMALL)
    hot, warm = np.round(found.hot), np.round(found.warm)
    grown = np.diff(np.concatenate([held[:, None], hot], axis=1), axis=1)
    return Track(hot, warm, np.maximum(grown, 0.0))
