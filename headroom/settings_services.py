"""Services and policy: the part of `capacity.yaml` that says what is needed and what may be spent."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from headroom.vocabulary import SIGNALS

__all__ = [
    "BidStep",
    "Capacity",
    "Correction",
    "Policy",
    "PolicyName",
    "Service",
    "ServiceLevel",
    "ServiceName",
    "Signal",
    "Storage",
    "Strict",
    "Trouble",
]

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# Booting and resuming: both together are within what a forecast of 72 hours says about, also when it is a day old.
Lead = Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False)]
# Names go into series ids, which split at "/", and into Google Cloud resource names (RFC 1035, 63 characters with our
# prefix and suffix).
ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?(:[a-z0-9-]{1,20})?$")]
Forecastable = Literal["cpu", "memory", "storage", "bandwidth", "requests"]
Criticality = Literal["low", "medium", "high"]
_MOST_CRITICAL_FIRST: Final[tuple[Criticality, ...]] = ("high", "medium", "low")
PolicyName = Literal["tiered", "newsvendor", "reactive", "static", "optimal"]


class Strict(BaseModel):
    """Base of every settings model: immutable; an unknown key and a value of another type are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ServiceLevel(Strict):
    """What the service promises its users."""

    availability: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.999, description="share of demand to be met")
    latency_ms: Positive | None = Field(default=None, description="target latency")


class Storage(Strict):
    """Where a storage demand is held."""

    kind: Literal["disk", "regional-disk", "storage-pool"] = "disk"
    type: str = Field(default="pd-balanced", description="disk or pool type")


class Capacity(Strict):
    """How load becomes machines."""

    machine_type: str = Field(description="for example n2-standard-8")
    also: list[str] = Field(default=[], description="further machine types that may serve the same load, by preference among equals")
    target_utilisation: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.6, description="share of a machine's vCPU that demand may use"
    )
    requests_per_vcpu: Positive | None = Field(default=None, description="needed when the demand is requests")
    boot_minutes: Lead = Field(default=5, description="from the call until the machine serves")
    resume_minutes: Lead = Field(default=2, description="from resume of a suspended machine until it serves")
    standby: Literal["suspended", "stopped"] | None = Field(
        default=None,
        description="how standby machines wait; none: suspended where they can be and resuming is faster than booting, else stopped",
    )
    spot: bool = Field(default=False, description="for optimal: machines that are bought when demand comes may be spot")
    minimum_instances: Annotated[int, Field(ge=0)] = Field(default=1, description="never fewer running")
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _types_differ(self) -> Self:
        if repeated := sorted({name for name in self.machine_types if self.machine_types.count(name) > 1}):
            raise ValueError(f"also: {repeated[0]!r} is given twice, machine_type included; name every machine type once")
        return self

    @property
    def machine_types(self) -> tuple[str, ...]:
        """All that the service may run on, `machine_type` first."""
        return (self.machine_type, *self.also)


class BidStep(Strict):
    """What an hour of demand is worth, up to an amount."""

    up_to: Positive | None = Field(default=None, description="amount of the service's first compute resource; none: all above")
    usd_per_unit_hour: NotNegative = Field(description="lost when one unit goes unserved for an hour")


class Signal(Strict):
    """A measurement that says how a service does, and its limit."""

    metric: str = Field(description="metric of a source: errors as a share of the requests, latency as a time")
    above: NotNegative | None = Field(default=None, description="trouble is above it: a share, or ms; default what the SLO leaves")


class Trouble(Strict):
    """When a service gets a boost without anybody asking."""

    errors: Signal | None = None
    latency: Signal | None = None
    minutes: Annotated[int, Field(ge=1, le=60)] = Field(default=15, description="of the hour before a plan, above the limit in one region")
    boost_hours: Annotated[float, Field(ge=1, le=72)] = Field(default=2.0, description="how long the boost lasts")

    @model_validator(mode="after")
    def _has_a_signal(self) -> Self:
        if self.errors is None and self.latency is None:
            raise ValueError("errors: missing, and so is latency; a service is in trouble by one of them")
        return self


class Service(Strict):
    """One service, application or client that asks for capacity."""

    regions: list[str] = Field(min_length=1, description="where it runs")
    criticality: Criticality = "medium"
    weight: Positive = Field(
        default=1.0, description="of its fair share, under policy.fairness dominant or proportional; boosts multiply it"
    )
    policy: PolicyName | None = Field(default=None, description="how its forecasts become capacity; default policy.name")
    bid: list[BidStep] = Field(default=[], description="what its demand is worth, step by step; default by criticality and SLO")
    slo: ServiceLevel = ServiceLevel()
    demand: dict[Forecastable, str] = Field(min_length=1, description="resource -> metric of a source")
    trouble: Trouble | None = Field(default=None, description="signals that give it a boost; none: only by hand")
    capacity: Capacity

    @property
    def rank(self) -> int:
        """0 for the most critical services, which are served first and give last."""
        return _MOST_CRITICAL_FIRST.index(self.criticality)

    @property
    def signals(self) -> dict[str, Signal]:
        """Signal -> its metric and its limit, which the SLO gives where none is set."""
        if self.trouble is None:
            return {}
        by_slo = {"errors": round(1.0 - self.slo.availability, 9), "latency": self.slo.latency_ms}
        given = {name: found for name in SIGNALS if (found := getattr(self.trouble, name)) is not None}
        return {
            name: found if found.above is not None else found.model_copy(update={"above": by_slo[name]}) for name, found in given.items()
        }

    @property
    def measured(self) -> dict[str, str]:
        """Resource or signal -> metric of a source: all that is measured of the service."""
        return {str(name): metric for name, metric in self.demand.items()} | {name: signal.metric for name, signal in self.signals.items()}

    @model_validator(mode="after")
    def _bid_is_concave(self) -> Self:
        if not self.bid:
            return self
        if any(step.up_to is None for step in self.bid[:-1]) or self.bid[-1].up_to is not None:
            raise ValueError("bid: every step but the last says up_to, and the last one none: it is for all demand above")
        ends = [step.up_to or 0.0 for step in self.bid[:-1]]
        worth = [step.usd_per_unit_hour for step in self.bid]
        if sorted(set(ends)) != ends:
            raise ValueError(f"bid: up_to {', '.join(f'{end:g}' for end in ends)} must rise")
        if sorted(worth, reverse=True) != worth:
            raise ValueError(
                f"bid: usd_per_unit_hour {', '.join(f'{usd:g}' for usd in worth)} must not rise: what is served first is worth most; "
                "exchange the steps"
            )
        return self

    @model_validator(mode="after")
    def _signals_have_a_limit(self) -> Self:
        if lacking := [name for name, signal in self.signals.items() if signal.above is None]:
            raise ValueError(f"trouble.{lacking[0]}.above: missing; give it, or slo.latency_ms")
        return self

    @model_validator(mode="after")
    def _requests_can_be_served(self) -> Self:
        if "requests" in self.demand and self.capacity.requests_per_vcpu is None:
            raise ValueError("capacity.requests_per_vcpu: missing; a service whose demand is requests needs it, for example 12")
        return self


class Correction(Strict):
    """How the next minutes move machines of a plan between standby and running."""

    minutes: Literal[5, 10, 15] = Field(default=15, description="how far ahead demand is looked at, in steps of 5 minutes")
    quantile: Annotated[float, Field(ge=0.5, le=0.99)] = Field(
        default=0.9, description="quantile of the next minutes' demand that is served"
    )


class Policy(Strict):
    """How forecasts become capacity, and what needs a person."""

    name: PolicyName = Field(
        default="tiered",
        description="tiered: by confidence; newsvendor: each hour's best quantile; reactive: what was measured; static: the peak; "
        "optimal: one linear program",
    )
    tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.15, description="confidence is the chance that demand is within this share of the median"
    )
    high_confidence: Share = Field(default=0.9, description="above it everything needed is held hot")
    medium_confidence: Share = Field(default=0.6, description="above it `medium_share` is held hot")
    medium_share: Share = Field(default=0.75, description="hot share of the need in the medium tier")
    quantile: Annotated[float, Field(ge=0.5, le=0.99)] = Field(default=0.9, description="quantile of demand that is covered")
    value_of_service: dict[Criticality, Annotated[float, Field(gt=1, allow_inf_nan=False)]] = Field(
        default={"low": 5.0, "medium": 20.0, "high": 100.0},
        description="what an hour of unserved demand loses, in prices of the machines that would have served it; a nine of the SLO adds a third",
    )
    resume_failure: Share = Field(default=0.02, description="chance that a standby machine does not resume, for lack of stock")
    purchase_failure: Share = Field(default=0.05, description="chance that a machine cannot be bought when demand comes")
    spot_failure: Share = Field(
        default=0.15, description="chance that a machine cannot be bought on spot when demand comes, or is preempted within the hour"
    )
    fairness: Literal["bids", "dominant", "proportional"] = Field(
        default="bids",
        description="for optimal, where a quota is too small for all: by value alone, or fair shares above the floors",
    )
    stabilisation_hours: Annotated[int, Field(ge=1, le=24)] = Field(
        default=1, description="for reactive: it scales in only to the most measured in as many hours"
    )
    flaps_per_day: Positive | None = Field(
        default=None, description="for optimal: starts plus stops of a service in a region per UTC day, at most"
    )
    least_run_hours: NotNegative = Field(default=0, description="for optimal: hours for which a machine that was started keeps running")
    hour_blocks: Literal["hourly", "mixed"] = Field(
        default="hourly", description="for optimal: every hour by itself, or the first day so and then 6 hours alike; half the time to plan"
    )
    boost_factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        default=10.0, description="a boosted service's value of service, and its weight in fair shares, are multiplied by it"
    )
    boost_hours_per_week: NotNegative = Field(default=24.0, description="hours of boosts that all services may have in seven days")
    demand_statistic: Literal["max", "mean"] = Field(default="max", description="what an hour of measurements counts as")
    budget_usd_per_day: Positive = Field(
        default=10_000,
        description="of a UTC day; above it machines go from hot to warm, then cold, least critical first; refused if the floors alone are above",
    )
    approval_usd_per_day: NotNegative = Field(default=1_000, description="an increase above it waits for a person")
    approval_decrease_usd_per_day: NotNegative | None = Field(
        default=None, description="a decrease above it waits for a person; none: no decrease does"
    )
    approval_timeout_minutes: Positive = Field(default=60, description="no answer by then means no")
    hold_hours: Annotated[int, Field(ge=1, le=72)] = Field(default=1, description="hours between two allocations")
    correction: Correction | None = Field(
        default=None, description="between two allocations, every 5 minutes: standby runs while the next minutes need it; none: never"
    )

    @model_validator(mode="after")
    def _every_criticality_has_a_value(self) -> Self:
        if missing := sorted(set(_MOST_CRITICAL_FIRST) - set(self.value_of_service)):
            raise ValueError(f"value_of_service: {missing[0]!r} is missing; give a value for low, medium and high")
        return self

    @model_validator(mode="after")
    def _tiers_in_order(self) -> Self:
        if self.medium_confidence >= self.high_confidence:
            raise ValueError(f"medium_confidence {self.medium_confidence} must be below high_confidence {self.high_confidence}")
        return self
