"""What the linear program is told: places, their uncertain demand in bands, the machines that can serve it, and the limits.

Indices, in the order of the axes: place `d` of D (one service in one region), hour block `t` of T, band `k` of K, resource `r` of R,
machine option `m` of M (a machine type that one place may use), lease `l` of L (capacity of a peer region that one option may borrow),
region `g` of G, machine family `f` of F.

Every array may be given without its last axes and is then repeated along them: `hot_price` of shape (M,) holds for all blocks, a number
holds for all options and blocks. After construction all arrays have their full shape, as float64 or int64, read only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infra.program.checks import FieldRule, check_bid, check_field, check_names, check_reach, check_sizes, index_rule

__all__ = ["BoolArray", "FloatArray", "IntArray", "Leases", "Problem"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


def _number(value: float) -> Callable[[], FloatArray]:
    return lambda: np.asarray(value, dtype=np.float64)


def _index(value: int) -> Callable[[], IntArray]:
    return lambda: np.asarray(value, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Leases:
    """Capacity of peer regions that may be borrowed; only pairs within the service's latency limit are listed.

    Attributes:
        option: (L,) the machine option of the borrowing place whose size, family and quota the leased machines have.
        lender: (L,) index of the region that lends; not the borrower's own.
        price: (L, T) USD per leased machine and hour: the lender's hot price plus egress.
        gbps: (L,) Gbit/s that one leased machine takes from its link.
        link: (L,) index into `links`, or -1 when no link limits the lease.
        links: names of the links between regions, for messages and shadow prices.
        link_capacity: (links, T) Gbit/s; inf is no limit.
        lending_limit: (G, T) quota units (vCPU) that a region lends at most, over all families; inf is no limit.
    """

    option: IntArray
    lender: IntArray
    price: FloatArray
    gbps: FloatArray = field(default_factory=_number(0.0))
    link: IntArray = field(default_factory=_index(-1))
    links: Sequence[str] = ()
    link_capacity: FloatArray = field(default_factory=_number(np.inf))
    lending_limit: FloatArray = field(default_factory=_number(np.inf))


@dataclass(frozen=True, eq=False)
class Problem:
    """One plan to be made. Construction checks everything and refuses by name.

    Attributes:
        block_hours: (T,) length of each hour block, hours, above 0. Days are counted from the start of block 0.
        regions: G names. places: D names, "region/service". resources: R names (for example cpu, memory, bandwidth).
        region: (D,) index of the place's region.
        width: (D, T, K, R) amount of each resource between two neighbouring quantiles of demand, at least 0; the first band reaches from 0
            to the lowest quantile. A band works only when all its resources are covered.
        reach: (D, T, K) chance that demand reaches into the band, 0 to 1, never rising from a band to the next.
        value: (D, T, K) USD per hour that one whole band unserved loses when it is reached. The bid must be concave: in at least one
            resource of the place, value per unit of width never rises from a band to the next.
        option_place: (M,) the place that the option serves. option_name: M machine types.
        option_size: (M, R) amount of each resource that one machine serves (its size x target utilisation).
        hot_price: (M, T) USD per machine and hour held running.
        warm_price: (M, T) USD per machine and hour held in standby; inf where there is no standby.
        warm_use_price: (M, T) USD per machine and hour that a standby machine costs on top when it is used; NaN is the hot price.
        cold_use_price: (M, T) USD per machine and hour of a machine bought when demand comes; inf where none can be bought.
        warm_loss: (D,) share of the value that is lost when demand is served by standby machines: resume time as a share of the hour, and
            the chance that a resume finds no stock.
        cold_loss: (D,) the same for machines bought when demand comes.
        start_cost: (M,) USD for each machine more that runs than in the block before.
        held: (M,) machines running before block 0. held_warm: (M,) machines in standby before block 0.
        resume_from: (M,) first block in which machines that are now in standby can run; before it no more run than are held.
        ready_from: (M,) first block in which machines asked for now can run or stand by; before it no more are there than are held.
        floors: (M, T) machines that run at least (from `ready_from` on; before it at most what is held).
        cold_limit: (M, T) machines that can be bought cold at once; inf is no limit.
        families: F names. option_family: (M,) index. option_quota: (M,) units (vCPU) that one machine takes from its family's limit.
        family_limit: (G, F, T) units of a family that a region has: the smaller of stock and quota. Hot, warm, cold and lent machines all
            take from it. inf is no limit.
        share_limit: (D, F, T) units of a family that a place may take in its own region, as `share_fairly` sets it. inf is no limit.
        budget_per_day: (B,) USD that hot, warm and leased machines may cost in each of B days; inf is no limit. Hard.
        budget_days: (B, T) hours of each block that count in each of these days; None: days of 24 hours from the start of block 0, of which the
            last, where only a part of it is there, has its part of the budget.
        guaranteed: (D, T, K) share of each band that hot (own or leased) capacity must cover, bands in their order; met
            from the latest `ready_from` of the place.
        hold_hours: (M,) hours for which a machine that was started keeps running.
        young: (M, T) machines started before block 0 that `hold_hours` keeps running in each block, beside those started since.
        flap_limit: (D, days) starts plus stops of a place in each day at most; inf is no limit.
        flap_day: (2, D, T) the day, counted from that of block 0, in which the starts of a block count, and its stops; None: that in which the
            block starts, with days of 24 hours from block 0.
        leases: capacity of peer regions, or None.
    """

    block_hours: FloatArray
    regions: Sequence[str]
    places: Sequence[str]
    resources: Sequence[str]
    region: IntArray
    width: FloatArray
    reach: FloatArray
    value: FloatArray
    option_place: IntArray
    option_name: Sequence[str]
    option_size: FloatArray
    hot_price: FloatArray
    warm_price: FloatArray = field(default_factory=_number(np.inf))
    warm_use_price: FloatArray = field(default_factory=_number(np.nan))
    cold_use_price: FloatArray = field(default_factory=_number(np.inf))
    warm_loss: FloatArray = field(default_factory=_number(0.0))
    cold_loss: FloatArray = field(default_factory=_number(0.0))
    start_cost: FloatArray = field(default_factory=_number(0.0))
    held: FloatArray = field(default_factory=_number(0.0))
    held_warm: FloatArray = field(default_factory=_number(0.0))
    resume_from: IntArray = field(default_factory=_index(0))
    ready_from: IntArray = field(default_factory=_index(0))
    floors: FloatArray = field(default_factory=_number(0.0))
    cold_limit: FloatArray = field(default_factory=_number(np.inf))
    families: Sequence[str] = ("all",)
    option_family: IntArray = field(default_factory=_index(0))
    option_quota: FloatArray = field(default_factory=_number(1.0))
    family_limit: FloatArray = field(default_factory=_number(np.inf))
    budget_per_day: FloatArray = field(default_factory=_number(np.inf))
    budget_days: FloatArray | None = None
    share_limit: FloatArray = field(default_factory=_number(np.inf))
    guaranteed: FloatArray = field(default_factory=_number(0.0))
    hold_hours: FloatArray = field(default_factory=_number(0.0))
    young: FloatArray = field(default_factory=_number(0.0))
    flap_limit: FloatArray = field(default_factory=_number(np.inf))
    flap_day: IntArray | None = None
    leases: Leases | None = None

    def __post_init__(self) -> None:
        """Bring every array to its full shape and check it.

        Raises:
            BadInputError: names the field, the place, option or limit, the rule and the remedy.
        """
        check_names(self)
        for rule in self._rules():
            object.__setattr__(self, rule.name, check_field(rule, getattr(self, rule.name)))
        if self.flap_day is None:
            object.__setattr__(self, "flap_day", (self.block_starts / 24 + 1e-9).astype(np.int64) + np.zeros((2, len(self.places), 1), int))
        for rule in self._flap_rules():
            object.__setattr__(self, rule.name, check_field(rule, getattr(self, rule.name)))
        use = np.where(np.isnan(self.warm_use_price), self.hot_price, self.warm_use_price)
        object.__setattr__(self, "warm_use_price", use)
        if self.leases is not None:
            for rule in self._lease_rules(self.leases):
                object.__setattr__(self.leases, rule.name, check_field(rule, getattr(self.leases, rule.name)))
        check_sizes(self)
        check_reach(self)
        check_bid(self)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """D, T, K, R, M."""
        places, blocks, bands, resources = self.width.shape
        return places, blocks, bands, resources, len(self.option_name)

    @property
    def block_starts(self) -> FloatArray:
        """(T,) hours from the start of block 0 to the start of each block."""
        return np.cumsum(self.block_hours) - self.block_hours

    @property
    def day_hours(self) -> FloatArray:
        """(days, T) hours of each block that lie in each day of 24 hours from the start of block 0."""
        start = self.block_starts
        left = 24.0 * np.arange(self._days())[:, None]
        overlap = np.minimum(start + self.block_hours, left + 24) - np.maximum(start, left)
        result: FloatArray = np.clip(overlap, 0, None)
        return result

    @property
    def move_day(self) -> IntArray:
        """`flap_day`, which is there once the problem is checked."""
        assert self.flap_day is not None
        return self.flap_day

    @property
    def budget_hours(self) -> FloatArray:
        """(B, T) hours of each block that count in each day of the budget."""
        return self.day_hours if self.budget_days is None else self.budget_days

    @property
    def budget_usd(self) -> FloatArray:
        """(B,) what the hours that count in each day of the budget may cost."""
        if self.budget_days is not None:
            return self.budget_per_day
        result: FloatArray = self.budget_per_day * self.day_hours.sum(axis=1) / 24
        return result

    def _rules(self) -> list[FieldRule]:
        blocks, bands = np.size(self.block_hours), np.shape(self.width)[2] if np.ndim(self.width) == 4 else 0
        d = (len(self.places), "places", self.places)
        t = (blocks, "blocks", None)
        k = (bands, "bands", None)
        r = (len(self.resources), "resources", self.resources)
        m = (len(self.option_name), "options", [f"{name} of option {i}" for i, name in enumerate(self.option_name)])
        g = (len(self.regions), "regions", self.regions)
        f = (len(self.families), "families", self.families)
        b = (self._days() if self.budget_days is None else len(self.budget_days), "days", None)
        own_days = [] if self.budget_days is None else [FieldRule("budget_days", (b, t))]
        return [
            *own_days,
            FieldRule("block_hours", (t,), least=1e-6),
            index_rule("region", d, below=len(self.regions)),
            FieldRule("width", (d, t, k, r)),
            FieldRule("reach", (d, t, k), most=1.0),
            FieldRule("value", (d, t, k)),
            index_rule("option_place", m, below=len(self.places)),
            FieldRule("option_size", (m, r)),
            FieldRule("hot_price", (m, t)),
            FieldRule("warm_price", (m, t), infinite=True),
            FieldRule("warm_use_price", (m, t), missing=True),
            FieldRule("cold_use_price", (m, t), infinite=True),
            FieldRule("warm_loss", (d,), most=1.0),
            FieldRule("cold_loss", (d,), most=1.0),
            FieldRule("start_cost", (m,)),
            FieldRule("held", (m,)),
            FieldRule("held_warm", (m,)),
            index_rule("resume_from", m, below=blocks + 1),
            index_rule("ready_from", m, below=blocks + 1),
            FieldRule("floors", (m, t)),
            FieldRule("cold_limit", (m, t), infinite=True),
            index_rule("option_family", m, below=len(self.families)),
            FieldRule("option_quota", (m,)),
            FieldRule("family_limit", (g, f, t), infinite=True),
            FieldRule("budget_per_day", (b,), infinite=True),
            FieldRule("share_limit", (d, f, t), infinite=True),
            FieldRule("guaranteed", (d, t, k), most=1.0),
            FieldRule("hold_hours", (m,)),
            FieldRule("young", (m, t)),
        ]

    def _flap_rules(self) -> list[FieldRule]:
        axes = ((2, "kinds", ["starts", "stops"]), (len(self.places), "places", self.places), (self.block_hours.size, "blocks", None))
        days = (int(np.max(self.move_day)) + 1, "days", None)
        return [FieldRule("flap_day", axes, whole=True), FieldRule("flap_limit", (axes[1], days), infinite=True)]

    def _days(self) -> int:
        """Days of 24 hours from the start of block 0 that some block reaches into; 1 while the blocks are not checked."""
        hours = float(np.nansum(np.clip(self.block_hours, 0, 24e3)))
        return max(int(np.ceil(hours / 24 - 1e-9)), 1)

    def _lease_rules(self, leases: Leases) -> list[FieldRule]:
        number = np.size(leases.option)
        lease = (number, "leases", [f"lease {i}" for i in range(number)])
        t = (np.size(self.block_hours), "blocks", None)
        link = (len(leases.links), "links", leases.links)
        region = (len(self.regions), "regions", self.regions)
        return [
            index_rule("option", lease, below=len(self.option_name)),
            index_rule("lender", lease, below=len(self.regions)),
            FieldRule("price", (lease, t)),
            FieldRule("gbps", (lease,)),
            index_rule("link", lease, below=len(leases.links), least=-1),
            FieldRule("link_capacity", (link, t), infinite=True),
            FieldRule("lending_limit", (region, t), infinite=True),
        ]
