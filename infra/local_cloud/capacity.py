"""Who holds what, and whether one more fits: quotas per region, stock per zone.

The model, for a zone and machine type: machines in use = machines of all reservations + running VMs that no reservation
covers. A VM with automatic affinity is covered by a reservation that does not require to be named, oldest first; a VM that
names a reservation is covered by that one, and runs beside it when it is full (Compute Engine would refuse such a VM). So a
reservation and the VMs that consume it count once. A VM counts while it boots, resumes and runs. A suspended or stopped VM
holds neither vCPU quota nor stock, but stays in the quota INSTANCES, and it may fail to resume when others have taken the
stock. Boot disks of VMs are not counted.

vCPUs count against `<FAMILY>_CPUS` when the region has that quota, else against `CPUS`. A metric or sku without a limit is
unlimited. While a resize is under way the larger of both sizes counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infra.local_cloud.catalog import Catalog

__all__ = ["Books", "Claim", "Held", "Limits", "Machines", "Shortage", "first_shortage", "quota_shortage", "stockout"]


@dataclass(frozen=True)
class Held:
    """A reservation of `count` machines; `required` when only VMs that name it may use it."""

    path: str
    zone: str
    machine_type: str
    count: int
    required: bool


@dataclass(frozen=True)
class Machines:
    """Equal VMs that run, boot or resume; `affinity` is `any`, `none`, `spot` (consumes no reservation) or `name:<reservation>`."""

    zone: str
    machine_type: str
    affinity: str
    count: int


@dataclass(frozen=True)
class Claim:
    """What one resource takes: machines, or amounts of quota metrics in its region.

    A metric `A|B` stands for `A` where the region has such a quota, else for `B`.
    """

    held: Held | None = None
    amounts: Mapping[str, float] = field(default_factory=dict)

    def larger(self, other: Claim) -> Claim:
        """What is taken while the resource changes from one claim to the other."""
        held = self.held
        if held is not None and other.held is not None:
            held = replace(held, count=max(held.count, other.held.count))
        names = {*self.amounts, *other.amounts}
        return Claim(held, {name: max(self.amounts.get(name, 0.0), other.amounts.get(name, 0.0)) for name in names})


@dataclass(frozen=True)
class Limits:
    """Ceilings: `(region, metric)` and `(zone, sku)`."""

    quotas: Mapping[tuple[str, str], float]
    stock: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Shortage:
    """Why something does not fit, in Compute Engine's words."""

    code: str
    message: str
    http_status: int
    http_message: str
    details: list[dict[str, Any]]
    metric: str

    def errors(self) -> list[dict[str, Any]]:
        """`error.errors` of a failed operation."""
        return [{"code": self.code, "message": self.message, "errorDetails": self.details}]


@dataclass(frozen=True)
class Books:
    """Everything held at one moment. `with_*` give the books as they would be."""

    catalog: Catalog
    limits: Limits
    held: tuple[Held, ...]
    machines: tuple[Machines, ...]
    amounts: tuple[tuple[str, str, float], ...]

    def with_claim(self, claim: Claim, region: str | None) -> Books:
        """With `claim` more; a reservation that is held already gets the new size."""
        path = claim.held.path if claim.held else None
        held = tuple(item for item in self.held if item.path != path) + ((claim.held,) if claim.held else ())
        more = tuple((region, metric, amount) for metric, amount in claim.amounts.items()) if region else ()
        return replace(self, held=held, amounts=self.amounts + more)

    def with_machines(self, more: Machines, *, new: int) -> Books:
        """With `more` VMs, of which `new` did not exist before."""
        region = self.catalog.zones[more.zone]
        return replace(self, machines=(*self.machines, more), amounts=(*self.amounts, (region, "INSTANCES", float(new))))

    def in_use(self) -> dict[str, int]:
        """Path of a reservation -> VMs that consume it."""
        return self._covered()[0]

    def usage(self) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
        """Quota used by `(region, metric)` and stock used by `(zone, sku)`; what is not used reads as 0."""
        quotas: defaultdict[tuple[str, str], float] = defaultdict(float)
        stock: defaultdict[tuple[str, str], float] = defaultdict(float)
        for region, metric, amount in self.amounts:
            quotas[region, self._metric(region, metric)] += amount
        for (zone, name), count in self._covered()[1].items():
            machine, region = self.catalog.machine_type(name, zone), self.catalog.zones[zone]
            if machine is None:
                continue
            quotas[region, self._metric(region, f"{machine.family.upper()}_CPUS|CPUS")] += count * machine.vcpus
            stock[zone, machine.family] += count * machine.vcpus
            stock[zone, name] += count
        return quotas, stock

    def _metric(self, region: str, names: str) -> str:
        """The first of `A|B` that the region has a quota for; the last when it has none."""
        *others, last = names.split("|")
        return next((name for name in others if (region, name) in self.limits.quotas), last)

    def _covered(self) -> tuple[dict[str, int], Counter[tuple[str, str]]]:
        """VMs on each reservation, and machines in use by `(zone, machine type)`."""
        free = {item.path: item.count for item in self.held}
        in_use: Counter[tuple[str, str]] = Counter()
        for item in self.held:
            in_use[item.zone, item.machine_type] += item.count
        for vms in sorted(self.machines, key=lambda group: group.affinity == "any"):
            left = vms.count
            for item in self._open_to(vms):
                taken = min(left, free[item.path])
                free[item.path] -= taken
                left -= taken
            in_use[vms.zone, vms.machine_type] += left
        return {item.path: item.count - free[item.path] for item in self.held}, in_use

    def _open_to(self, vms: Machines) -> Iterable[Held]:
        for item in self.held:
            if (item.zone, item.machine_type) != (vms.zone, vms.machine_type):
                continue
            named = vms.affinity == f"name:{item.path.rpartition('/')[2]}"
            if named or (vms.affinity == "any" and not item.required):
                yield item


def first_shortage(before: Books, after: Books, project: str) -> Shortage | None:
    """The first limit that `after` passes and `before` used less of: quotas first, then stock."""
    quotas_before, stock_before = before.usage()
    quotas, stock = after.usage()
    for (region, metric), used in sorted(quotas.items()):
        ceiling = after.limits.quotas.get((region, metric))
        if ceiling is not None and used > max(ceiling, quotas_before[region, metric]):
            return quota_shortage(region, metric, ceiling)
    for (zone, sku), used in sorted(stock.items()):
        ceiling = after.limits.stock.get((zone, sku))
        if ceiling is not None and used > max(ceiling, stock_before[zone, sku]):
            return stockout(zone, sku, project)
    return None


def quota_shortage(region: str, metric: str, ceiling: float) -> Shortage:
    """A capacity quota of the region is passed."""
    info = {
        "metricName": f"compute.googleapis.com/{metric.lower()}",
        "limitName": f"{metric.replace('_', '-')}-per-project-region",
        "limit": ceiling,
        "dimensions": {"region": region},
    }
    message = f"Quota '{metric}' exceeded.  Limit: {ceiling:.1f} in region {region}."
    return Shortage("QUOTA_EXCEEDED", message, 403, "FORBIDDEN", [{"quotaInfo": info}], metric)


def stockout(zone: str, sku: str, project: str) -> Shortage:
    """The zone has no more of a family or machine type."""
    info = {
        "domain": "compute.googleapis.com",
        "reason": "resource_availability",
        "metadatas": {"attachment": "", "vmType": sku, "zone": zone, "zonesAvailable": ""},
    }
    message = (
        f"The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request.  "
        "Try a different zone, or try again later."
    )
    return Shortage("ZONE_RESOURCE_POOL_EXHAUSTED", message, 503, "SERVICE UNAVAILABLE", [{"errorInfo": info}], sku)
