"""A local server that speaks the Compute Engine v1 REST resources that Headroom uses.

The real google-cloud-compute client talks to it over HTTP; product code has one setting, the endpoint. What is modelled and
what is not is said where it is done: who holds what in `capacity`, when things happen in `store` and `operations`, what
becomes of VMs in `vms`.
"""

from __future__ import annotations

from infra.local_cloud.access_log import Access, read_access_log
from infra.local_cloud.seed import Seed, Timing
from infra.local_cloud.server import running_cloud, serve

__all__ = ["Access", "Seed", "Timing", "read_access_log", "running_cloud", "serve"]
