"""What a policy's steps come to: money, what was missed, elasticity, starts and stops, and its worst hour."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.replay.accounting import Step, settle
from infra.replay.scene import Array, Scene
from infra.replay.walk import Track
from infra.replay.world import Terms

__all__ = ["Measured", "Outcome", "measure", "outcome_of"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Every step of one policy; arrays of shape (S, T)."""

    track: Track
    step: Step
    stops: Array


@dataclass(frozen=True)
class Measured:
    """Figures of one policy over all series and steps.

    Attributes:
        cost_usd: held, used and booted.
        loss_usd: value of the demand that was not served.
        cost_over_clairvoyant: cost over the cost of the clairvoyant plan; its loss is not in it.
        regret_usd: cost and loss above those of the clairvoyant plan.
        unmet_volume: share of all demand that was not served.
        unmet_machine_hours: the same as machine-hours.
        violated_hours: service-hours with more than the allowed share unserved.
        under_accuracy, over_accuracy: percent of demand that the hot machines were short of it, and above it, mean over steps
            (SPEC elasticity: theta_U, theta_O, relative to the demand of the step).
        under_timeshare, over_timeshare: percent of the time with fewer, and with more hot machines than needed (tau_U, tau_O).
        starts, stops: machines that were booted, kept or not, and hot ones that were stopped or suspended.
        worst: the series and step with the most machine-hours unserved: `unique_id, ds, demand_machines, unmet_machine_hours`.
        worst_hour: the step in which all series together missed the most: `ds, unmet_machine_hours`.
        worst_series: the series with the largest share unserved: `unique_id, unmet_volume`.
    """

    cost_usd: float
    loss_usd: float
    cost_over_clairvoyant: float
    regret_usd: float
    unmet_volume: float
    unmet_machine_hours: float
    violated_hours: float
    under_accuracy: float
    over_accuracy: float
    under_timeshare: float
    over_timeshare: float
    starts: int
    stops: int
    worst: dict[str, Any]
    worst_hour: dict[str, Any]
    worst_series: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not a number is null."""
        told = asdict(self)
        return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in told.items()}


def outcome_of(scene: Scene, terms: Terms, track: Track, held: Array, stock_out: npt.NDArray[np.bool_] | None = None) -> Outcome:
    """Settle every step of what was held."""
    out = None if stock_out is None else stock_out.astype(float)
    changes = np.diff(np.concatenate([held[:, None], track.hot], axis=1), axis=1)
    return Outcome(track, settle(scene.demand, track.hot, track.warm, terms, out, track.use_usd), np.maximum(-changes, 0.0))


def measure(scene: Scene, terms: Terms, outcome: Outcome, clairvoyant: Outcome | None = None) -> Measured:
    """The figures of `outcome`; without `clairvoyant` it is measured against itself."""
    best = clairvoyant or outcome
    unmet, demand, hot = outcome.step.unmet, scene.demand, outcome.track.hot
    hours = demand * terms.step_hours
    cost, loss = _money(outcome, terms)
    best_cost, best_loss = _money(best, terms)
    shares = np.divide(unmet, hours, out=np.zeros_like(unmet), where=hours > 0)
    needed = np.maximum(np.ceil(demand - 1e-9), terms.minimum)
    base = np.maximum(needed, 1.0)
    who, when = (int(place) for place in np.unravel_index(int(unmet.argmax()), unmet.shape))
    hour = int(unmet.sum(axis=0).argmax())
    volume = hours.sum(axis=1)
    per_series = np.divide(unmet.sum(axis=1), volume, out=np.zeros(len(volume)), where=volume > 0)
    worst = int(per_series.argmax())
    return Measured(
        cost_usd=cost,
        loss_usd=loss,
        cost_over_clairvoyant=cost / best_cost if best_cost > 0 else float("nan"),
        regret_usd=(cost + loss) - (best_cost + best_loss),
        unmet_volume=float(unmet.sum() / hours.sum()) if hours.sum() > 0 else 0.0,
        unmet_machine_hours=float(unmet.sum()),
        violated_hours=float((shares > terms.violated_share).sum() * terms.step_hours),
        under_accuracy=float(100 * (np.maximum(needed - hot, 0.0) / base).mean()),
        over_accuracy=float(100 * (np.maximum(hot - needed, 0.0) / base).mean()),
        under_timeshare=float(100 * (hot < needed).mean()),
        over_timeshare=float(100 * (hot > needed).mean()),
        starts=int(outcome.track.booted.sum()),
        stops=int(outcome.stops.sum()),
        worst={
            "unique_id": scene.series[who],
            "ds": scene.times[when].isoformat(),
            "demand_machines": float(demand[who, when]),
            "unmet_machine_hours": float(unmet[who, when]),
        },
        worst_hour={"ds": scene.times[hour].isoformat(), "unmet_machine_hours": float(unmet.sum(axis=0)[hour])},
        worst_series={"unique_id": scene.series[worst], "unmet_volume": float(per_series[worst])},
    )


def _money(outcome: Outcome, terms: Terms) -> tuple[float, float]:
    return float(outcome.step.cost.sum() + terms.start * outcome.track.booted.sum()), float(terms.value * outcome.step.unmet.sum())
