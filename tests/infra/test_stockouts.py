"""The memory of stockouts: per zone and machine type, fading, never of what was not yet known."""

from pathlib import Path

import pandas as pd
import pytest
from cloud_world import World, world
from hypothesis import given
from hypothesis import strategies as st
from plan_rows import ISSUE, REGION, ZONES, plan_of

from infra.ledger_rows import Refusal
from infra.stockouts import asking_order, scarce_types, scarcity

STOCKOUT = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
TYPE = "n2-standard-8"


def refused(hours_ago: float, zone: str = "a", code: str = STOCKOUT, machine_type: str = TYPE) -> Refusal:
    return Refusal(ISSUE - pd.Timedelta(hours=hours_ago), zone, machine_type, code)


def order(*refusals: Refusal, machine_type: str = TYPE) -> tuple[str, ...]:
    return asking_order(("a", "b", "c"), machine_type, scarcity(refusals, issue_time=ISSUE))


def test_a_zone_that_refused_lately_is_asked_last() -> None:
    assert order() == ("a", "b", "c")
    assert order(refused(1, "a")) == ("b", "c", "a")
    assert order(refused(1, "a"), refused(5, "b")) == ("c", "b", "a")


def test_a_refusal_is_forgotten_after_a_day() -> None:
    assert order(refused(19)) == ("b", "c", "a")
    assert order(refused(21)) == ("a", "b", "c")
    assert order(*[refused(hours) for hours in range(15, 39)]) == ("b", "c", "a"), "many refusals are remembered for longer"


def test_what_counts_is_a_stockout_of_the_type_before_the_issue_time() -> None:
    assert order(refused(1, code="QUOTA_EXCEEDED")) == ("a", "b", "c")
    assert order(refused(1), machine_type="n2-standard-16") == ("a", "b", "c")
    assert order(refused(0), refused(-1)) == ("a", "b", "c")


def test_several_refusals_of_one_issue_time_are_one() -> None:
    assert scarcity([refused(6), refused(6)], issue_time=ISSUE) == {("a", TYPE): pytest.approx(0.5)}


@given(st.lists(st.tuples(st.floats(0.1, 60), st.sampled_from("abc")), max_size=12))
def test_every_zone_is_asked_once_and_a_new_refusal_never_moves_its_zone_forward(past: list[tuple[float, str]]) -> None:
    known = [refused(hours, zone) for hours, zone in past]
    before, after = order(*known), order(*known, refused(0.05, "b"))
    assert sorted(before) == sorted(after) == ["a", "b", "c"]
    assert after.index("b") >= before.index("b")


def reserved(here: World) -> dict[str, int]:
    return {zone: sum(r.count for r in here.cloud.reservations(zone)) for zone in ZONES}


def test_the_next_allocations_ask_the_zone_that_had_stock_until_the_memory_fades(tmp_path: Path) -> None:
    def allocate(here: World, hours: int, machines: int) -> list[tuple[str, str]]:
        issue = ISSUE + pd.Timedelta(hours=hours)
        report = here.reconcile(plan_of({"edge": {"instances": machines}}, issue=issue), issue_time=issue)
        assert report.unmet == []
        return [(action["zone"], action["state"]) for action in report.actions if action["verb"] in ("create", "resize") and action["zone"]]

    with world(tmp_path, stock={ZONES[0]: {TYPE: 2}}) as here:
        first = allocate(here, 0, 4)
        assert (ZONES[0], "failed") in first
        assert reserved(here) == {ZONES[0]: 2, ZONES[1]: 2}
        assert allocate(here, 1, 6) == [(ZONES[1], "done")]
        assert allocate(here, 2, 8) == [(ZONES[1], "done")]
        here.admin("stock", zone=ZONES[0], sku=TYPE, limit=None)
        assert allocate(here, 40, 10) == [(ZONES[0], "done")]
        assert reserved(here) == {ZONES[0]: 4, ZONES[1]: 6}


def test_a_run_that_is_taken_up_again_does_not_change_its_order(tmp_path: Path) -> None:
    """The refusal that the first attempt met is of the same issue time, so it is searched on and not moved to the end."""
    with world(tmp_path, stock={ZONES[0]: {TYPE: 2}}) as here:
        plan = plan_of({"edge": {"instances": 4}})

        def stop(step: str) -> None:
            if step == "after failed":
                raise InterruptedError

        with pytest.raises(InterruptedError):
            here.reconcile(plan, checkpoint=stop)
        assert here.ledger.facts(REGION, ISSUE)[0].zone == ZONES[0]
        here.reconcile(plan)
        assert reserved(here) == {ZONES[0]: 2, ZONES[1]: 2}


def test_a_plan_knows_the_share_of_zones_without_stock_by_earlier_reconciliations_only(tmp_path: Path) -> None:
    with world(tmp_path, stock={ZONES[0]: {TYPE: 2}}) as here:
        here.reconcile(plan_of({"edge": {"instances": 4}}))

        def known(hours: int) -> dict[tuple[str, str], float]:
            return scarce_types(here.settings, here.ledger, issue_time=ISSUE + pd.Timedelta(hours=hours))

        assert known(0) == {}, "what the reconciliation of that hour met"
        assert known(1) == {(REGION, TYPE): pytest.approx(0.5 * 0.5 ** (1 / 6))}
        assert known(6) == {(REGION, TYPE): pytest.approx(0.25)}
        assert known(30) == {}, "forgotten"
