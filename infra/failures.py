"""The chance that a machine of a type does not resume, cannot be bought, or is lost on spot, per region: by the settings, and by late stockouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from headroom.errors import BadInputError
from headroom.settings import Settings
from infra.prices import list_prices

__all__ = ["KINDS", "Kind", "Scarce", "check_failures", "failure"]

Kind: TypeAlias = Literal["resume", "purchase", "spot"]
KINDS: Final[tuple[Kind, ...]] = ("resume", "purchase", "spot")
# (region, machine type) -> share of the region's zones that lately had no stock of it (`infra.stockouts.scarce_types`).
Scarce: TypeAlias = Mapping[tuple[str, str], float]


def failure(settings: Settings, region: str, machine_type: str, kind: Kind, scarce: Scarce) -> float:
    """The chance, 0 to 1: the region's for the type, else the policy's; never less than the share of zones that lately had no stock of it."""
    given = settings.regions[region].failures.get(machine_type)
    own = getattr(given, kind) if given is not None else None
    usual: float = getattr(settings.policy, f"{kind}_failure")
    return max(usual if own is None else own, scarce.get((region, machine_type), 0.0))


def check_failures(settings: Settings) -> None:
    """Raises `BadInputError` for a machine type in `regions.<region>.failures` that is not in the price list, by name."""
    for region, asked in settings.regions.items():
        for name in asked.failures:
            try:
                list_prices().machine_type(name)
            except BadInputError as error:
                raise BadInputError(f"regions.{region}.failures: {error}") from error
