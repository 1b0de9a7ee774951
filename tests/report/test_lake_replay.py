"""The replay of an installation: its own demand, services and prices, what was known then, and the same again on a second run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.lake_replay import LakeReplay, _world, replay_lake
from headroom.runtime import Runtime
from infra.prices import list_prices
from infra.replay.world import World
from tests.models.small_world import CAPACITY, HOUR, ISSUE, Installation, demand, event, store

# Regions that machines have a price in.
REAL = CAPACITY.replace("paris", "europe-west9").replace("tokyo", "asia-east1")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    world = Installation(tmp_path_factory.mktemp("replayed"), REAL)
    for name in world.series:
        store(world.lake, demand(name, ISSUE - 40 * 24 * HOUR, 40 * 24))
    event(world.lake, "final", ISSUE - 30 * HOUR, 2, known=ISSUE - 90 * HOUR)
    return Runtime(home=world.home, settings=world.settings, lake=world.lake)


def _replay(opened: Runtime, *policies: str) -> LakeReplay:
    return replay_lake(opened, issue_time=ISSUE, days=1, policies=policies)


def test_services_are_replayed_in_machines_of_one_type_at_their_own_cost(opened: Runtime) -> None:
    made = _replay(opened, "reactive", "static")
    assert made.series == 3
    assert set(made.cost_over_clairvoyant) == {"reactive", "static", "clairvoyant"}
    assert made.cost_over_clairvoyant["static"] > 1
    steps = pd.read_parquet(made.folder / "steps.parquet")
    edge = steps[(steps["unique_id"] == "europe-west9/edge/cpu") & (steps["policy"] == "static")]
    # n2-standard-8 is the most frequent type: 8 vCPU x 0.5 each.
    measured = demand("europe-west9/edge/cpu", ISSUE - 40 * 24 * HOUR, 40 * 24)["y"].to_numpy()[-24:]
    assert edge.sort_values("ds")["demand"].to_numpy() == pytest.approx(measured / 4, rel=1e-6)


def test_the_page_and_the_figures_are_the_same_again(opened: Runtime) -> None:
    first = _replay(opened, "reactive", "static")
    told = (first.folder / "replay.json").read_text()
    assert (first.folder / "replay.html").stat().st_size > 10_000
    (first.folder / "left-over").touch()
    assert (_replay(opened, "reactive", "static").folder / "replay.json").read_text() == told
    assert not (first.folder / "left-over").exists()
    assert json.dumps(first.facts())


def test_policies_that_follow_forecasts_get_those_of_then(opened: Runtime) -> None:
    made = _replay(opened, "newsvendor", "static")
    assert made.cost_over_clairvoyant["newsvendor"] < made.cost_over_clairvoyant["static"]


def test_an_empty_lake_is_refused_with_the_remedy(tmp_path: Path) -> None:
    world = Installation(tmp_path / "empty", REAL)
    with pytest.raises(BadInputError, match="run ingest_metrics"):
        _replay(Runtime(home=world.home, settings=world.settings, lake=world.lake), "static")


def test_the_world_has_what_most_services_have(opened: Runtime) -> None:
    plain = _with(opened)
    assert (plain.warm_usd_per_hour, plain.cold_usd_per_hour) == (None, None)
    stopped = _with(opened, standby="stopped")
    assert stopped.warm_usd_per_hour == 0
    assert stopped.resume_minutes == stopped.boot_minutes, "what is stopped boots"
    # Without a chance to be refused, spot is cheaper than on demand by its price.
    spot = _with(opened, {"spot_failure": 0.04}, spot=True)
    assert spot.cold_usd_per_hour == pytest.approx(list_prices().spot_usd_per_hour(plain.machine_type, plain.region))
    assert spot.no_stock_cold == 0.04
    risky = _with(opened, {"spot_failure": 0.9}, spot=True)
    assert (risky.cold_usd_per_hour, risky.no_stock_cold) == (None, opened.settings.policy.purchase_failure)


def _with(opened: Runtime, policy: dict[str, float] | None = None, **capacity: object) -> World:
    """The world of the settings with other capacities of all services."""
    services = {
        name: service.model_copy(update={"capacity": service.capacity.model_copy(update=capacity)})
        for name, service in opened.settings.services.items()
    }
    changed = {"services": services, "policy": opened.settings.policy.model_copy(update=policy or {})}
    return _world(opened.settings.model_copy(update=changed), {})
