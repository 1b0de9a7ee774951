"""The linear program of a plan: pure arrays in, machines, costs and shadow prices out."""

from infra.program.bands import bands_from_quantiles
from infra.program.problem import Leases, Problem
from infra.program.shadow_prices import ShadowPrice
from infra.program.solve import Solution, solve

__all__ = ["Leases", "Problem", "ShadowPrice", "Solution", "bands_from_quantiles", "solve"]
