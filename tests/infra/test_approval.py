"""Who must agree to a change of spending: increases and decreases have limits of their own."""

import pytest
from plan_rows import plan_of, settings_text

from headroom.errors import SettingsError
from headroom.settings import Settings, parse_settings
from infra.budget import approval_needed

PLAN = plan_of({"edge": {"instances": 4}})  # 1 USD per row and hour: 24 USD per day


def limits(text: str) -> Settings:
    return parse_settings(settings_text().replace("policy: {", f"policy: {{{text}, "))


def test_an_increase_and_a_decrease_are_held_against_their_own_limits() -> None:
    chosen = limits("approval_usd_per_day: 10, approval_decrease_usd_per_day: 50")
    asked = {held: approval_needed(chosen, PLAN, held_usd_per_day=held).needed for held in (13, 14, 24, 74, 75)}
    assert asked == {13: True, 14: False, 24: False, 74: False, 75: True}


def test_the_reason_names_the_limit_that_it_was_held_against() -> None:
    chosen = limits("approval_usd_per_day: 10, approval_decrease_usd_per_day: 50")
    assert approval_needed(chosen, PLAN, held_usd_per_day=100).reason == (
        "plan 24.00 USD/day, held 100.00 USD/day: a decrease of 76.00 is above policy.approval_decrease_usd_per_day 50.00"
    )
    assert "an increase of 4.00 is within policy.approval_usd_per_day 10.00" in approval_needed(chosen, PLAN, held_usd_per_day=20).reason


def test_a_decrease_waits_for_nobody_unless_it_has_a_limit() -> None:
    found = approval_needed(limits("approval_usd_per_day: 0"), PLAN, held_usd_per_day=10_000)
    assert not found.needed
    assert found.increase_usd_per_day == pytest.approx(-9976)
    assert "waits for nobody" in found.reason
    assert approval_needed(limits("approval_decrease_usd_per_day: 0"), PLAN, held_usd_per_day=24.5).needed


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(SettingsError, match="approval_decrease_usd_per_day"):
        limits("approval_decrease_usd_per_day: -1")
