"""Why a line of the optimal plan is as it is: the quantile bought, what one step less or more would cost, and the limits that bind."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from headroom.vocabulary import QUANTILES
from infra.program import Problem, Solution, reasons_of

__all__ = ["reasons"]

_NOISE: Final = 1e-9


def reasons(problem: Problem, solution: Solution, demand: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """Texts of shape (D, T), for a problem in which every place has one option.

    Args:
        demand: (D, T, levels of `headroom.vocabulary.QUANTILES`, R), what the bands were made of.
    """
    size = problem.option_size[:, None, None, :]
    need = np.divide(demand, size, out=np.zeros_like(demand), where=size > 0).max(axis=3)
    hot = solution.hot.copy()
    if problem.leases is not None:
        np.add.at(hot, problem.leases.option, solution.leased)
    held = hot + solution.warm
    first = [_bought(need, machines) for machines in (hot, held)]
    steps = reasons_of(problem, solution)
    limits = _limits(problem, solution)
    text = np.char.add(
        np.char.add("optimal: hot covers ", first[0]), np.where(solution.warm > 0, np.char.add(", with standby ", first[1]), "")
    )
    text = np.char.add(text, _priced("; one less would cost", steps.less_usd / problem.block_hours))
    text = np.char.add(text, _priced(", one more", steps.more_usd / problem.block_hours))
    result: npt.NDArray[np.object_] = text.astype(object) + limits
    return result


def _bought(need: npt.NDArray[np.float64], machines: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """The highest quantile of demand that the machines serve, in words."""
    names = np.array(["less than q0.01", *(f"q{level:g}" for level in QUANTILES)])
    found: npt.NDArray[np.str_] = names[(need <= machines[..., None] + _NOISE).sum(axis=2)]
    return found


def _priced(words: str, usd: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    numbers = np.char.mod("%+.2f", np.where(np.isfinite(usd), usd, 0.0))
    found: npt.NDArray[np.str_] = np.where(np.isfinite(usd), np.char.add(np.char.add(f"{words} ", numbers), " USD/h"), "")
    return found


def _limits(problem: Problem, solution: Solution) -> npt.NDArray[np.object_]:
    """(D, T) the limits that bind there, with what one unit more saves."""
    lines, hours = solution.hot.shape
    text = np.full((lines, hours), "", dtype=object)
    families = [f"{problem.families[f]} in {problem.regions[problem.region[p]]}" for p, f in enumerate(problem.option_family.tolist())]
    for price in solution.shadow_prices:
        if price.kind == "quota":
            concerned = [line for line, family in enumerate(families) if family == price.name]
            blocks = list(price.blocks)
        elif price.kind == "budget":  # its blocks are days
            concerned = list(range(lines))
            blocks = np.flatnonzero((problem.day_hours[list(price.blocks)] > 0).any(axis=0)).tolist()
        else:
            continue
        text[np.ix_(concerned, blocks)] += f"; {price}"
    return text
