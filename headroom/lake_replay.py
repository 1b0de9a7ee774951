"""The replay of an installation's own past weeks: its demand, services and prices, from the lake."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from headroom.demand import hourly_demand, known_events
from headroom.errors import BadInputError
from headroom.runtime import Runtime
from headroom.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from infra.failures import Kind
    from infra.replay.world import World

__all__ = ["LakeReplay", "replay_lake"]

_HISTORY: Final = pd.Timedelta(days=56)
_HOUR: Final = pd.Timedelta(hours=1)
# Far enough for a plan of twelve hours, whatever the lead time.
_HORIZON: Final = 24
_DEFAULT: Final = ("optimal", "newsvendor", "tiered", "reactive", "static")


@dataclass(frozen=True)
class LakeReplay:
    """What a replay of the lake wrote and found.

    Attributes:
        folder: replay.json, steps.parquet, replay.html.
        series: services in a region that were replayed, each by its compute resource that takes most machines.
        cost_over_clairvoyant, unmet_volume: policy -> figure.
    """

    folder: Path
    start: pd.Timestamp
    end: pd.Timestamp
    series: int
    cost_over_clairvoyant: dict[str, float]
    unmet_volume: dict[str, float]

    def facts(self) -> dict[str, Any]:
        """JSON-ready figures."""
        rounded = {name: round(value, 4) for name, value in self.cost_over_clairvoyant.items()}
        unmet = {name: round(value, 6) for name, value in self.unmet_volume.items()}
        return {"folder": str(self.folder), "series": self.series, "cost_over_clairvoyant": rounded, "unmet_volume": unmet}


def replay_lake(
    opened: Runtime, *, issue_time: pd.Timestamp, days: int = 7, policies: Sequence[str] = _DEFAULT, frontier: bool = False
) -> LakeReplay:
    """Walk the `days` before `issue_time` hour by hour with what was known then, and write the page to `<home>/replay/<issue time>`.

    Services have machines of several types and prices; here a machine is one of the most frequent type, and every series takes as many
    of them as its own machines cost. All series have one world: lead times and chances are the median of the services, standby is stopped
    where that of most of them is, and what is bought is on spot where most of them may and it costs less with what it loses. A repetition
    writes the same.

    Raises:
        BadInputError: an unknown policy, or demand that does not reach back far enough.
    """
    from headroom.replay_report import write_replay
    from infra.replay.forecasts import issued_from
    from infra.replay.policies import needs_forecasts
    from infra.replay.run import replay
    from infra.replay.scene import scene_of
    from infra.replay.world import terms_of
    from models.issued_forecasts import issue_forecasts
    from models.long_frame import LongFrame

    settings, names = opened.settings, list(policies)
    needed = needs_forecasts(names)
    start = issue_time - pd.Timedelta(days=days)
    rows, sizes = _demand(opened, start - _HISTORY, issue_time)
    world = _world(settings, sizes)
    first, last = (moment.tz_localize(None) for moment in (start, issue_time))
    scene = scene_of(rows, _HOUR, first, last, world)
    issued = None
    if needed:
        events = _events(opened, start - _HISTORY, issue_time)
        made = issue_forecasts(LongFrame(rows, _HOUR), list(scene.times), _HORIZON, events=events)
        issued = issued_from(scene, made.series, made.issue_times, made.values)
    result = replay(scene, terms_of(world, _HOUR), issued, names, frontier=frontier)
    folder = opened.home.root / "replay" / f"{issue_time:%Y-%m-%dT%H}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_replay(result, folder)
    return LakeReplay(
        folder=folder,
        start=start,
        end=issue_time,
        series=len(scene.series),
        cost_over_clairvoyant={name: told.cost_over_clairvoyant for name, told in result.measured.items()},
        unmet_volume={name: told.unmet_volume for name, told in result.measured.items()},
    )


def _demand(opened: Runtime, start: pd.Timestamp, end: pd.Timestamp) -> tuple[pd.DataFrame, dict[str, float]]:
    """(hourly `unique_id, ds, y`, one series per service and region, UTC without a zone; units of y that a machine of the world carries)."""
    from infra.capacity_need import COMPUTE, demand_per_instance
    from infra.prices import list_prices

    settings, prices = opened.settings, list_prices()
    reference = _machine_type(settings)
    carried: dict[str, float] = {}
    for series in settings.series:
        if series.resource in COMPUTE:
            capacity = settings.services[series.service].capacity
            own, other = (prices.hot_usd_per_hour(name, series.region) for name in (capacity.machine_type, reference))
            carried[str(series)] = demand_per_instance(capacity, series.resource) * other / own
    rows = hourly_demand(opened.lake, settings, start=start, end=end, as_of=end, series=sorted(carried))
    if rows.empty:
        raise BadInputError(
            f"replay: no demand between {start.isoformat()} and {end.isoformat()}; run ingest_metrics for these hours first"
        )
    peak = rows.groupby("unique_id")["y"].max() / pd.Series(carried)
    of = pd.Series({name: name.rpartition("/")[0] for name in peak.dropna().index})
    chosen = peak.dropna().groupby(of).idxmax().tolist()
    kept = rows[rows["unique_id"].isin(chosen)]
    plain = kept.assign(ds=kept["ds"].dt.tz_localize(None).astype("datetime64[us]")).sort_values(["unique_id", "ds"], ignore_index=True)
    return plain, {name: carried[name] for name in chosen}


def _world(settings: Settings, sizes: dict[str, float]) -> World:
    from infra.policies.value import value_multiple
    from infra.prices import list_prices
    from infra.replay.world import World
    from infra.standby import standby_minutes, standby_state

    capacities = [service.capacity for service in settings.services.values()]
    machine_type, region = _machine_type(settings), min(settings.regions)
    hot = list_prices().hot_usd_per_hour(machine_type, region)
    value = hot * median(value_multiple(settings.policy, service) for service in settings.services.values())
    stopped = [standby_state(settings, name, service.capacity.machine_type) == "stopped" for name, service in settings.services.items()]
    spot = list_prices().spot_usd_per_hour(machine_type, region)
    bought, lost = _chance(settings, "purchase"), _chance(settings, "spot")
    # The rule of `infra.policies.late_service`; both boot, and lose that part alike.
    on_spot = _mostly([capacity.spot for capacity in capacities]) and spot + lost * value < hot + bought * value
    return World(
        machine_type=machine_type,
        region=region,
        units_per_machine=sizes,
        minimum_machines=min(capacity.minimum_instances for capacity in capacities),
        boot_minutes=median(capacity.boot_minutes for capacity in capacities),
        resume_minutes=median(
            standby_minutes(settings, name, service.capacity.machine_type) for name, service in settings.services.items()
        ),
        warm_usd_per_hour=0.0 if _mostly(stopped) else None,
        no_stock_warm=_chance(settings, "resume"),
        cold_usd_per_hour=spot if on_spot else None,
        no_stock_cold=lost if on_spot else bought,
        value_usd_per_machine_hour=value,
    )


def _mostly(told: Sequence[bool]) -> bool:
    return 2 * sum(told) > len(told)


def _chance(settings: Settings, kind: Kind) -> float:
    """The median of the services in their regions."""
    from infra.failures import failure

    return median(
        failure(settings, region, service.capacity.machine_type, kind, {})
        for service in settings.services.values()
        for region in service.regions
    )


def _machine_type(settings: Settings) -> str:
    types = [service.capacity.machine_type for service in settings.services.values() for _ in service.regions]
    return max(sorted(set(types)), key=types.count)


def _events(opened: Runtime, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Happenings as `models.drivers.read_events` gives them; readings (weather) are left out."""
    from models.drivers import EVENT_COLUMNS

    known = known_events(opened.lake, start=start, end=end + pd.Timedelta(days=1), as_of=end)
    known = known[known["value"].isna()]
    times = {name: known[name].dt.tz_localize(None).astype("datetime64[us]") for name in ("start", "end", "available_at")}
    told = known.assign(**times, unique_id="").rename(columns={"available_at": "known_at"})
    return told[list(EVENT_COLUMNS)].sort_values(["start", "end", "kind", "title"], kind="stable", ignore_index=True)
