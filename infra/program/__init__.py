"""The linear program of a plan: pure arrays in, machines, costs and shadow prices out."""

from infra.program.bands import bands_from_quantiles
from infra.program.bought import bought, no_room
from infra.program.conflict import Conflict, PlanConflictError, least_first_day_usd
from infra.program.fairness import FairnessRule, share_fairly
from infra.program.least_change import with_least_change
from infra.program.problem import Leases, Problem
from infra.program.reasons import Reasons, binding_limits, concerned, reasons_of
from infra.program.shadow_prices import ShadowPrice
from infra.program.solve import Solution, solve

__all__ = [
    "Conflict",
    "FairnessRule",
    "Leases",
    "PlanConflictError",
    "Problem",
    "Reasons",
    "ShadowPrice",
    "Solution",
    "bands_from_quantiles",
    "binding_limits",
    "bought",
    "concerned",
    "least_first_day_usd",
    "no_room",
    "reasons_of",
    "share_fairly",
    "solve",
    "with_least_change",
]
