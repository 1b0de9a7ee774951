"""What a region should hold, how it is spread, and what it is called."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_rows import ISSUE, REGION, ZONES, plan_of, settings

from headroom.errors import BadInputError
from infra.ledger_rows import Fact
from infra.names import GROUP_NAME_LENGTH, resource_name
from infra.placement import place
from infra.targets import BANDWIDTH_STEPS, BandwidthTarget, MachineTarget, StorageTarget, bandwidth_step, desired_state

RFC1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SERVICES = st.from_regex(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?(:[a-z0-9-]{1,20})?", fullmatch=True)


def targets(plan: pd.DataFrame, **options: object) -> list:
    return desired_state(settings(**options), plan, issue_time=ISSUE, region=REGION)  # type: ignore[arg-type]


def hot(plan: pd.DataFrame, service: str = "edge", **options: object) -> int:
    return next(t.hot for t in targets(plan, **options) if isinstance(t, MachineTarget) and t.service == service)


@pytest.mark.parametrize(("hour", "counts"), [(0, True), (1, True), (2, False), (5, False)])
def test_capacity_is_there_before_its_hour(hour: int, counts: bool) -> None:
    # Allocated hourly, and four minutes to boot: the hour after the next allocation must be served from now.
    plan = plan_of({"edge": {"instances": 2}}, later={hour: 5})
    assert hot(plan, hold=1) == (10 if counts else 2)


def test_without_lead_time_only_the_hours_until_the_next_allocation_count() -> None:
    plan = plan_of({"batch": {"instances": 2}}, later={1: 5})
    assert hot(plan, "batch", hold=1) == 2


def test_machines_that_are_hot_in_one_hour_serve_the_standby_of_another() -> None:
    plan = plan_of({"edge": {"instances": (2, 6)}})
    first = plan["ds"] == ISSUE
    plan.loc[first, ["hot", "warm"]] = [7, 0]
    (edge,) = targets(plan)
    assert (edge.hot, edge.suspended, edge.stopped) == (7, 1, 0)


def test_machines_that_boot_as_fast_as_they_resume_wait_stopped() -> None:
    (batch,) = targets(plan_of({"batch": {"instances": (0, 4)}}))
    assert (batch.hot, batch.suspended, batch.stopped) == (0, 0, 4)


def test_fractions_are_rounded_up_once() -> None:
    assert hot(plan_of({"edge": {"instances": 2.0000000001}})) == 2
    assert hot(plan_of({"edge": {"instances": 2.01}})) == 3


def test_the_critical_service_comes_first_then_bandwidth_then_storage() -> None:
    found = targets(plan_of({"batch": {"instances": 1, "storage": 5}, "edge": {"instances": 1, "bandwidth": 2.5}}))
    assert [type(t) for t in found] == [MachineTarget, MachineTarget, BandwidthTarget, StorageTarget]
    assert [found[0].service, found[1].service] == ["edge", "batch"]
    assert found[2].step == "BPS_5G"
    assert found[3].gib == 10  # the smallest disk


def test_bandwidth_of_a_region_is_the_largest_sum_of_one_hour() -> None:
    plan = pd.concat([plan_of({"edge": {"bandwidth": 3.0}}, later={0: 2}), plan_of({"batch": {"bandwidth": 1.0}}, later={1: 2})])
    (link,) = targets(plan)
    assert link.gbps == 7


@given(st.floats(0, 500))
def test_a_bandwidth_step_is_the_smallest_that_carries_the_need(gbps: float) -> None:
    sizes = {step: size for size, step in BANDWIDTH_STEPS.items()}
    chosen = sizes[bandwidth_step(gbps)]
    assert chosen >= min(gbps, 400) - 1e-6
    assert all(size < gbps for size in sizes.values() if size < chosen)
    assert len(sizes) == 14


def test_a_storage_pool_is_sold_in_whole_tebibytes() -> None:
    sizes = [next(iter(targets(plan_of({"batch": {"storage": gib}}), storage="storage-pool"))).gib for gib in (5, 10_241)]
    assert sizes == [10_240, 11_264]


def test_a_plan_of_unknown_services_is_refused() -> None:
    plan = plan_of({"edge": {"instances": 1}}).assign(service="unknown")
    with pytest.raises(BadInputError, match="'unknown' is not in the settings"):
        targets(plan)


@given(SERVICES, SERVICES)
def test_names_are_valid_and_different_for_different_services(first: str, second: str) -> None:
    for longest in (63, GROUP_NAME_LENGTH):
        names = [resource_name(service, "c3d-standard-360-lssd", longest=longest) for service in (first, second)]
        assert all(RFC1035.fullmatch(name) and len(name) <= longest for name in names)
        assert (names[0] == names[1]) == (first == second)


@given(st.integers(0, 60), st.integers(0, 40), st.integers(0, 40), st.lists(st.integers(0, 30), min_size=2, max_size=2))
def test_the_search_holds_exactly_what_is_wanted_or_what_there_is(wanted: int, first: int, second: int, stock: list[int]) -> None:
    """Against zones with any stock, from any start: no call asks for what was refused, and it ends at the most that fits."""
    held = {zone: min(count, most) for zone, count, most in zip(ZONES, (first, second), stock, strict=True)}
    refused: dict[str, Fact] = {}
    limits = dict(zip(ZONES, stock, strict=True))
    for _ in range(40):
        chosen = place(wanted, ZONES, held, refused).counts
        changed = [zone for zone in ZONES if chosen[zone] != held[zone]]
        if not changed:
            break
        for zone in changed:
            assert zone not in refused or chosen[zone] < refused[zone].asked
            if chosen[zone] <= limits[zone]:
                held[zone] = chosen[zone]
            else:
                refused[zone] = Fact(REGION, zone, "edge", "r", "reservation", "ZONE_RESOURCE_POOL_EXHAUSTED", "", asked=chosen[zone])
    assert sum(held.values()) == min(wanted, sum(stock))


def test_what_is_in_use_is_not_released() -> None:
    assert place(4, ZONES, {ZONES[0]: 5, ZONES[1]: 5}, {}, {ZONES[0]: 1, ZONES[1]: 3}).counts == {ZONES[0]: 1, ZONES[1]: 3}
