"""A whole replay: every policy at its usual setting, and at the others for the frontier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from headroom.errors import BadInputError
from headroom.progress import Progress
from infra.replay.clairvoyant import foresee
from infra.replay.forecasts import Issued
from infra.replay.frontier import Point, gap_closed
from infra.replay.metrics import Measured, Outcome, measure, outcome_of
from infra.replay.policies import CLAIRVOYANT, POLICIES, chosen_policies, needs_forecasts
from infra.replay.scene import Array, Scene
from infra.replay.walk import walk
from infra.replay.world import Terms

__all__ = ["Replay", "replay", "stock_outs"]

# A plan chooses among this many counts of machines; fleets above it are planned in lots of a few machines.
_MOST_STATES: Final = 240
_HOURS_PER_DAY: Final = 24


@dataclass(frozen=True, eq=False)
class Replay:
    """What a replay gives.

    Attributes:
        scene: what was walked over.
        terms: prices and lead times.
        outcomes: policy -> its steps at the usual setting, clairvoyant last.
        measured: policy -> figures, in the same order.
        frontier: policy -> points, the usual setting among them; empty when it was not asked for.
        equal_unmet: see `gap_closed`, at the unmet share of `optimal` at its usual setting; empty without a frontier.
    """

    scene: Scene
    terms: Terms
    outcomes: dict[str, Outcome]
    measured: dict[str, Measured]
    frontier: dict[str, list[Point]]
    equal_unmet: dict[str, Any]


def replay(
    scene: Scene,
    terms: Terms,
    forecasts: Issued | None,
    names: Sequence[str] = (),
    *,
    frontier: bool = True,
    stock_out: npt.NDArray[np.bool_] | None = None,
    listener: Progress | None = None,
) -> Replay:
    """Walk the clock with every policy of `names` (default all) and the clairvoyant plan.

    Args:
        frontier: whether every policy runs at its other settings too.
        stock_out: shape (S, T); clairvoyant knows of none and is charged for them like the others.

    Raises:
        BadInputError: an unknown policy, forecasts missing for one that follows them, or a stock or budget too small for the minimum.
    """
    chosen = chosen_policies(names)
    if forecasts is None and needs_forecasts(names):
        first = next(name for name in chosen if POLICIES[name].forecasts)
        raise BadInputError(f"policy {first!r} follows forecasts; give some, or leave it out")
    _check_limits(scene, terms)
    states, held = _states(scene, forecasts), np.maximum(np.ceil(scene.history[:, -1] - 1e-9), terms.minimum)
    settings = {name: (POLICIES[name].settings if frontier else (POLICIES[name].usual,)) for name in chosen}
    runs = {(name, setting): POLICIES[name].make(setting, terms) for name in chosen for setting in {*settings[name], POLICIES[name].usual}}
    tracks = walk(scene, terms, forecasts, runs, states=states, held=held, stock_out=stock_out, listener=listener)
    for times in POLICIES["optimal"].settings if frontier else (1.0,):
        tracks[CLAIRVOYANT, times] = foresee(scene, terms, states=states, held=held, times=times)
    all_outcomes = {key: outcome_of(scene, terms, track, held, stock_out) for key, track in tracks.items()}
    best = all_outcomes[CLAIRVOYANT, 1.0]
    outcomes = {name: all_outcomes[name, POLICIES[name].usual] for name in chosen} | {CLAIRVOYANT: best}
    measured = {name: measure(scene, terms, outcome, best) for name, outcome in outcomes.items()}
    points = _points(scene, terms, all_outcomes) if frontier else {}
    equal = gap_closed(points, measured["optimal"].unmet_volume) if frontier and "optimal" in measured else {}
    return Replay(scene, terms, outcomes, measured, points, equal)


def stock_outs(scene: Scene, chance: float, hours: float, seed: int) -> npt.NDArray[np.bool_]:
    """Shape (S, T): when there is no stock. Each begins at random so that `chance` of all steps lie in one, and lasts `hours`."""
    length = max(1, round(hours * np.timedelta64(1, "h") / scene.step.to_timedelta64()))
    begin = np.random.default_rng(seed).random(scene.demand.shape) < -np.log1p(-min(chance, 0.99)) / length
    found = begin.copy()
    for later in range(1, length):
        found[:, later:] |= begin[:, :-later]
    return np.asarray(found, dtype=np.bool_)


def _check_limits(scene: Scene, terms: Terms) -> None:
    """The minimum of every series must fit into what they share."""
    least = terms.minimum * len(scene.series)
    if least > terms.stock:
        raise BadInputError(
            f"stock_machines {terms.stock:g}: below the {least} that minimum_machines asks for; raise it, or lower the minimum"
        )
    if least * terms.hot * _HOURS_PER_DAY > terms.budget:
        needed = least * terms.hot * _HOURS_PER_DAY
        raise BadInputError(
            f"budget_usd_per_day {terms.budget:g}: minimum_machines of all series cost {needed:.2f} a day; raise it, or lower the minimum"
        )


def _states(scene: Scene, forecasts: Issued | None) -> Array:
    """Counts of machines from 0 to above all that was ever needed or feared, in lots where they are many.

    The range is only room to choose in: no policy learns from it.
    """
    feared = float(forecasts.values.max(initial=0.0)) if forecasts is not None else 0.0
    needed = max(float(scene.demand.max(initial=0.0)), float(scene.history.max(initial=0.0)))
    top = int(np.ceil(max(needed * 1.25, min(feared, 3 * needed)))) + 2
    lot = -(-top // _MOST_STATES)
    return np.arange(0, top + lot, lot, dtype=float)


def _points(scene: Scene, terms: Terms, outcomes: dict[tuple[str, float], Outcome]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for (name, setting), outcome in outcomes.items():
        told = measure(scene, terms, outcome)
        found.setdefault(name, []).append(Point(name, setting, told.cost_usd, told.unmet_volume))
    return {name: sorted(points, key=lambda point: point.setting) for name, points in found.items()}
