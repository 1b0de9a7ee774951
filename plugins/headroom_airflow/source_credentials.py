"""Credentials of a metric source, from the Airflow connection that `capacity.yaml` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from feature_store.sources import Credentials
    from headroom.settings_sources import MetricSource

__all__ = ["source_credentials"]


def source_credentials(source: MetricSource) -> Credentials | None:
    """User and password of the source's connection, or its password as a bearer token when it has no login; None without a connection.

    Raises:
        AirflowNotFoundException: when the connection that the settings name does not exist.
    """
    name = getattr(source, "connection_id", None)
    if name is None:
        return None
    from feature_store.sources import Credentials

    connection = BaseHook.get_connection(name)
    if connection.login:
        return Credentials(username=connection.login, password=connection.password)
    return Credentials(token=connection.password)
