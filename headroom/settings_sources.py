"""Metric sources and calendars: the part of `capacity.yaml` that says where facts come from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from headroom.settings_services import NotNegative, Positive, Strict

__all__ = [
    "EventSource",
    "FeedRule",
    "FeedSource",
    "FileSource",
    "HolidaySource",
    "ICalSource",
    "Metric",
    "MetricSource",
    "PrometheusSource",
    "TableSource",
    "WeatherSource",
]


class Metric(Strict):
    """One metric of a source and the bounds of a believable value."""

    unit: str = Field(description="unit that the source speaks, for example vCPU, GiB, By/s, Gbit/s, 1/s")
    query: str | None = Field(default=None, description="PromQL that yields labels `region` and `service`")
    maximum: Positive | None = Field(default=None, description="a value above it is impossible")


class _Measured(Strict):
    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$", description="appears in the lake and in findings")
    metrics: dict[str, Metric] = Field(min_length=1)
    step_minutes: Annotated[int, Field(ge=1, le=60)] = Field(default=5, description="distance between rows")
    delay_minutes: NotNegative = Field(default=0, description="a row is known this long after its step ends")
    required: bool = Field(default=True, description="when true a window without one good row fails the run")

    @model_validator(mode="after")
    def _step_divides_the_hour(self) -> Self:
        if 60 % self.step_minutes:
            raise ValueError(f"step_minutes: {self.step_minutes} does not divide an hour; use 1, 5, 10, 15, 30 or 60")
        return self


class FileSource(_Measured):
    """Rows `timestamp, region, service, metric, value` in CSV or Parquet."""

    kind: Literal["file"] = "file"
    path: str = Field(description="file; relative to the folder of capacity.yaml")


class PrometheusSource(_Measured):
    """A Prometheus server, or Cloud Monitoring through its Prometheus-compatible address."""

    kind: Literal["prometheus"] = "prometheus"
    url: str = Field(pattern=r"^https?://", description="address before /api/v1")
    connection_id: str | None = Field(default=None, description="Airflow connection with user and password or bearer token")
    google_auth: bool = Field(default=False, description="use Google credentials of the environment (Cloud Monitoring)")
    chunk_hours: Positive = Field(default=24, description="longest range of one query")
    timeout_seconds: Positive = 30

    @model_validator(mode="after")
    def _every_metric_has_a_query(self) -> Self:
        missing = [name for name, metric in self.metrics.items() if metric.query is None]
        if missing:
            raise ValueError(f"metrics.{missing[0]}.query: missing; a prometheus source needs one PromQL per metric")
        return self


MetricSource = Annotated[FileSource | PrometheusSource, Field(discriminator="kind")]


class _Calendar(Strict):
    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    announced_days: NotNegative | None = Field(
        default=None,
        description="an event without its own time of announcement counts as known this long before its start; default: when ingested",
    )


class ICalSource(_Calendar):
    """An iCalendar file or address."""

    kind: Literal["ical"] = "ical"
    location: str = Field(description="path relative to capacity.yaml, or https address")
    event_kind: str = Field(default="event", description="kind of events without a CATEGORIES line")
    region: str | None = None
    service: str | None = None


class TableSource(_Calendar):
    """CSV or Parquet with columns start, end, kind, title, and optionally region, service, strength, known_at."""

    kind: Literal["table"] = "table"
    path: str


class HolidaySource(_Calendar):
    """Public holidays of every region that names a country."""

    kind: Literal["holidays"] = "holidays"


class FeedRule(Strict):
    """An entry whose title or summary contains one of `keywords` becomes an event."""

    keywords: list[str] = Field(min_length=1)
    event_kind: str
    region: str | None = None
    service: str | None = None
    strength: Positive = 1.0
    hours: Positive = Field(default=24, description="how long the event lasts after the entry was published")


class FeedSource(_Calendar):
    """A news or status feed (RSS or Atom)."""

    kind: Literal["feed"] = "feed"
    location: str
    rules: list[FeedRule] = Field(min_length=1)


class WeatherSource(_Calendar):
    """Hourly weather as JSON: `{"hourly": {"time": [...], "<variable>": [...]}}`, as Open-Meteo and others serve it."""

    kind: Literal["weather"] = "weather"
    locations: dict[str, str] = Field(min_length=1, description="region -> path or https address")
    variables: list[str] = Field(default=["temperature_2m"], min_length=1)


EventSource = Annotated[
    ICalSource | TableSource | HolidaySource | FeedSource | WeatherSource,
    Field(discriminator="kind"),
]
