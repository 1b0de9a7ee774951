"""The window that is judged, and the series that are expected in it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from feature_store.units import conversion_factor
from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.settings_sources import MetricSource

__all__ = ["Window", "wanted_metrics"]


@dataclass(frozen=True)
class Window:
    """One window of one source, judged at an issue time.

    Attributes:
        settings: the whole of capacity.yaml.
        source: the source that was asked.
        start, end: half-open range that was asked for, UTC.
        issue_time: nothing after it can be true.
    """

    settings: Settings
    source: MetricSource
    start: pd.Timestamp
    end: pd.Timestamp
    issue_time: pd.Timestamp

    def __str__(self) -> str:
        return f"source {self.source.name}, window {self.start:%Y-%m-%dT%H:%MZ} .. {self.end:%Y-%m-%dT%H:%MZ}"

    @property
    def frequency(self) -> str:
        """The step, as pandas names it."""
        return f"{self.source.step_minutes}min"

    @property
    def step(self) -> pd.Timedelta:
        return pd.Timedelta(minutes=self.source.step_minutes)

    @property
    def delay(self) -> pd.Timedelta:
        """How long after its step a row is published."""
        return pd.Timedelta(minutes=self.source.delay_minutes)

    @property
    def known_until(self) -> pd.Timestamp:
        """The end of the last step that the source must have published by the issue time; at least `start`."""
        return max(self.start, min(self.end, (self.issue_time - self.delay).floor(self.frequency)))


def wanted_metrics(settings: Settings, source: MetricSource) -> pd.DataFrame:
    """Which metric of the source feeds which resource or signal of a service: one row per `service, metric, resource`.

    `factor` converts the metric's unit to the resource's canonical one and is NaN when the unit does not measure it.
    """
    rows = [
        (name, metric, resource, source.metrics[metric].unit, _factor(source.metrics[metric].unit, resource))
        for name, service in settings.services.items()
        for resource, metric in service.measured.items()
        if metric in source.metrics
    ]
    frame = pd.DataFrame(rows, columns=["service", "metric", "resource", "unit", "factor"])
    return frame.astype({"factor": "float64"})


def _factor(unit: str, resource: str) -> float:
    try:
        return conversion_factor(unit, resource)
    except BadInputError:
        return float("nan")  # the rule unknown_unit reports it with the rows that it costs
