"""The names and units that code, tables, DAGs and pages share.

A *series* is one `(region, service, resource)`; its id is `region/service/resource`. A *forecast* holds the
quantiles of `QUANTILES`, one column each, named as in `QUANTILE_COLUMNS`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pandas as pd

from headroom.errors import BadInputError

__all__ = [
    "HORIZON_BUCKETS",
    "HORIZON_HOURS",
    "LOAD_RESOURCES",
    "MEDIAN",
    "QUANTILES",
    "QUANTILE_COLUMNS",
    "SHORT_STEP_MINUTES",
    "SIGNALS",
    "UNITS",
    "SeriesId",
    "horizon_bucket",
    "split_series_ids",
]

HORIZON_HOURS: Final = 72
# Step of the forecasts and decisions between two plans.
SHORT_STEP_MINUTES: Final = 5
QUANTILES: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
QUANTILE_COLUMNS: Final = tuple(str(q) for q in QUANTILES)
MEDIAN: Final = "0.5"

# Horizon buckets that calibration and error reports share: (first hour, last hour), both inclusive.
HORIZON_BUCKETS: Final = {"1-6": (1, 6), "7-24": (7, 24), "25-72": (25, 72)}

# Canonical unit of every resource. Sources may speak other units; ingestion converts.
UNITS: Final = {
    "cpu": "vCPU",
    "memory": "GiB",
    "storage": "GiB",
    "bandwidth": "Gbit/s",
    "requests": "1/s",
    "latency": "ms",
    "errors": "1",
}
LOAD_RESOURCES: Final = ("requests",)
# What says how a service does: measured and kept like demand, never forecast nor planned for.
SIGNALS: Final = ("errors", "latency")


class SeriesId(NamedTuple):
    """Identity of one series. `str()` gives the `unique_id` of long frames."""

    region: str
    service: str
    resource: str

    def __str__(self) -> str:
        return "/".join(self)

    @classmethod
    def parse(cls, unique_id: str) -> SeriesId:
        """Read `region/service/resource`.

        Raises:
            BadInputError: when there are not exactly three non-empty parts.
        """
        parts = unique_id.split("/")
        if len(parts) != len(cls._fields) or not all(parts):
            raise BadInputError(f"series id {unique_id!r}: expected region/service/resource, for example europe-west9/edge/cpu")
        return cls(*parts)


def split_series_ids(unique_id: pd.Series[str]) -> pd.DataFrame:
    """Columns `region, service, resource` of a column of series ids, on the same index."""
    parts = unique_id.astype(str).str.split("/", n=2, expand=True)
    parts.columns = pd.Index(SeriesId._fields)
    return parts


def horizon_bucket(horizon: pd.Series[int]) -> pd.Series[str]:
    """The bucket name of each horizon in hours; what lies beyond 72 counts to the last one."""
    edges = [0, *(last for _, last in list(HORIZON_BUCKETS.values())[:-1]), float("inf")]
    return pd.cut(horizon, bins=edges, labels=list(HORIZON_BUCKETS)).astype(str)
