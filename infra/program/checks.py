"""The checks at the border of the program: shapes, ranges, names, and bids that are concave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from headroom.errors import BadInputError

if TYPE_CHECKING:
    from infra.program.problem import Problem

__all__ = ["FieldRule", "check_bid", "check_field", "check_names", "check_reach", "check_sizes", "index_rule"]

# Differences of quantiles carry float noise of this relative size.
_NOISE: Final = 1e-7

Axis: TypeAlias = tuple[int, str, Sequence[str] | None]


@dataclass(frozen=True)
class FieldRule:
    """What a field must hold: its axes (length, what they run over, names) and its range."""

    name: str
    axes: tuple[Axis, ...]
    least: float = 0.0
    most: float = np.inf
    infinite: bool = False
    missing: bool = False
    whole: bool = False


def index_rule(name: str, axis: Axis, *, below: int, least: int = 0) -> FieldRule:
    """The rule of an array of indices."""
    return FieldRule(name, (axis,), least=least, most=below - 1, whole=True)


def check_field(rule: FieldRule, given: Any) -> Any:
    """`given` as a read-only array of the rule's full shape (a number stays a number).

    Raises:
        BadInputError: when it does not broadcast, or the first value out of range, by name.
    """
    values = np.asarray(given, dtype=np.float64)
    shape = tuple(length for length, _, _ in rule.axes)
    widened = values.reshape(values.shape + (1,) * (len(shape) - values.ndim)) if values.ndim < len(shape) else values
    try:
        full = np.broadcast_to(widened, shape)
    except ValueError:
        axes = " x ".join(f"{length} {what}" for length, what, _ in rule.axes) or "one number"
        raise BadInputError(f"{rule.name} has shape {values.shape}; it needs {axes} (last axes may be left out)") from None
    _check_range(rule, full)
    if not shape:
        return float(full)
    result = np.ascontiguousarray(full, dtype=np.int64 if rule.whole else np.float64)
    result = result.copy() if np.shares_memory(result, values) else result
    result.setflags(write=False)
    return result


def _check_range(rule: FieldRule, values: npt.NDArray[np.float64]) -> None:
    nan = np.isnan(values) & (not rule.missing)
    infinite = np.isinf(values) & (not rule.infinite)
    with np.errstate(invalid="ignore"):
        outside = (values < rule.least) | (values > rule.most)
        broken = rule.whole & (values != np.round(values))
    bad = nan | infinite | outside | broken
    if not bad.any():
        return
    where = tuple(int(i) for i in np.argwhere(bad)[0]) if values.ndim else ()
    at = ", ".join(_at(axis, i) for axis, i in zip(rule.axes, where, strict=True))
    value = values[where]
    most = "" if np.isinf(rule.most) else f" and at most {rule.most:g}"
    kind = "a whole number" if rule.whole else "a number"
    endless = "" if rule.infinite else ", finite"
    raise BadInputError(
        f"{rule.name}{f' ({at})' if at else ''} is {value:g}; it must be {kind} of at least {rule.least:g}{most}{endless}: correct it"
    )


def _at(axis: Axis, index: int) -> str:
    _, what, names = axis
    return str(names[index]) if names is not None else f"{what.removesuffix('s')} {index}"


def check_names(problem: Problem) -> None:
    """Names are unique, nothing is empty, and every place has an option.

    Raises:
        BadInputError: names what is missing or repeated.
    """
    for what, names in (
        ("regions", problem.regions),
        ("places", problem.places),
        ("resources", problem.resources),
        ("families", problem.families),
    ):
        if not len(names):
            raise BadInputError(f"{what} is empty; a problem needs at least one")
        if not all(names):
            raise BadInputError(f"{what} has an empty name; give every one a name")
        repeated = sorted({name for name in names if list(names).count(name) > 1}) if len(set(names)) < len(names) else []
        if repeated:
            raise BadInputError(f"{what} names {repeated[0]!r} more than once; names must differ")
    if not np.size(problem.block_hours):
        raise BadInputError("block_hours is empty; a problem needs at least one hour block")
    if np.ndim(problem.width) != 4 or np.shape(problem.width)[2] == 0:
        raise BadInputError(
            f"width has shape {np.shape(problem.width)}; it needs places x blocks x bands x resources, with at least one band"
        )
    served = np.zeros(len(problem.places), dtype=bool)
    places = np.atleast_1d(np.asarray(problem.option_place))
    served[places[(places >= 0) & (places < served.size)].astype(int)] = True
    if not served.all() and places.max(initial=-1) < served.size:
        name = problem.places[int(np.argmin(served))]
        raise BadInputError(f"{name} has no machine option; give it at least one machine type (option_place)")


def check_sizes(problem: Problem) -> None:
    """Every resource that a place asks for is served by one of its options.

    Raises:
        BadInputError: names the place and the resource.
    """
    serves = np.zeros((len(problem.places), len(problem.resources)), dtype=bool)
    np.logical_or.at(serves, problem.option_place, problem.option_size > 0)
    bad = (problem.width > 0).any(axis=(1, 2)) & ~serves
    if bad.any():
        d, r = (int(i) for i in np.argwhere(bad)[0])
        raise BadInputError(
            f"{problem.places[d]} asks for {problem.resources[r]}, but none of its machine options has any; correct option_size or add a type"
        )


def check_reach(problem: Problem) -> None:
    """The chance of being reached never rises from a band to the next, guarantees fill bands in order, leases come from other regions.

    Raises:
        BadInputError: names the place, block and band.
    """
    rises = np.diff(problem.reach, axis=2) > _NOISE
    if rises.any():
        d, t, k = (int(i) for i in np.argwhere(rises)[0])
        raise BadInputError(
            f"reach of {problem.places[d]} rises from band {k} to {k + 1} in block {t} "
            f"({problem.reach[d, t, k]:g} to {problem.reach[d, t, k + 1]:g}); bands must be sorted by quantile"
        )
    loose = (problem.guaranteed[:, :, 1:] > 0) & (problem.guaranteed[:, :, :-1] < 1)
    if loose.any():
        d, t, k = (int(i) for i in np.argwhere(loose)[0])
        raise BadInputError(
            f"guaranteed of {problem.places[d]} has a share of band {k + 1} in block {t} before all of band {k}; demand fills bands in their "
            "order: guarantee the whole of the earlier band first"
        )
    leases = problem.leases
    if leases is not None:
        own = problem.region[problem.option_place[leases.option]] == leases.lender
        if own.any():
            first = int(np.argmax(own))
            raise BadInputError(
                f"lease {first} lends {problem.regions[int(leases.lender[first])]} to itself; a lender is another region: remove the lease"
            )


def check_bid(problem: Problem) -> None:
    """The bid is concave: there is a resource in which value per unit never rises from a band to the next.

    A bid that is not concave is winner-takes-all, and a linear program would serve its later bands before its earlier ones.

    Raises:
        BadInputError: names the place and block, and the remedy.
    """
    value, width = problem.value, problem.width
    used = np.asarray((width > 0).any(axis=(1, 2)))  # (D, R)
    concave = np.ones(width.shape[:2] + width.shape[3:], dtype=bool)
    density = np.full(width.shape[:2] + width.shape[3:], np.inf)
    for k in range(width.shape[2]):
        with np.errstate(divide="ignore", invalid="ignore"):
            per_unit = value[:, :, k, None] / width[:, :, k]
        real = width[:, :, k] > 0
        concave &= ~real | (per_unit <= density * (1 + _NOISE))
        density = np.where(real, per_unit, density)
    bad = ~np.asarray((concave & used[:, None, :]).any(axis=2)) & np.asarray(used.any(axis=1))[:, None]
    if bad.any():
        d, t = (int(i) for i in np.argwhere(bad)[0])
        raise BadInputError(
            f"the bid of {problem.places[d]} is not concave in block {t}: a later band is worth more per unit than an earlier one "
            f"(value {np.array2string(value[d, t], precision=4)}); make value per unit fall or stay from band to band"
        )
