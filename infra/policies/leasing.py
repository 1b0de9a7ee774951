"""Capacity of peer regions that a service may borrow: who lends to whom, at what price, and what was borrowed.

A service borrows machines in a peer region where it runs as well, so that requests can be sent there, and only as far as its latency
target allows. Lent machines are the service's machines in the lending region: its plan asks for them there.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from headroom.settings import Settings
from headroom.vocabulary import QUANTILES
from infra.capacity_need import INSTANCES
from infra.policies.machine_options import Options
from infra.policies.plan_lines import Array, Lines
from infra.prices import EGRESS_USD_PER_GIB
from infra.program import Leases, Solution

__all__ = ["Loans", "loans_between", "round_trip_ms"]

_REGIONS: Final = Path(__file__).parents[1] / "prices" / "gce_regions.csv"
_EARTH_KM: Final = 6371.0
# Light in fibre covers 200 km in a millisecond, there and back 100; cables are half as long again as the great circle.
_KM_PER_MS: Final = 100.0 / 1.5
# The source lacks the sign of its latitude.
_SOUTH: Final = "africa-south1"
_GIB_PER_GBPS_HOUR: Final = 3600 * 1e9 / 8 / 2**30


class Loans:
    """Pairs of options, borrower and lender, in the order of the program's leases.

    Attributes:
        options: of all places.
        borrower, lender: (L,) options of the same service and machine type.
        gbps: (L,) Gbit/s that a leased machine sends between the regions. egress_usd: (L,) USD per hour for that.
    """

    def __init__(self, options: Options, pairs: list[tuple[int, int]], gbps: list[float]) -> None:
        self.options = options
        self.borrower = np.array([b for b, _ in pairs], dtype=np.int64)
        self.lender = np.array([lender for _, lender in pairs], dtype=np.int64)
        self.gbps = np.array(gbps, dtype=np.float64)
        self.egress_usd = self.gbps * _GIB_PER_GBPS_HOUR * EGRESS_USD_PER_GIB

    def leases(self, settings: Settings, regions: list[str]) -> Leases | None:
        """The program's leases: a link from the lender to the borrower carries what their machines send, for all services and types together."""
        if not self.borrower.size:
            return None
        lends = np.array([settings.regions[name].lends_vcpus for name in regions])
        capacity = {(region, peer): gbps for region in regions for peer, gbps in settings.regions[region].links.items()}
        links = list(capacity)
        between = [(self._region(b), self._region(lender)) for b, lender in zip(self.borrower, self.lender, strict=True)]
        return Leases(
            option=self.borrower,
            lender=np.array([regions.index(self._region(option)) for option in self.lender]),
            price=self.options.hot_price[self.lender] + self.egress_usd,
            gbps=self.gbps,
            link=np.array([links.index(pair) if pair in capacity else -1 for pair in between]),
            links=[f"{peer} to {region}" for region, peer in links],
            link_capacity=np.array([capacity[pair] for pair in links]),
            lending_limit=lends,
        )

    def placed(self, solution: Solution) -> Array:
        """(M, T) hot machines where they stand: an option's own, and those that it lends."""
        hot = solution.hot.copy()
        np.add.at(hot, self.lender, solution.leased)
        return hot

    def moved(self, solution: Solution) -> tuple[Array, Array]:
        """(M, T) machines that an option has beyond those that stand there, below 0 for what it lends; and what they cost in USD per hour.

        The borrower's part is the lender's price and egress, the lender's its price alone: over the options machines add up to 0, USD to the egress.
        """
        machines, usd = np.zeros_like(solution.hot, dtype=np.float64), np.zeros_like(solution.hot, dtype=np.float64)
        price = self.options.hot_price[self.lender]
        for option, sign, each in ((self.borrower, 1.0, price + self.egress_usd), (self.lender, -1.0, price)):
            np.add.at(machines, option, sign * solution.leased)
            np.add.at(usd, option, sign * solution.leased * each[:, None])
        return machines, usd

    def words(self, solution: Solution) -> npt.NDArray[np.object_]:
        """(M, T) what an option borrows, with the egress of each machine, and what it lends."""
        text = np.full(solution.hot.shape, "", dtype=object)
        for borrower, lender, leased, usd in zip(self.borrower, self.lender, solution.leased, self.egress_usd, strict=True):
            there = np.flatnonzero(leased > 0)
            numbers = leased[there].astype(int).astype(str).astype(object)
            egress = f", each with egress for {usd:.2f} USD/h" if usd > 0 else ""
            text[borrower, there] += "; leases " + numbers + f" from {self._region(lender)}{egress}"
            text[lender, there] += "; lends " + numbers + f" to {self._region(borrower)}"
        return text

    def _region(self, option: int) -> str:
        return self.options.keys[int(self.options.place[option])][0]


def loans_between(settings: Settings, options: Options, lines: Lines) -> Loans:
    """Who may borrow where: `regions.<borrower>.peers` names the lender, `lends_vcpus` of the lender is above 0, and the round trip is short enough.

    What a machine sends is the service's median bandwidth over its median machines. A service whose bandwidth is not forecast borrows nothing:
    nobody knows what it would cost.

    Args:
        options: a machine is borrowed as one of the same type.
    """
    place_of = {key: place for place, key in enumerate(options.keys)}
    option_of = {(int(place), name): option for option, (place, name) in enumerate(zip(options.place, options.name, strict=True))}
    pairs, gbps = [], []
    for place, (region, service, resource) in enumerate(options.keys):
        limit = settings.services[service].slo.latency_ms
        for peer in settings.regions[region].peers if resource == INSTANCES and not np.isnan(lines.sent[place]).any() else ():
            lender = place_of.get((peer, service, INSTANCES))
            if lender is None or settings.regions[peer].lends_vcpus <= 0 or (limit is not None and round_trip_ms(region, peer) > limit):
                continue
            for mine in np.flatnonzero(options.place == place).tolist():
                theirs = option_of.get((lender, options.name[mine]))
                if theirs is None:
                    continue
                pairs.append((mine, theirs))
                gbps.append(_gbps_per_machine(lines.demand[place], options.size[mine], lines.sent[place]))
    return Loans(options, pairs, gbps)


def round_trip_ms(region: str, peer: str) -> float:
    """Estimated network round trip between two regions of the price list, from their places on the globe."""
    latitude, longitude = (np.radians([_places()[name][axis] for name in (region, peer)]) for axis in (0, 1))
    part = np.sin(np.diff(latitude)[0] / 2) ** 2 + np.cos(latitude).prod() * np.sin(np.diff(longitude)[0] / 2) ** 2
    return float(2 * _EARTH_KM * np.arcsin(np.sqrt(part)) / _KM_PER_MS)


@lru_cache(maxsize=1)
def _places() -> dict[str, tuple[float, float]]:
    """Region -> latitude and longitude, degrees."""
    found = pd.read_csv(_REGIONS).set_index("region")
    places = dict(zip(found.index, found[["latitude", "longitude"]].itertuples(index=False, name=None), strict=True))
    places[_SOUTH] = (-abs(places[_SOUTH][0]), places[_SOUTH][1])
    return places


def _gbps_per_machine(demand: Array, size: Array, sent: Array) -> float:
    middle = QUANTILES.index(0.5)
    each = np.divide(demand[:, middle], size, out=np.zeros_like(demand[:, middle]), where=size > 0).max(axis=1)
    return float(sent.sum() / max(each.sum(), 1e-9))
