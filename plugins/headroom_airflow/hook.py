"""The hook that opens Google Cloud, or any other Compute Engine API, from an Airflow connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from headroom.runtime import Runtime
    from infra.cloud import Cloud

__all__ = ["HeadroomCloudHook"]


class HeadroomCloudHook(BaseHook):
    """Opens `infra.cloud.Cloud` from a connection, else from the section `cloud` of `capacity.yaml`.

    | field of the connection | meaning | when it is empty |
    |---|---|---|
    | host (with schema and port) | endpoint, for example `http://127.0.0.1:8787` | `HEADROOM_CLOUD_ENDPOINT`, then `cloud.endpoint`, then Google |
    | extra `project` | project id | `cloud.project` |
    | extra `key_path` | path of a service account's key file | the environment's own credentials |
    | password | the key file's JSON itself | `key_path` |

    Args:
        cloud_conn_id: connection id; None takes `cloud.connection_id` of the settings. It need not exist.
    """

    conn_name_attr = "cloud_conn_id"
    default_conn_name = "headroom_cloud"
    conn_type = "headroom_cloud"
    hook_name = "Headroom Cloud"

    def __init__(self, cloud_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cloud_conn_id = cloud_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """How the connection form names its fields."""
        return {
            "hidden_fields": ["login"],
            "relabeling": {"host": "Endpoint", "password": "Service account key (JSON)", "schema": "Scheme"},
            "placeholders": {
                "host": "empty for Google's own; 127.0.0.1 for the local cloud",
                "schema": "http or https",
                "port": "8787",
                "extra": json.dumps({"project": "my-project", "key_path": "/path/to/key.json"}),
            },
        }

    def get_conn(self) -> Cloud:
        """The cloud of this connection.

        Raises:
            SettingsError: when the key cannot be read.
        """
        from headroom.runtime import Runtime

        return self.cloud(Runtime.open())

    def cloud(self, opened: Runtime) -> Cloud:
        """Like `get_conn`, with an installation that is open already."""
        from infra.cloud import Cloud, key_credentials

        section = opened.settings.cloud
        connection = self._connection(self.cloud_conn_id or section.connection_id)
        extra = connection.extra_dejson if connection else {}
        endpoint = _endpoint(connection) or opened.home.cloud_endpoint or section.endpoint
        credentials = key_credentials(path=extra.get("key_path"), text=connection.password if connection else None)
        return Cloud(
            extra.get("project") or section.project,
            endpoint,
            credentials,
            section.operation_timeout_seconds,
            installation=section.installation or "",
        )

    def test_connection(self) -> tuple[bool, str]:
        """Read one region; what the button Test in Airflow's connection form calls."""
        from headroom.errors import HeadroomError
        from headroom.runtime import Runtime

        try:
            opened = Runtime.open()
            cloud = self.cloud(opened)
            region = next(iter(opened.settings.regions))
            quotas = cloud.quotas(region)
        except HeadroomError as error:
            return False, str(error)
        if not quotas:
            return False, f"project {cloud.project}: region {region} has no quotas; check regions in capacity.yaml"
        return True, f"project {cloud.project}: region {region} has {len(quotas)} quotas"

    def _connection(self, name: str) -> Any:
        try:
            return self.get_connection(name)
        except AirflowNotFoundException:
            self.log.info("no connection %s: taking the section cloud of capacity.yaml", name)
            return None


def _endpoint(connection: Any) -> str | None:
    if connection is None or not connection.host:
        return None
    if "://" in connection.host:
        return str(connection.host)
    scheme = connection.schema or "https"
    return f"{scheme}://{connection.host}" + (f":{connection.port}" if connection.port else "")
