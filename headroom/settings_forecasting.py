"""Forecasting: the part of `capacity.yaml` that says how forecasts are tuned and summed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headroom.settings_services import Strict

__all__ = ["Forecasting"]


class Forecasting(Strict):
    """What forecasts may do by themselves."""

    tuning: Literal["learn", "frozen"] = Field(
        default="learn",
        description="learn: trainings try parameters and keep what pays; frozen: what is expected to be best, nothing tried",
    )
    totals: bool = Field(default=False, description="publish forecasts of services, regions and everything beside those of the series")
