"""What a plan held, in the unit of a series, so that it can be compared with what was used.

Plans hold machines, bandwidth and storage. A machine type's name ends in its vCPU (n2-standard-8 has 8; custom types say it first:
n2-custom-4-8192), so machines carry `vCPU` of cpu and `vCPU x requests_per_vcpu` of requests. Names do not say their memory: what
was held for a memory series is unknown here.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from headroom.settings import Settings

__all__ = ["plan_resource", "with_held"]

_INSTANCES: Final = "instances"
_KEYS: Final = ["issue_time", "region", "service", "plan_resource", "ds"]


def plan_resource(resource: pd.Series[str]) -> pd.Series[str]:
    """The resource of a plan that serves a series' resource."""
    return resource.where(resource.isin(["bandwidth", "storage"]), _INSTANCES)


def with_held(rows: pd.DataFrame, plans: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """`rows` (keys of a forecast, and `y`) with `held`, `unmet` and `cost_usd` of the plan made from the same forecast.

    `held` is what ran or was reserved (hot) for the region, at full utilisation, in the series' unit, the machines of several types summed;
    `unmet` is the demand above it; `cost_usd` is the plan's cost of the hour. Machines leased from a peer region, and their cost, count where
    they serve. All are empty where there is no plan, and the first two where the unit cannot be converted.
    """
    asked = rows.assign(plan_resource=plan_resource(rows["resource"]), row=range(len(rows)))
    held = plans.rename(columns={"resource": "plan_resource"})[[*_KEYS, "hot", "leased", "machine_type", "cost_usd", "leased_usd"]]
    leased, leased_usd = (held[name].astype(float).fillna(0.0) for name in ("leased", "leased_usd"))
    held = held.assign(hot=held["hot"] + leased, cost_usd=held["cost_usd"] + leased_usd).drop(columns=["leased", "leased_usd"])
    joined = asked.merge(held, on=_KEYS, how="left", validate="many_to_many")
    joined["held"] = (joined["hot"] * _per_unit(joined, settings)).astype(float)
    known = joined["held"].notna().groupby(joined["row"]).all()
    sums = joined.groupby("row")[["cost_usd", "held"]].sum(min_count=1)
    found = asked.drop(columns="plan_resource").set_index("row").assign(cost_usd=sums["cost_usd"], held=sums["held"].where(known))
    return found.assign(unmet=(found["y"] - found["held"]).clip(lower=0)).reset_index(drop=True)


def _per_unit(joined: pd.DataFrame, settings: Settings) -> pd.Series[float]:
    """What one unit of the plan carries of the series' resource; NaN where it is not known."""
    names = joined["machine_type"].astype("string")
    custom, plain = names.str.extract(r"custom-(\d+)-")[0], names.str.extract(r"-(\d+)$")[0]
    vcpu = pd.to_numeric(custom.fillna(plain)).astype(float)
    requests = joined["service"].map({name: service.capacity.requests_per_vcpu for name, service in settings.services.items()})
    resource = joined["resource"]
    carried = vcpu.where(resource == "cpu", vcpu * requests.astype(float).where(resource == "requests"))
    return carried.where(~resource.isin(["bandwidth", "storage"]), 1.0)
