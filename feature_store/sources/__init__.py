"""Metric sources behind one interface: the raw rows of a window."""

from __future__ import annotations

from pathlib import Path

from feature_store.sources.credentials import Credentials
from feature_store.sources.file import FileRows
from feature_store.sources.prometheus import PrometheusRows
from feature_store.sources.raw import RAW_COLUMNS, MetricRows
from headroom.settings_sources import FileSource, MetricSource

__all__ = ["RAW_COLUMNS", "Credentials", "MetricRows", "open_source"]


def open_source(source: MetricSource, base: Path, *, credentials: Credentials | None = None) -> MetricRows:
    """The reader of one source of `capacity.yaml`; nothing is opened or asked before `rows`.

    Args:
        source: a source of `settings.metrics`.
        base: folder of capacity.yaml, which relative paths start from.
        credentials: for a server that asks for them.

    Raises:
        BadInputError: when the credentials would be sent in the clear.
    """
    if isinstance(source, FileSource):
        return FileRows(source, base)
    return PrometheusRows(source, credentials or Credentials())
