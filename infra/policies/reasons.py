"""Why a line of the optimal plan is as it is: the quantile bought, what one step less or more would cost, and the limits that bind."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from headroom.vocabulary import QUANTILES
from infra.policies.limit_words import binding_limits
from infra.program import Problem, Solution, concerned, reasons_of

__all__ = ["reasons"]

_NOISE: Final = 1e-9


def reasons(problem: Problem, solution: Solution, demand: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """Texts of shape (M, T): the quantile is that of the place, with all its options; the steps are those of the option.

    Args:
        demand: (D, T, levels of `headroom.vocabulary.QUANTILES`, R), what the bands were made of.
    """
    hot = solution.hot.copy()
    if problem.leases is not None:
        np.add.at(hot, problem.leases.option, solution.leased)
    first = [_bought(problem, demand, machines)[problem.option_place] for machines in (hot, hot + solution.warm)]
    steps = reasons_of(problem, solution)
    limits = _limits(problem, solution)
    text = np.char.add(
        np.char.add("optimal: hot covers ", first[0]), np.where(solution.warm > 0, np.char.add(", with standby ", first[1]), "")
    )
    text = np.char.add(text, _priced("; one less would cost", steps.less_usd / problem.block_hours))
    text = np.char.add(text, _priced(", one more", steps.more_usd / problem.block_hours))
    result: npt.NDArray[np.object_] = text.astype(object) + limits
    return result


def _bought(problem: Problem, demand: npt.NDArray[np.float64], machines: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """(D, T) the highest quantile of demand that a place's machines (M, T) serve in all resources, in words."""
    names = np.array(["less than q0.01", *(f"q{level:g}" for level in QUANTILES)])
    capacity = np.zeros((demand.shape[0], demand.shape[1], demand.shape[3]))
    np.add.at(capacity, problem.option_place, (machines + _NOISE)[:, :, None] * problem.option_size[:, None, :])
    served = ((demand <= capacity[:, :, None, :]) | (capacity[:, :, None, :] == 0)).all(axis=3)
    found: npt.NDArray[np.str_] = names[served.sum(axis=2)]
    return found


def _priced(words: str, usd: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    numbers = np.char.mod("%+.2f", np.where(np.isfinite(usd), usd, 0.0))
    found: npt.NDArray[np.str_] = np.where(np.isfinite(usd), np.char.add(np.char.add(f"{words} ", numbers), " USD/h"), "")
    return found


def _limits(problem: Problem, solution: Solution) -> npt.NDArray[np.object_]:
    """(M, T) the limits that bind there, with what one unit more saves."""
    text = np.full(solution.hot.shape, "", dtype=object)
    for price, limit in binding_limits(problem, solution).items():
        text[concerned(problem, price)] += f"; {limit.words}"
    return text
