"""Regions and the cloud: the part of `capacity.yaml` that says where capacity is, and what may be had there."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from headroom.settings_services import NotNegative, Positive, Share, Strict

__all__ = ["Cloud", "Failures", "Interconnect", "Region", "RegionName"]

# As names of services: they go into series ids and into Google Cloud resource names.
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
InstallationName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")]


class Interconnect(Strict):
    """The dedicated attachment whose bandwidth follows the plan, one per region."""

    attachment: str = Field(description="name of the InterconnectAttachment (type DEDICATED)")
    minimum_gbps: Positive = Field(default=0.05, description="never set below this step")


class Failures(Strict):
    """How often a region lacks machines of a type, in place of what the policy says for all."""

    resume: Share | None = Field(default=None, description="default policy.resume_failure")
    purchase: Share | None = Field(default=None, description="default policy.purchase_failure")
    spot: Share | None = Field(default=None, description="default policy.spot_failure")


class Region(Strict):
    """One Google Cloud region."""

    zones: list[str] = Field(min_length=1, description="zones to use, in order of preference")
    quotas: dict[str, NotNegative] = Field(min_length=1, description="quota metric -> limit, for example N2_CPUS: 400")
    timezone: str = Field(default="UTC", description="IANA name; calendar features use local time")
    holidays: str | None = Field(default=None, description="country code for public holidays, for example FR")
    peers: list[str] = Field(default=[], description="regions that it may borrow capacity from")
    links: dict[str, NotNegative] = Field(
        default={}, description="peer -> Gbit/s that machines leased from it may send at most, all services together; none: no limit"
    )
    lends_vcpus: NotNegative = Field(default=0, description="vCPU that it lends at most to the regions that name it as a peer")
    failures: dict[str, Failures] = Field(default={}, description="machine type -> chances of finding no stock of it here")
    interconnect: Interconnect | None = None

    @model_validator(mode="after")
    def _time_zone_exists(self) -> Self:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"timezone: {self.timezone!r} is not an IANA time zone, for example Europe/Paris") from error
        return self


class Cloud(Strict):
    """Which project, and where its API answers."""

    project: str = Field(min_length=1, description="Google Cloud project id")
    endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="another Compute Engine API, such as the local cloud; default Google's"
    )
    connection_id: str = Field(default="headroom_cloud", description="Airflow connection that may hold endpoint and key file")
    installation: InstallationName | None = Field(
        default=None, description="name of this installation, when several work in the project; it stays with what was made under it"
    )
    operation_timeout_seconds: Positive = 600
