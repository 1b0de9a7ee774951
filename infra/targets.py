"""Targets: what should be held in a region from an issue time until the next allocation has taken effect."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.settings_services import Storage
from infra.machine_types import allowed_types, carried
from infra.names import group_name, machines_name, resource_name
from infra.prices import BANDWIDTH_USD_PER_GBPS_HOUR, list_prices
from infra.standby import standby_state, standby_usd_per_hour

__all__ = [
    "BANDWIDTH_STEPS",
    "BandwidthTarget",
    "MachineTarget",
    "StorageTarget",
    "Target",
    "allowed_below",
    "bandwidth_step",
    "desired_state",
]

# InterconnectAttachment.bandwidth: Gbit/s -> the API's word.
BANDWIDTH_STEPS: Final = {
    0.05: "BPS_50M",
    0.1: "BPS_100M",
    0.2: "BPS_200M",
    0.3: "BPS_300M",
    0.4: "BPS_400M",
    0.5: "BPS_500M",
    1.0: "BPS_1G",
    2.0: "BPS_2G",
    5.0: "BPS_5G",
    10.0: "BPS_10G",
    20.0: "BPS_20G",
    50.0: "BPS_50G",
    100.0: "BPS_100G",
    400.0: "BPS_400G",
}
_SHORTEST_MARGIN_HOURS: Final = 3
_SMALLEST_DISK_GIB: Final = 10
_SMALLEST_POOL_GIB: Final = 10_240
_POOL_STEP_GIB: Final = 1_024
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class MachineTarget:
    """Machines of one service and machine type.

    Attributes:
        hot: machines reserved and running.
        suspended, stopped: machines in standby.
        zones: where reservations may be, in order of preference.
        rank: 0 for the most critical services, which are served first.
        outlast_hours: a reservation that lapses earlier than this after the issue time is extended ...
        keep_hours: ... to lapse this long after the issue time.
        hot_usd, warm_usd: USD per machine and hour.
        order: the zones in the order in which more machines are asked for; empty for that of preference.
        further: one of `capacity.also`, which has a group of its own; the service's first type has the service's group.
        makes: whether what is missing is made; without it, what is there is only released.
        carries: what one machine carries of each of `infra.machine_types.COMPUTE`.
        former: groups of types that the service no longer has, to be drained.
        run_now: machines that a correction wants running for the next minutes; those above `hot` come out of standby.
    """

    service: str
    machine_type: str
    hot: int
    suspended: int
    stopped: int
    zones: tuple[str, ...]
    rank: int
    outlast_hours: float
    keep_hours: float
    hot_usd: float
    warm_usd: float
    order: tuple[str, ...] = ()
    further: bool = False
    makes: bool = True
    carries: tuple[float, ...] = ()
    former: tuple[str, ...] = ()
    run_now: int = 0

    @property
    def standby(self) -> int:
        """Machines in standby, before any is resumed for a correction."""
        return self.suspended + self.stopped

    def resumed(self, hot: int) -> int:
        """Standby machines that run for a correction, beside `hot` reserved ones; never more than stand by."""
        return min(max(self.run_now - hot, 0), self.standby)

    @property
    def group(self) -> str:
        return group_name(self.service, self.machine_type if self.further else None)

    @property
    def template(self) -> str:
        return machines_name(self.service, self.machine_type)

    @property
    def reservation(self) -> str:
        """The same name as the template, in every zone that holds some."""
        return machines_name(self.service, self.machine_type)


@dataclass(frozen=True)
class BandwidthTarget:
    """The region's interconnect attachment; `attachment` is None when the settings name none."""

    attachment: str | None
    gbps: float
    usd_per_gbps: float

    @property
    def step(self) -> str:
        return bandwidth_step(self.gbps)


@dataclass(frozen=True)
class StorageTarget:
    """Storage of one service; never shrunk."""

    service: str
    kind: Literal["disk", "regional-disk", "storage-pool"]
    type: str
    gib: int
    zones: tuple[str, ...]
    rank: int
    usd_per_gib: float

    @property
    def name(self) -> str:
        return resource_name(self.service, "data")


Target = MachineTarget | BandwidthTarget | StorageTarget


def bandwidth_step(gbps: float) -> str:
    """The smallest step that carries `gbps`; above the largest step, the largest."""
    return next((step for size, step in BANDWIDTH_STEPS.items() if size >= gbps - _ROUNDING), "BPS_400G")


def desired_state(settings: Settings, plan: pd.DataFrame, *, issue_time: pd.Timestamp, region: str) -> list[Target]:
    """What a region should hold: the most that any hour needs before the next allocation has taken effect.

    The window is `[issue_time, issue_time + hold_hours + lead)`: the next allocation comes after `hold_hours`, and what it asks
    for serves only a lead time (`boot_minutes`, rounded up to hours) later, so capacity is there before its hour.

    Args:
        plan: rows of the `plans` table; other issue times and regions are ignored.

    Returns:
        Machine targets first, the most critical service first, one per machine type that it may use in the region, with 0 machines of those
        that the plan does not use; then bandwidth; then storage. A service without rows in the plan has no target, so what it holds stays as
        it is.

    Raises:
        BadInputError: when the region or a service is not in the settings, or the plan has no row for the region.
    """
    if region not in settings.regions:
        raise BadInputError(f"region {region!r} is not in the settings; known: {', '.join(sorted(settings.regions))}")
    rows = plan[(plan["region"] == region) & (pd.to_datetime(plan["issue_time"], utc=True) == issue_time)]
    if rows.empty:
        raise BadInputError(f"no plan for region {region} at {issue_time.isoformat()}; run the plan step for that issue time first")
    if unknown := sorted(set(rows["service"]) - set(settings.services)):
        raise BadInputError(f"plan for region {region}: service {unknown[0]!r} is not in the settings; plan again with these settings")
    leads = {name: math.ceil(service.capacity.boot_minutes / 60) for name, service in settings.services.items()}
    ends = issue_time + pd.to_timedelta(rows["service"].map(leads) + settings.policy.hold_hours, unit="h")
    served = rows[(rows["ds"] >= issue_time) & (rows["ds"] < ends)]
    machines = [
        target
        for name, part in served[served["resource"] == "instances"].groupby("service")
        for target in _machine_targets(settings, region, str(name), part)
    ]
    storage = [
        _storage_target(settings, region, str(name), part) for name, part in served[served["resource"] == "storage"].groupby("service")
    ]
    machines.sort(key=lambda target: (target.rank, target.service))
    storage.sort(key=lambda target: (target.rank, target.service))
    return [*machines, *_bandwidth_target(settings, region, served[served["resource"] == "bandwidth"]), *storage]


def _machine_targets(settings: Settings, region: str, name: str, rows: pd.DataFrame) -> list[MachineTarget]:
    """One target per machine type, the first type first. A plan of other settings may have a first type of its own."""
    also = settings.services[name].capacity.also
    planned = list(dict.fromkeys(rows["machine_type"]))
    own = [machine_type for machine_type in planned if machine_type not in also]
    if len(own) > 1:
        raise BadInputError(
            f"plan for region {region}: {name} has machines of {', '.join(own)}, of which its capacity in the settings allows one at most; "
            "plan again with these settings"
        )
    allowed = allowed_types(settings, region, name)
    return [
        _machine_target(settings, region, name, machine_type, rows[rows["machine_type"] == machine_type])
        for machine_type in [*(own or allowed[:1]), *(further for further in also if further in allowed or further in planned)]
    ]


def _machine_target(settings: Settings, region: str, name: str, machine_type: str, rows: pd.DataFrame) -> MachineTarget:
    service = settings.services[name]
    further = machine_type in service.capacity.also
    hot = _whole(rows["hot"]) if len(rows) else 0
    warm = max(_whole(rows["hot"] + rows["warm"]) - hot, 0) if len(rows) else 0  # what is hot for another hour serves this one too
    suspended = warm if standby_state(settings, name, machine_type) == "suspended" else 0
    window = settings.policy.hold_hours + math.ceil(service.capacity.boot_minutes / 60)
    margin = max(settings.policy.hold_hours, _SHORTEST_MARGIN_HOURS)
    return MachineTarget(
        service=name,
        machine_type=machine_type,
        hot=hot,
        suspended=suspended,
        stopped=warm - suspended,
        zones=tuple(settings.regions[region].zones),
        rank=service.rank,
        outlast_hours=window + margin / 2,
        keep_hours=window + margin,
        hot_usd=list_prices().hot_usd_per_hour(machine_type, region),
        warm_usd=standby_usd_per_hour(settings, region, name, machine_type),
        further=further,
        makes=hot + warm > 0 or (len(rows) > 0 and not further),
        carries=carried(settings, name, machine_type),
    )


def _bandwidth_target(settings: Settings, region: str, rows: pd.DataFrame) -> Iterable[BandwidthTarget]:
    if rows.empty:
        return
    interconnect = settings.regions[region].interconnect
    gbps = float(rows.groupby("ds")["hot"].sum().max())
    least = interconnect.minimum_gbps if interconnect else 0.0
    yield BandwidthTarget(
        attachment=interconnect.attachment if interconnect else None,
        gbps=max(gbps, least),
        usd_per_gbps=BANDWIDTH_USD_PER_GBPS_HOUR,
    )


def _storage_target(settings: Settings, region: str, name: str, rows: pd.DataFrame) -> StorageTarget:
    service = settings.services[name]
    storage = service.capacity.storage
    return StorageTarget(
        service=name,
        kind=storage.kind,
        type=storage.type,
        gib=_allowed_size(storage, _whole(rows["hot"])),
        zones=tuple(settings.regions[region].zones),
        rank=service.rank,
        usd_per_gib=list_prices().disk_usd_per_gib_hour(storage, region),
    )


def _allowed_size(storage: Storage, gib: int) -> int:
    """`gib` rounded up to what the product sells."""
    if storage.kind == "storage-pool":
        return max(math.ceil(gib / _POOL_STEP_GIB) * _POOL_STEP_GIB, _SMALLEST_POOL_GIB)
    return max(gib, _SMALLEST_DISK_GIB)


def allowed_below(target: StorageTarget, gib: int) -> int:
    """`gib` rounded down to what the product sells, 0 when that is nothing."""
    least, step = (_SMALLEST_POOL_GIB, _POOL_STEP_GIB) if target.kind == "storage-pool" else (_SMALLEST_DISK_GIB, 1)
    return gib // step * step if gib >= least else 0


def _whole(amounts: pd.Series[float]) -> int:
    return math.ceil(float(amounts.max()) - _ROUNDING)
