"""What a plan's line says of its need, its boosts and its standby."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from headroom.settings import Settings
from infra.capacity_need import INSTANCES
from infra.standby import standby_state

if TYPE_CHECKING:
    from infra.boosts import Boost

__all__ = ["boost_words", "need_words", "standby_words"]


def boost_words(rows: pd.DataFrame, boosts: Sequence[Boost]) -> pd.Series[str]:
    """Words for the rows whose hour is boosted, empty for the others."""
    words = pd.Series("", index=rows.index)
    for boost in boosts:
        during = (rows["service"] == boost.service) & (rows["ds"] < boost.end) & (rows["ds"] + pd.Timedelta("1h") > boost.start)
        words = words.mask(during & (words == ""), f"; boosted until {boost.end:%Y-%m-%d %H:%M}: {boost.why}")
    return words


def need_words(need: pd.DataFrame) -> pd.Series[str]:
    """The need in words: the demand that binds, and what it takes."""
    demand = "; q" + need["quantile"].map("{:.3g}".format) + " need " + need["demand"].map(_short) + " " + need["demand_unit"]
    machines = need["needed"].map("{:.0f} x ".format) + need["machine_type"]
    amounts = need["needed"].map("{:g} ".format) + need["unit"]
    return demand + " -> " + machines.where(need["resource"] == INSTANCES, amounts)


def standby_words(settings: Settings, plan: pd.DataFrame) -> pd.Series[str]:
    """Words for the rows with standby machines: how they wait."""
    kinds = plan[["service", "machine_type"]]
    held = kinds[plan["warm"] > 0].drop_duplicates().itertuples(index=False, name=None)
    words = {kind: f"; standby {standby_state(settings, *kind)}" for kind in held}
    of_row = pd.Series(pd.MultiIndex.from_frame(kinds).map(words), index=plan.index, dtype=object)
    return of_row.where(plan["warm"] > 0, "")


def _short(value: float) -> str:
    """Three digits, or all of a larger whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
