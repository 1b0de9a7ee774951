"""Several machine types of one service in the local cloud: held side by side, one for another in a stockout, released again."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from cloud_world import World, world
from plan_rows import ISSUE, REGION, ZONES, plan_of, settings_text

from headroom.errors import BadInputError
from headroom.settings import Settings, parse_settings
from infra.adoptions import adopt
from infra.drift import find_drift
from infra.names import group_name

N2, N2D, C3 = "n2-standard-8", "n2d-standard-8", "c3-standard-4"
LATER, LATEST = (ISSUE + pd.Timedelta(hours=hours) for hours in (1, 2))
NO_N2 = {zone: {N2: 0} for zone in ZONES}


def _settings(also: str = f"{N2D}, {C3}", first: str = N2) -> Settings:
    text = settings_text().replace(f"machine_type: {N2},", f"machine_type: {first}, also: [{also}],")
    return parse_settings(text.replace("{N2_CPUS: 1000}", "{N2_CPUS: 1000, N2D_CPUS: 1000, C3_CPUS: 1000}"))


def _plan(types: Mapping[str, float | tuple[float, float]], issue: pd.Timestamp = ISSUE) -> pd.DataFrame:
    return pd.concat([plan_of({"edge": {"instances": amount}}, issue=issue).assign(machine_type=name) for name, amount in types.items()])


def _reserved(here: World) -> dict[str, int]:
    """Machine type -> machines reserved over all zones."""
    found: dict[str, int] = {}
    for reservation in (r for zone in ZONES for r in here.cloud.reservations(zone)):
        found[reservation.machine_type] = found.get(reservation.machine_type, 0) + reservation.count
    return found


def _running(here: World) -> dict[str, int]:
    """Group -> machines it runs."""
    return {group.name: group.running for group in here.cloud.groups(REGION)}


def test_two_types_are_held_side_by_side_and_the_first_has_the_services_group(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings()) as here:
        report = here.reconcile(_plan({N2: 3, N2D: (2, 1)}))
        assert _reserved(here) == {N2: 3, N2D: 2}
        assert _running(here) == {"headroom-edge": 3, group_name("edge", N2D): 2}
        assert report.held == {"edge": {f"hot {N2}": 3, f"hot {N2D}": 2, f"warm {N2D}": 1}}
        assert report.unmet == []
        held = here.ledger.held()
        assert held.groupby(["machine_type", "pool"])["amount"].sum().to_dict() == {(N2, "hot"): 3, (N2D, "hot"): 2, (N2D, "warm"): 1}
        assert here.reconcile(_plan({N2: 3, N2D: (2, 1)})).writes == 0


def test_what_is_allowed_and_not_planned_makes_nothing(tmp_path: Path) -> None:
    with world(tmp_path / "one") as here:
        alone = here.reconcile(_plan({N2: 3}))
    with world(tmp_path / "three", chosen=_settings()) as here:
        report = here.reconcile(_plan({N2: 3}))
        assert _running(here) == {"headroom-edge": 3}
    assert [action["name"] for action in report.actions] == [action["name"] for action in alone.actions]
    assert report.held == alone.held == {"edge": {"hot": 3}}


def test_a_type_that_the_plan_leaves_stays_until_the_other_has_had_time_to_start(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings()) as here:
        here.reconcile(_plan({N2: 4}))
        here.admin("clock", advance_seconds=60)
        moved = here.reconcile(_plan({N2D: 4}, LATER), issue_time=LATER)
        assert _reserved(here) == {N2: 4, N2D: 4}
        assert moved.unmet == []
        assert here.reconcile(_plan({N2D: 4}, LATER), issue_time=LATER).writes == 0
        here.admin("clock", advance_seconds=60)
        here.reconcile(_plan({N2D: 4}, LATEST), issue_time=LATEST)
        assert _reserved(here) == {N2D: 4}
        assert _running(here) == {"headroom-edge": 0, group_name("edge", N2D): 4}


def test_what_no_zone_has_is_asked_for_in_the_next_type_and_recorded(tmp_path: Path) -> None:
    """Zone a has 3 of the 10: the other 7 are n2d, the cheaper of the two, machine for machine."""
    stock = {ZONES[0]: {N2: 3}, ZONES[1]: {N2: 0}}
    with world(tmp_path, chosen=_settings(), stock=stock) as here:
        report = here.reconcile(_plan({N2: 10}))
        assert _reserved(here) == {N2: 3, N2D: 7}
        assert _running(here) == {"headroom-edge": 3, group_name("edge", N2D): 7}
        assert report.unmet == []
        assert {(fact["machine_type"], fact["zone"]) for fact in report.facts} == {(N2, ZONES[0]), (N2, ZONES[1])}
        assert report.held["edge"] == {f"hot {N2}": 3, f"hot {N2D}": 7}
        assert here.reconcile(_plan({N2: 10})).writes == 0


def test_the_whole_need_is_converted_and_rounded_up_and_what_is_still_missing_is_told_exactly(tmp_path: Path) -> None:
    """No n2, 2 of n2d: the 8 that are left would be 16 machines of half the size, of which the zones have 7, so 3 and a half stand in."""
    stock = {ZONES[0]: {N2: 0, N2D: 2, C3: 7}, ZONES[1]: {N2: 0, N2D: 0, C3: 0}}
    with world(tmp_path, chosen=_settings(), stock=stock) as here:
        report = here.reconcile(_plan({N2: 10}))
        assert _reserved(here) == {N2D: 2, C3: 7}
        (missing,) = report.unmet
        assert (missing["machine_type"], missing["wanted"], missing["held"]) == (N2, 10, 5)
        assert all(name in missing["reason"] for name in (N2, N2D, C3))
        assert here.ledger.unmet(REGION)[["machine_type", "wanted", "held"]].to_numpy().tolist() == [[N2, 10, 5]]
        assert here.reconcile(_plan({N2: 10})).writes == 0


def test_another_type_is_taken_within_its_quota_and_then_the_next(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings(), stock=NO_N2, quotas={"N2D_CPUS": 20}) as here:
        report = here.reconcile(_plan({N2: 4}))
        assert _reserved(here) == {N2D: 2, C3: 4}
        assert report.unmet == []


def test_a_quota_is_no_stockout(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings(), quotas={"N2_CPUS": 16}) as here:
        report = here.reconcile(_plan({N2: 4}))
        assert _reserved(here) == {N2: 2}
        assert [(row["wanted"], row["held"]) for row in report.unmet] == [(4, 2)]


def test_stand_ins_stay_while_the_type_is_out_and_leave_after_it_is_back(tmp_path: Path) -> None:
    def hour(here: World, issue: pd.Timestamp) -> dict[str, int]:
        report = here.reconcile(_plan({N2: 4}, issue), issue_time=issue)
        assert report.unmet == []
        here.admin("clock", advance_seconds=60)
        return _reserved(here)

    with world(tmp_path, chosen=_settings(), stock=NO_N2) as here:
        assert hour(here, ISSUE) == {N2D: 4}
        assert hour(here, LATER) == {N2D: 4}
        scaled = [entry for entry in here.ledger.recent(REGION, issue_time=LATER) if entry.action.releases]
        assert scaled == [], "what stands in is not given up to ask again"
        for zone in ZONES:
            here.admin("stock", zone=zone, sku=N2, limit=None)
        assert hour(here, LATEST) == {N2: 4, N2D: 4}, "both, while the new ones boot"
        assert hour(here, LATEST + pd.Timedelta("1h")) == {N2: 4}


def test_less_need_takes_from_the_stand_ins_first(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings(), stock={ZONES[0]: {N2: 3}, ZONES[1]: {N2: 0}}) as here:
        here.reconcile(_plan({N2: 10}))
        here.admin("clock", advance_seconds=60)
        here.reconcile(_plan({N2: 5}, LATER), issue_time=LATER)
        assert _reserved(here) == {N2: 3, N2D: 2}


@pytest.mark.slow
@pytest.mark.parametrize("back", [False, True], ids=["the stockout", "the return"])
def test_stopped_at_any_step_and_run_again_it_ends_in_the_same_cloud(tmp_path: Path, back: bool) -> None:
    """Of the hour in which other types stand in, and of the one in which the wanted type is back and both are held."""

    def prepared(here: World) -> tuple[pd.DataFrame, pd.Timestamp]:
        if not back:
            return _plan({N2: 3}), ISSUE
        here.reconcile(_plan({N2: 3}))
        here.admin("clock", advance_seconds=60)
        for zone in ZONES:
            here.admin("stock", zone=zone, sku=N2, limit=None)
        return _plan({N2: 3}, LATER), LATER

    stock = {ZONES[0]: {N2: 1, N2D: 1}, ZONES[1]: {N2: 0, N2D: 0}}
    steps: list[str] = []
    with world(tmp_path / "clean", chosen=_settings(), stock=stock) as here:
        plan, issue = prepared(here)
        here.reconcile(plan, issue_time=issue, checkpoint=steps.append)
        clean = _reserved(here), _running(here)
    assert clean[0] == {N2: 3 if back else 1, N2D: 1, C3: 2}
    for number in range(1, len(steps), 11 if back else 61):
        with world(tmp_path / str(number), chosen=_settings(), stock=stock, link=None) as here:
            plan, issue = prepared(here)
            seen: list[str] = []

            def stop(step: str, seen: list[str] = seen, number: int = number) -> None:
                seen.append(step)
                if len(seen) == number:
                    raise InterruptedError

            with pytest.raises(InterruptedError):
                here.reconcile(plan, issue_time=issue, checkpoint=stop)
            here.reconcile(plan, issue_time=issue)
            assert (_reserved(here), _running(here)) == clean, f"stopped at {steps[number - 1]}"
            assert here.reconcile(plan, issue_time=issue).writes == 0


def test_what_is_adopted_of_one_type_is_kept_of_that_type(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings(N2D)) as here:
        here.reconcile(_plan({N2: 2, N2D: 2}))
        here.admin("clock", advance_seconds=60)
        here.call("POST", f"zones/{ZONES[0]}/reservations/headroom-edge-{N2D}/resize", {"specificSkuCount": "5"})
        drifts = find_drift(here.ledger, here.cloud, region=REGION, now=pd.Timestamp.now(tz="UTC"))
        held = {r.name: r.count for r in here.cloud.reservations(ZONES[0])}
        (kept,) = adopt(here.ledger, drifts, held, service="edge", now=ISSUE, lasts=pd.Timedelta("6h"), why="load test")
        assert (kept.machine_type, kept.what, kept.amount) == (N2D, "hot", 5)
        here.reconcile(_plan({N2: 3, N2D: 2}, LATER), issue_time=LATER)
        assert _reserved(here) == {N2: 3, N2D: 5}


def test_a_type_that_is_taken_from_the_settings_is_drained_and_released(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings()) as here:
        here.reconcile(_plan({N2: 2, N2D: (2, 1)}))
        here.admin("clock", advance_seconds=60)
        here.settings = _settings(C3)
        here.reconcile(_plan({N2: 4}, LATER), issue_time=LATER)
        former = here.cloud.group(REGION, group_name("edge", N2D))
        assert former is not None
        assert (former.running, former.suspended, former.stopped) == (0, 0, 0)
        here.admin("clock", advance_seconds=60)
        here.reconcile(_plan({N2: 4}, LATEST), issue_time=LATEST)
        assert _reserved(here) == {N2: 4}
        assert here.reconcile(_plan({N2: 4}, LATEST), issue_time=LATEST).writes == 0


def test_a_further_type_that_becomes_the_first_moves_into_the_services_group(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings(N2D)) as here:
        here.reconcile(_plan({N2D: 2}))
        here.admin("clock", advance_seconds=60)
        here.settings = _settings(N2, first=N2D)
        here.reconcile(_plan({N2D: 2}, LATER), issue_time=LATER)
        assert _running(here) == {"headroom-edge": 2, group_name("edge", N2D): 0}
        assert _reserved(here) == {N2D: 2}


def test_a_plan_of_types_that_the_settings_do_not_have_is_refused(tmp_path: Path) -> None:
    with world(tmp_path, chosen=_settings(N2D)) as here:
        with pytest.raises(BadInputError, match=f"edge has machines of {N2}, {C3}.*plan again"):
            here.reconcile(_plan({N2: 1, C3: 1}))
        assert here.writes() == []
