"""Google Compute Engine, narrowed to what Headroom uses."""

from infra.cloud.client import Cloud
from infra.cloud.connection import key_credentials
from infra.cloud.operations import Operation
from infra.cloud.owned import Owned
from infra.cloud.states import AttachmentState, GroupState, MachineFailure, MachineShape, ReservationState, StorageState

__all__ = [
    "AttachmentState",
    "Cloud",
    "GroupState",
    "MachineFailure",
    "MachineShape",
    "Operation",
    "Owned",
    "ReservationState",
    "StorageState",
    "key_credentials",
]
