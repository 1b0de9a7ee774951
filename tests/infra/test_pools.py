"""The pools of a plan: cold on demand or on spot, standby suspended or stopped, and the chance that there is no stock, per machine type and region."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError, SettingsError
from headroom.settings import Settings, parse_settings
from infra.capacity_need import capacity_need
from infra.policies.late_service import LateService, late_service
from infra.policies.machine_options import options_of
from infra.policies.plan_lines import lines_of
from infra.prices import list_prices
from infra.targets import MachineTarget, desired_state
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts
from tests.infra.planned_rows import planned_rows

US, N2 = "us-central1", "n2-standard-4"
TENANTS = "machine_type: n2-standard-4, target_utilisation: 1.0, minimum_instances: 2"


def _settings(tenants: str = "", *, policy: str = "name: optimal", region: str = "", service: str = "") -> Settings:
    text = SETTINGS.replace("{BUDGET}", f"{{{policy}}}").replace(TENANTS, TENANTS + tenants)
    return parse_settings(
        text.replace("us-central1: {zones", f"us-central1: {{{region}zones").replace("criticality: low\n", f"criticality: low\n{service}")
    )


def _tenants(settings: Settings, scarce: Mapping[tuple[str, str], float] | None = None) -> pd.DataFrame:
    rows = forecasts(settings, median=100.0)
    plan = planned_rows(settings, rows[rows["service"] == "tenants"], issue_time=ISSUE, scarce=scarce or {})
    return plan[plan["resource"] == "instances"]


def _late(settings: Settings, scarce: Mapping[tuple[str, str], float] | None = None) -> tuple[LateService, int]:
    """Of all places, and the option of the tenants' machines."""
    rows = forecasts(settings, hours=2)
    need = capacity_need(settings, rows, quantile=pd.Series(0.9, index=rows.index))
    lines = lines_of(settings, rows, need, 2)
    options = options_of(settings, lines, need)
    return late_service(settings, options, scarce or {}), int(options.first[lines.keys.index((US, "tenants", "instances"))])


def test_cold_is_on_spot_only_where_the_service_allows_it_and_it_pays() -> None:
    never, spot, lost = (
        _late(_settings(t, policy=p))
        for t, p in (("", "name: optimal"), (", spot: true", "name: optimal"), (", spot: true", "name: optimal, spot_failure: 1.0"))
    )
    assert not never[0].on_spot.any()
    assert np.flatnonzero(spot[0].on_spot).tolist() == [spot[1]]
    assert not lost[0].on_spot.any()
    assert spot[0].cold_price[spot[1]] == list_prices().spot_usd_per_hour(N2, US) < list_prices().hot_usd_per_hour(N2, US)
    assert never[0].cold_price[never[1]] == list_prices().hot_usd_per_hour(N2, US)


def test_spot_is_worth_it_up_to_the_value_at_which_what_it_loses_costs_what_it_saves() -> None:
    """Price plus loss times value: a bid per vCPU, of which a machine serves four, against 0.1 more lost."""
    saved = list_prices().hot_usd_per_hour(N2, US) - list_prices().spot_usd_per_hour(N2, US)
    even = saved / 0.1 / 4

    def on_spot(usd: float) -> bool:
        late, option = _late(_settings(", spot: true", service=f"    bid: [{{usd_per_unit_hour: {usd}}}]\n"))
        return bool(late.on_spot[option])

    assert on_spot(even * 0.99)
    assert not on_spot(even * 1.01)


def test_with_spot_less_is_held_and_the_line_says_so() -> None:
    plain, spot = _tenants(_settings()), _tenants(_settings(", spot: true", policy="name: optimal, spot_failure: 0.05"))
    held = [(plan["hot"] + plan["warm"]).sum() for plan in (plain, spot)]
    assert held[1] < held[0]
    assert spot["why"].str.contains("; cold on spot", regex=False).all()
    assert not plain["why"].str.contains("spot").any()


@pytest.mark.parametrize(("standby", "usd"), [("suspended", 16 * 0.17 / 730), ("stopped", 0.0)])
def test_standby_has_the_price_and_the_time_of_how_it_waits(standby: str, usd: float) -> None:
    settings = _settings(f", standby: {standby}, boot_minutes: 30", policy="name: tiered")
    rows = forecasts(settings, median=100.0, confidence=0.3)
    plan = planned_rows(settings, rows, issue_time=ISSUE)
    mine = plan[(plan["service"] == "tenants") & (plan["resource"] == "instances")]
    assert (mine["warm"] > 0).all()
    np.testing.assert_allclose(mine["cost_usd"], mine["hot"] * list_prices().hot_usd_per_hour(N2, US) + mine["warm"] * usd)
    assert mine["why"].str.contains(f"; standby {standby}").all()
    target = next(
        t for t in desired_state(settings, plan, issue_time=ISSUE, region=US) if isinstance(t, MachineTarget) and t.service == "tenants"
    )
    assert (target.suspended > 0, target.stopped > 0) == (standby == "suspended", standby == "stopped")
    assert target.warm_usd == pytest.approx(usd)
    late, _ = _late(settings)
    minutes = 2 if standby == "suspended" else 30
    assert np.isclose(late.warm_loss, minutes / 60 + 0.02).any()


def test_what_cannot_be_suspended_is_refused_or_stopped() -> None:
    large = "machine_type: n2-highmem-32, target_utilisation: 1.0, minimum_instances: 2"
    text = SETTINGS.replace("{BUDGET}", "{name: optimal}").replace("N2_CPUS: 1000", "N2_CPUS: 5000")
    by_itself = parse_settings(text.replace(TENANTS, large))
    assert not _tenants(by_itself)["why"].str.contains("suspended").any()
    with pytest.raises(BadInputError, match=r"services.tenants.capacity.standby: n2-highmem-32 cannot be suspended: it has 256 GiB"):
        _tenants(parse_settings(text.replace(TENANTS, large + ", standby: suspended")))


def test_a_type_that_fails_more_often_in_a_region_is_relied_upon_less() -> None:
    usual, scarce = (_late(_settings(region=region)) for region in ("", f"failures: {{{N2}: {{purchase: 0.5, resume: 0.3}}}}, "))
    place = usual[0].cold_loss.size
    changed = [np.flatnonzero(a != b) for a, b in ((usual[0].cold_loss, scarce[0].cold_loss), (usual[0].warm_loss, scarce[0].warm_loss))]
    assert 0 < changed[0].size == changed[1].size < place, "only the places of that type, in that region"
    assert scarce[0].cold_loss[changed[0]] - usual[0].cold_loss[changed[0]] == pytest.approx(0.45)
    assert scarce[0].warm_loss[changed[0]] - usual[0].warm_loss[changed[0]] == pytest.approx(0.28)


def test_remembered_stockouts_make_a_plan_hold_more() -> None:
    settings = _settings()
    usual, scarce = _tenants(settings), _tenants(settings, {(US, N2): 0.5})
    assert scarce["hot"].sum() > usual["hot"].sum()
    pd.testing.assert_frame_equal(usual, _tenants(settings, {("asia-east1", N2): 0.5}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tenants": ", standby: hibernated"}, "standby"),
        ({"tenants": ", spot: often"}, "spot"),
        ({"policy": "spot_failure: 1.5"}, "spot_failure"),
        ({"region": f"failures: {{{N2}: {{purchase: -0.1}}}}, "}, "purchase"),
        ({"region": f"failures: {{{N2}: {{reserve: 0.1}}}}, "}, "reserve"),
    ],
)
def test_bad_values_are_refused_by_name(changes: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        _settings(**changes)


def test_an_unknown_machine_type_in_failures_is_refused_by_name() -> None:
    with pytest.raises(BadInputError, match=r"regions.us-central1.failures: machine type 'n2-standard-5' is not in the price list"):
        _tenants(_settings(region="failures: {n2-standard-5: {purchase: 0.1}}, "))
