"""Registers Headroom with Airflow. It is the only module here that Airflow may import by file name (see .airflowignore)."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class HeadroomPlugin(AirflowPlugin):
    """Names the plugin in Airflow's list; hooks and operators are imported from `headroom_airflow`."""

    name = "headroom"
