"""The quota increases that a plan would ask for. Nothing here asks Google: a person decides, and the settings say what was granted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import pandas as pd

from headroom.schemas import empty_frame
from headroom.settings import Settings
from infra.binding_limit import BindingLimit
from infra.quota_fit import vcpus_of_rows
from infra.quotas import quota_metric, quota_of

__all__ = ["QuotaRequest", "quota_requests", "requests_in"]

_NOISE: Final = 1e-6


@dataclass(frozen=True)
class QuotaRequest:
    """A quota that is too small for what a plan needs at its quantile.

    Attributes:
        quota: Google's name of it, for example `N2_CPUS`. limit, needed: vCPU that there are, and that the dearest hour takes.
        start, hours: the first hour that is short, and how many are.
        usd_per_vcpu_day: what the first vCPU more saves; None where only policies without prices want it.
    """

    region: str
    quota: str
    limit: float
    needed: float
    start: pd.Timestamp
    hours: int
    usd_per_vcpu_day: float | None

    def __str__(self) -> str:
        """In one line."""
        saves = "" if self.usd_per_vcpu_day is None else f"; the first vCPU more saves {self.usd_per_vcpu_day:,.2f} USD/day"
        hours = "1 hour" if self.hours == 1 else f"{self.hours} hours"
        return f"{self.quota} of {self.region}: {self.limit:,.0f} now, {self.needed:,.0f} needed; short in {hours} from {self.start:%Y-%m-%d %H:%M}{saves}"

    def command(self, project: str) -> str:
        """The command by which a person asks Google for it."""
        return (
            f"gcloud beta quotas preferences create --project={project} --service=compute.googleapis.com "
            f"--quota-id={self.quota.replace('_', '-')}-per-project-region --dimensions=region={self.region} --preferred-value={self.needed:.0f}"
        )


def quota_requests(settings: Settings, plan: pd.DataFrame, limits: Sequence[BindingLimit], *, issue_time: pd.Timestamp) -> pd.DataFrame:
    """A row of the table `quota_requests` per quota that is too small for what a plan's lines need at their quantile.

    An hour needs what is hot, warm, cold, leased from peers and unmet. A quota is asked for where some of that is unmet, or where one vCPU more
    saves money; one that is small because peers are cheaper is not.

    Args:
        plan: in the `plans` schema.
        limits: of the same plan.
    """
    prices = {(limit.region, limit.quota): limit.usd_per_day for limit in limits if limit.quota}
    borrowed = plan.assign(borrowed=plan["leased"].clip(lower=0))
    unmet = vcpus_of_rows(settings, borrowed, ("unmet",))
    needed = vcpus_of_rows(settings, borrowed, ("hot", "warm", "cold", "unmet", "borrowed")).assign(unmet=unmet["vcpus"])
    rows = []
    for (region, name), hours in needed.groupby(["region", "quota"]):
        limit, key = quota_of(settings, str(region), str(name)), (str(region), quota_metric(str(name)))
        short = hours[hours["vcpus"] > limit + _NOISE]
        if len(short) and (key in prices or short["unmet"].max() > 0):
            most = float(ceil(float(short["vcpus"].max()) - _NOISE))
            rows.append((issue_time, *key, limit, most, short["ds"].min(), len(short), prices.get(key), issue_time))
    empty = empty_frame("quota_requests").drop(columns="day")
    return pd.DataFrame(rows, columns=empty.columns).astype({"usd_per_vcpu_day": float}) if rows else empty


def requests_in(rows: pd.DataFrame) -> tuple[QuotaRequest, ...]:
    """Of rows of the table, those that save most first."""
    found = [
        QuotaRequest(
            region=str(row["region"]),
            quota=str(row["quota"]),
            limit=float(row["limit_vcpus"]),
            needed=float(row["needed_vcpus"]),
            start=pd.Timestamp(row["ds"]),
            hours=int(row["hours"]),
            usd_per_vcpu_day=None if pd.isna(row["usd_per_vcpu_day"]) else float(row["usd_per_vcpu_day"]),
        )
        for row in rows.to_dict("records")
    ]
    return tuple(sorted(found, key=lambda asked: (-(asked.usd_per_vcpu_day or 0.0), asked.region, asked.quota)))
