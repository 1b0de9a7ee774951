"""The machine options of the places: which types may serve a line, and where its least number and what it holds at first stand."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from infra.capacity_need import COMPUTE, INSTANCES, LINE, STEPS
from infra.machine_types import allowed_types, carried, machines_for_one
from infra.policies.plan_lines import BANDWIDTH, RESOURCES, Array, Key, Lines
from infra.prices import list_prices
from infra.quota_fit import Taken
from infra.quotas import quota_name, quota_of
from infra.unit_prices import unit_prices

__all__ = ["STEP", "Options", "options_of", "spread"]

IntArray = npt.NDArray[np.int64]
# The name of the option of a place of bandwidth.
STEP: Final = "attachment step"
_TIE: Final = 1e-3


@dataclass(frozen=True, eq=False)
class Options:
    """The options of all places, those of a place side by side: first the type that the need is counted in, then the others.

    Attributes:
        keys: line of every place.
        place: (M,) index of the place. name: machine types, or `STEP`.
        first: (D,) the place's first option.
        size: (M, R) what one machine, or one step of an attachment, serves of each of `RESOURCES`.
        hot_price, warm_price: (M,) USD per hour; warm is inf where there is no standby.
        machines: (M,) false for steps of an attachment.
        vcpus: (M,) taken from the quota of the family; 0 for steps.
    """

    keys: list[Key]
    place: IntArray
    name: list[str]
    first: IntArray
    size: Array
    hot_price: Array
    warm_price: Array
    machines: npt.NDArray[np.bool_]
    vcpus: Array

    @property
    def dearer(self) -> Array:
        """(M,) factor on the prices that breaks ties: a type must be a thousandth cheaper than the one before it to be preferred."""
        found: Array = 1.0 + _TIE * (np.arange(len(self.place)) - self.first[self.place]).astype(np.float64)
        return found

    def only(self, kept: npt.NDArray[np.bool_]) -> Options:
        """Without the options that are not kept; the first of every place stays."""
        stays = kept.copy()
        stays[self.first] = True
        place = self.place[stays]
        return Options(
            keys=self.keys,
            place=place,
            name=[name for name, stay in zip(self.name, stays, strict=True) if stay],
            first=np.unique(place, return_index=True)[1],
            **{name: getattr(self, name)[stays] for name in ("size", "hot_price", "warm_price", "machines", "vcpus")},
        )

    @property
    def several(self) -> npt.NDArray[np.bool_]:
        """(D,) places with more than one option."""
        found: npt.NDArray[np.bool_] = np.bincount(self.place, minlength=len(self.keys)) > 1
        return found


def options_of(settings: Settings, lines: Lines, need: pd.DataFrame) -> Options:
    """The allowed types of every place; the first is the one that `need` is counted in."""
    counted = need.drop_duplicates(LINE).set_index(LINE)["machine_type"]
    pairs = [(place, name) for place, key in enumerate(lines.keys) for name in _types(settings, key, str(counted[key]))]
    place = np.array([p for p, _ in pairs], dtype=np.int64)
    names = [name for _, name in pairs]
    machines = np.array([lines.keys[p][2] == INSTANCES for p in place])
    prices = (
        np.array([unit_prices(settings, *lines.keys[p], name) for p, name in pairs]) * np.where(machines, 1.0, STEPS[BANDWIDTH])[:, None]
    )
    return Options(
        keys=lines.keys,
        place=place,
        name=names,
        first=np.unique(place, return_index=True)[1],
        size=np.array([_size(settings, lines.keys[p], name) for p, name in pairs]),
        hot_price=prices[:, 0],
        warm_price=np.where(machines, prices[:, 1], np.inf),
        machines=machines,
        vcpus=np.array([list_prices().machine_type(name).vcpu if m else 0.0 for name, m in zip(names, machines, strict=True)]),
    )


def spread(settings: Settings, options: Options, taken: Taken, wanted: Array) -> Array:
    """(M,) machines of every option that together make `wanted` (D,), numbers of each place's first option.

    A place with one option has them all. One with several has as many of its first as the region's quota leaves, then of the next (as many as
    carry the same), the most critical service first; what no quota has room for is the first's again. Others have what is `taken`.
    """
    result = np.zeros(len(options.place))
    result[options.first] = wanted
    left: dict[tuple[str, str], float] = {}
    ranked = sorted(range(len(options.keys)), key=lambda d: (settings.services[options.keys[d][1]].rank, d))
    for place in (d for d in ranked if options.machines[options.first[d]]):
        region = options.keys[place][0]
        missing, first = float(wanted[place]), int(options.first[place])
        mine = np.flatnonzero(options.place == place)
        if mine.size > 1:
            result[first] = 0.0
        for option in mine.tolist():
            cell = (region, quota_name(settings, region, options.name[option]))
            others = float(taken[cell].max()) if cell in taken else 0.0
            room = left.setdefault(cell, quota_of(settings, region, cell[1]) - others)
            each = machines_for_one(options.size[first], options.size[option])
            has = missing if mine.size == 1 else min(np.ceil(missing * each - 1e-9), floor(max(room, 0.0) / options.vcpus[option]))
            result[option] = has
            left[cell] = room - has * options.vcpus[option]
            missing = max(missing - has / each, 0.0)
        result[first] += missing if mine.size > 1 else 0.0
    return result


def _types(settings: Settings, key: Key, counted: str) -> list[str]:
    region, service, resource = key
    if resource != INSTANCES:
        return [STEP]
    return [counted, *(name for name in allowed_types(settings, region, service) if name != counted)]


def _size(settings: Settings, key: Key, name: str) -> list[float]:
    of = dict(zip(COMPUTE, carried(settings, key[1], name), strict=True)) if key[2] == INSTANCES else {BANDWIDTH: STEPS[BANDWIDTH]}
    return [of.get(resource, 0.0) for resource in RESOURCES]
