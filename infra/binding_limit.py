"""A limit that binds in a plan, in the owner's words and money."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BindingLimit"]


@dataclass(frozen=True)
class BindingLimit:
    """A limit that binds somewhere in a plan.

    Attributes:
        words: what one more of it saves, for example "one more N2 vCPU quota in europe-west9 saves 3.10 USD/day".
        usd_per_day: the saving. region, quota: where and which (`N2_CPUS`), of a quota; empty for other limits.
    """

    words: str
    usd_per_day: float
    region: str = ""
    quota: str = ""
