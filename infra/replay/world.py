"""The world of a replay: what machines cost, how long they take, how surely they are there, and what unserved demand loses.

A small YAML file says what differs from the defaults, for example

    machine_type: n2-standard-8
    region: europe-west9
    units_per_machine: 1200        # of y; or a mapping unique_id -> number
    boot_minutes: 5
    value_usd_per_machine_hour: 20
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import pandas as pd
import yaml
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from headroom.errors import BadInputError
from headroom.settings_services import NotNegative, Positive, Share, Strict
from headroom.strict_yaml import read_yaml
from infra.prices import list_prices

__all__ = ["Terms", "World", "read_world", "terms_of"]


class World(Strict):
    """Prices, lead times and chances; every field has a default, and a price that is not given is the list price of the machine type."""

    machine_type: str = Field(default="n2-standard-8", description="whose list prices count where none is given")
    region: str = Field(default="us-central1", description="whose list prices count where none is given")
    units_per_machine: Positive | dict[str, Positive] | None = Field(
        default=None, description="units of y that one machine serves; default: machines_at_peak machines serve the history's peak"
    )
    machines_at_peak: Positive = Field(default=20, description="machines for the highest demand known at the start, per series")
    minimum_machines: Annotated[int, Field(ge=0)] = Field(default=1, description="never fewer hot, per series")
    hot_usd_per_hour: Positive | None = Field(default=None, description="a running machine; an unused reservation costs the same")
    warm_usd_per_hour: NotNegative | None = Field(
        default=None, description="a suspended machine; its running hours cost the hot price beside"
    )
    cold_usd_per_hour: Positive | None = Field(default=None, description="a machine bought when it is needed; default the hot price")
    start_usd: NotNegative | None = Field(default=None, description="a start of a machine; default the boot minutes at the hot price")
    boot_minutes: NotNegative = Field(default=5, description="from the order until the machine serves")
    resume_minutes: NotNegative = Field(default=2, description="from the resume of a suspended machine until it serves")
    no_stock_warm: Share = Field(default=0.01, description="chance that a resume finds no stock")
    no_stock_cold: Share = Field(default=0.02, description="chance that a purchase finds no stock")
    warm: bool = Field(default=True, description="whether machines can be held suspended")
    cold: bool = Field(default=True, description="whether machines can be bought when demand is there")
    value_usd_per_machine_hour: Positive | None = Field(
        default=None, description="what is lost when the load of one machine goes unserved for an hour; default 50 times the hot price"
    )
    violated_share: Share = Field(default=0.001, description="an hour with more of its demand unserved violates the service level")
    stock_machines: Positive | None = Field(default=None, description="machines of all series together, hot and warm; default no limit")
    budget_usd_per_day: Positive | None = Field(
        default=None, description="what all series together may cost in a UTC day; default no limit"
    )
    stock_out_hours: Positive = Field(default=3, description="how long a stock-out lasts, when the replay plays them")
    stock_out_seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of the stock-outs")


_VALUE_TIMES = 50.0


@dataclass(frozen=True)
class Terms:
    """The world per step of a replay.

    Attributes:
        step_hours: length of a step.
        lead: steps from an order until the machine serves, at least 1: what is ordered at a step's start serves from the next on.
        warm_lead: the same for a standby machine, which must have booted once.
        hot, warm, cold: USD per machine and hour; warm while suspended, a resumed machine costs `hot` beside.
        start: USD per machine that is booted.
        standby: whether machines can be held suspended.
        warm_loss, cold_loss: share of a step's work that is lost when a machine is resumed or bought in it.
        value: USD per machine-hour of demand that is not served.
        minimum: machines hot, per series.
        violated_share: unserved share above which a step violates the service level.
        stock: machines of all series together; inf without a limit.
        budget: USD per UTC day for everything that machines cost, of all series together; inf without a limit.
    """

    step_hours: float
    lead: int
    warm_lead: int
    hot: float
    warm: float
    cold: float
    start: float
    standby: bool
    warm_loss: float
    cold_loss: float
    value: float
    minimum: int
    violated_share: float
    stock: float = math.inf
    budget: float = math.inf

    @property
    def shared(self) -> bool:
        """Whether series share machines, so that they must be planned together."""
        return math.isfinite(self.stock)


def read_world(path: Path | None) -> World:
    """The world of a YAML file, or the default one.

    Raises:
        BadInputError: naming the field and what is wrong with it.
    """
    if path is None:
        return World()
    if not path.is_file():
        raise BadInputError(f"--world {path}: there is no such file; leave it out for the default world")
    try:
        told = read_yaml(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise BadInputError(f"--world {path}: not valid YAML: {error}") from error
    if not isinstance(told, dict):
        raise BadInputError(f"--world {path}: expected a mapping of settings, for example boot_minutes: 5")
    try:
        return World.model_validate(told)
    except ValidationError as error:
        raise BadInputError(f"--world {path}: {_problem(error.errors())}") from error


def terms_of(world: World, step: pd.Timedelta) -> Terms:
    """What the world means at this step.

    A machine that boots in 5 minutes loses a twelfth of an hourly step, and all of a 5-minute one: cold machines serve nothing there.

    Raises:
        BadInputError: when the price list lacks the machine type or the region.
    """
    prices, minutes = list_prices(), step / pd.Timedelta(minutes=1)
    hot = world.hot_usd_per_hour or prices.hot_usd_per_hour(world.machine_type, world.region)
    listed = world.warm_usd_per_hour
    warm = prices.warm_usd_per_hour(world.machine_type, world.region) if listed is None else listed
    start = hot * world.boot_minutes / 60 if world.start_usd is None else world.start_usd
    cold_loss = _lost(world.boot_minutes / minutes, world.no_stock_cold) if world.cold else 1.0
    warm_loss = _lost(world.resume_minutes / minutes, world.no_stock_warm)
    return Terms(
        step_hours=minutes / 60,
        lead=max(1, math.ceil(world.boot_minutes / minutes)),
        warm_lead=max(1, math.ceil((world.boot_minutes + world.resume_minutes) / minutes)),
        hot=hot,
        warm=warm,
        cold=world.cold_usd_per_hour or hot,
        start=start,
        standby=world.warm,
        warm_loss=min(warm_loss, cold_loss),
        cold_loss=cold_loss,
        value=world.value_usd_per_machine_hour or _VALUE_TIMES * hot,
        minimum=world.minimum_machines,
        violated_share=world.violated_share,
        stock=world.stock_machines or math.inf,
        budget=world.budget_usd_per_day or math.inf,
    )


def _problem(errors: list[ErrorDetails]) -> str:
    """The first field that is wrong, in words; of a field that may be of several kinds, what is wrong with the kind that it is."""
    first = errors[0]["loc"][0]
    name, of_field = str(first), max((error for error in errors if error["loc"][0] == first), key=lambda error: len(error["loc"]))
    if of_field["type"] == "extra_forbidden":
        close = get_close_matches(name, World.model_fields, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{name}: unknown field{hint} (fields are {', '.join(World.model_fields)})"
    # Behind the field pydantic names the kind, then the key in a mapping.
    field, message = ".".join([name, *(str(part) for part in of_field["loc"][2:])]), of_field["msg"]
    return f"{field}: {of_field['input']!r}: {message[0].lower()}{message[1:]}"


def _lost(share: float, no_stock: float) -> float:
    """Expected share of the step that is lost: all of it without stock."""
    return min(1.0, no_stock + (1 - no_stock) * min(1.0, share))
