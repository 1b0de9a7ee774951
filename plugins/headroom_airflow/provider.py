"""What Airflow's list of providers says of Headroom; it puts the connection type into the connection form."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """The provider's description, as Airflow's `apache_airflow_provider` entry point asks for it."""
    return {
        "package-name": "headroom",
        "name": "Headroom",
        "description": "Capacity before demand, on Google Cloud.",
        "versions": [version("headroom")],
        "connection-types": [{"connection-type": "headroom_cloud", "hook-class-name": "headroom_airflow.hook.HeadroomCloudHook"}],
    }
