"""Several machine types of one service in a plan: the cheapest per region, a mix where a quota forces one, nothing new for one type."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headroom.errors import BadInputError
from headroom.schemas import TABLES, conform, content_digest
from headroom.settings import Settings, parse_settings
from headroom.settings_services import Capacity
from infra.capacity_need import capacity_need
from infra.machine_types import COMPUTE, allowed_types, carried
from infra.prices import list_prices
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts, set_demand
from tests.infra.planned_rows import planned_rows

EDGE, TENANTS = "machine_type: n2-standard-8,", "machine_type: n2-standard-4, target_utilisation: 1.0"


def _settings(
    policy: str = "{}", *, edge: str = "", tenants: str = "", quotas: str = "N2_CPUS: 1000, N2D_CPUS: 1000, C3_CPUS: 1000"
) -> Settings:
    text = SETTINGS.replace(EDGE, f"{EDGE} also: [{edge}],").replace(TENANTS, f"{TENANTS}, also: [{tenants}]")
    return parse_settings(text.replace("N2_CPUS: 1000", quotas).replace("{BUDGET}", policy))


def _plan(settings: Settings, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    plan = planned_rows(settings, forecasts(settings, median=100.0, hours=24) if frame is None else frame, issue_time=ISSUE)
    assert conform(TABLES["plans"], plan).num_rows == len(plan)
    return plan


def _machines(plan: pd.DataFrame, service: str, region: str = "us-central1") -> pd.DataFrame:
    return plan[(plan["resource"] == "instances") & (plan["service"] == service) & (plan["region"] == region)]


def _memory_heavy(settings: Settings) -> pd.DataFrame:
    """Tenants need 900 GiB and 10 vCPU: 57 of n2-standard-4, 29 of n2-highmem-4."""
    frame = set_demand(forecasts(settings, median=100.0, hours=24), "us-central1/tenants/memory", [900.0] * 24)
    return set_demand(frame, "us-central1/tenants/cpu", [10.0] * 24)


@pytest.mark.parametrize("policy", ["tiered", "newsvendor", "static", "reactive", "optimal"])
def test_without_further_types_a_plan_is_what_it_was(policy: str) -> None:
    """An empty list of further types, and none that could be chosen because it is dearer and as large."""
    plain = parse_settings(SETTINGS.replace("{BUDGET}", f"{{name: {policy}}}"))
    digests = [content_digest("plans", _plan(settings)) for settings in (plain, _settings(f"{{name: {policy}}}", quotas="N2_CPUS: 1000"))]
    assert digests[0] == digests[1]
    if policy != "optimal":
        assert content_digest("plans", _plan(_settings(f"{{name: {policy}}}", edge="c3-standard-8"))) == digests[0]


@pytest.mark.parametrize("policy", ["tiered", "newsvendor", "static", "reactive", "optimal"])
def test_the_cheapest_type_is_chosen_for_all_hours(policy: str) -> None:
    plan = _plan(_settings(f"{{name: {policy}}}", edge="c3-standard-8, n2d-standard-8"))
    for region in ("us-central1", "asia-east1"):
        rows = _machines(plan, "edge", region)
        assert set(rows["machine_type"]) == {"n2d-standard-8"}
        assert len(rows) == 24
        usd = rows["hot"] * list_prices().hot_usd_per_hour("n2d-standard-8", region)
        assert (rows["cost_usd"] >= usd - 1e-9).all()
        assert rows["why"].str.contains("x n2d-standard-8").all()


def test_a_region_where_a_type_is_not_sold_is_not_offered_it() -> None:
    text = SETTINGS.replace("asia-east1", "europe-west10").replace(EDGE, f"{EDGE} also: [n4-standard-8],").replace("{BUDGET}", "{}")
    settings = parse_settings(text)
    assert allowed_types(settings, "us-central1", "edge") == ("n2-standard-8", "n4-standard-8")
    assert allowed_types(settings, "europe-west10", "edge") == ("n2-standard-8",)
    types = {region: set(_machines(_plan(settings), "edge", region)["machine_type"]) for region in ("us-central1", "europe-west10")}
    assert types == {"us-central1": {"n4-standard-8"}, "europe-west10": {"n2-standard-8"}}


@pytest.mark.parametrize("policy", ["tiered", "optimal"])
def test_a_service_of_much_memory_is_served_by_machines_of_much_memory(policy: str) -> None:
    settings = _settings(f"{{name: {policy}}}", tenants="n2-highcpu-4, n2-highmem-4")
    rows = _machines(_plan(settings, _memory_heavy(settings)), "tenants")
    hot = rows.groupby("machine_type")["hot"].max()
    assert hot["n2-highmem-4"] == (29 if policy == "tiered" else 28), "to a service of little value an eighth of a machine is not worth one"
    assert hot.drop("n2-highmem-4").sum() == 0


def test_whole_machines_decide_not_prices_per_vcpu() -> None:
    """Two vCPU: a machine of 16 costs no more per vCPU, and four times as much as the one of 4 that is needed."""
    settings = _settings(tenants="n2-standard-16")
    frame = set_demand(forecasts(settings, hours=24), "us-central1/tenants/cpu", [8.0] * 24)
    frame = set_demand(frame, "us-central1/tenants/memory", [8.0] * 24)
    assert set(_machines(_plan(settings, frame), "tenants")["machine_type"]) == {"n2-standard-4"}


def test_equally_cheap_types_are_taken_in_the_order_of_the_settings() -> None:
    """40 vCPU are ten machines of 4 or five of 8, at the same price."""
    frame = forecasts(_settings(), hours=24)
    for series, demand in (("us-central1/tenants/cpu", 40.0), ("us-central1/tenants/memory", 10.0)):
        frame = set_demand(frame, series, [demand] * 24)
    quantile = pd.Series(0.9, index=frame.index)
    for policy in ("{}", "{name: optimal}"):
        assert set(_machines(_plan(_settings(policy, tenants="n2-standard-8"), frame), "tenants")["machine_type"]) == {"n2-standard-4"}
    swapped = parse_settings(
        SETTINGS.replace(TENANTS, "machine_type: n2-standard-8, also: [n2-standard-4], target_utilisation: 1.0").replace("{BUDGET}", "{}")
    )
    need = capacity_need(swapped, frame, quantile=quantile)
    assert set(need.loc[(need["service"] == "tenants") & (need["resource"] == "instances"), "machine_type"]) == {"n2-standard-8"}


def test_a_quota_forces_a_mix_whose_parts_add_up_to_the_need() -> None:
    """24 vCPU of n2d are three machines; the other 32 of the 35 are n2, the dearer."""
    settings = _settings("{name: optimal}", edge="n2d-standard-8", quotas="N2_CPUS: 1000, N2D_CPUS: 24")
    rows = _machines(_plan(settings), "edge")
    held = rows.assign(held=rows["hot"] + rows["warm"]).pivot(index="ds", columns="machine_type", values="held")
    assert (held["n2d-standard-8"] == 3).all()
    assert (held["n2-standard-8"] >= 32).all()
    assert (rows.groupby("ds")["needed"].sum() == 35).all(), "machines of one size: 140 vCPU / 4"
    assert (rows["cold"] == 0).all()
    alone = _machines(_plan(_settings("{name: optimal}", edge="n2d-standard-8")), "edge")
    assert rows.groupby("ds")["peak_cost_usd"].sum().max() == pytest.approx(alone["peak_cost_usd"].max()), "the peak counts once"


def test_parts_of_different_sizes_carry_the_need_together() -> None:
    settings = _settings("{name: optimal}", tenants="n2d-highmem-8", quotas="N2_CPUS: 1000, N2D_CPUS: 40")
    rows = _machines(_plan(settings, _memory_heavy(settings)), "tenants")
    assert set(rows["machine_type"]) == {"n2-standard-4", "n2d-highmem-8"}
    size = pd.DataFrame({name: carried(settings, "tenants", name) for name in rows["machine_type"].unique()}, index=list(COMPUTE)).T
    parts = size.loc[rows["machine_type"]].to_numpy() * rows[["needed"]].to_numpy()
    together = pd.DataFrame(parts, columns=list(COMPUTE)).groupby(rows["ds"].to_numpy()).sum()
    assert (together["memory"] >= 900).all()
    assert (together["memory"] < 900 + 16).all(), "less than a machine too many"


def test_the_least_number_stands_where_the_quota_has_room() -> None:
    settings = _settings("{name: optimal}", tenants="n2d-standard-4", quotas="N2_CPUS: 1000, N2D_CPUS: 4")
    frame = set_demand(forecasts(settings, hours=24), "us-central1/tenants/cpu", [1.0] * 24)
    rows = _machines(_plan(settings, set_demand(frame, "us-central1/tenants/memory", [1.0] * 24)), "tenants")
    assert rows.groupby("machine_type")["hot"].min().to_dict() == {"n2-standard-4": 1, "n2d-standard-4": 1}


def test_machines_are_leased_as_machines_of_the_same_type() -> None:
    text = SETTINGS.replace(EDGE, f"{EDGE} also: [n2d-standard-8],").replace("{BUDGET}", "{name: optimal}")
    text = text.replace("quotas: {N2_CPUS: 1000}, interconnect", "quotas: {N2_CPUS: 1000, N2D_CPUS: 1000}, lends_vcpus: 400, interconnect")
    text = text.replace("quotas: {N2_CPUS: 1000}}", "quotas: {N2_CPUS: 16, N2D_CPUS: 16}, peers: [us-central1]}")
    settings = parse_settings(text)
    plan = _plan(settings, set_demand(forecasts(settings, median=100.0, hours=24), "asia-east1/edge/bandwidth", [0.5] * 24))
    lent = _machines(plan, "edge")
    assert set(lent.loc[lent["why"].str.contains("lends"), "machine_type"]) == {"n2d-standard-8"}
    own = _machines(plan, "edge", "asia-east1")
    assert (own.groupby("ds")["hot"].sum() <= 4).all()


def _held_usd(rows: pd.DataFrame, hours: int) -> float:
    """What holding the most of every `hours` hours costs, type by type."""
    hot = rows.pivot(index="ds", columns="machine_type", values="hot").fillna(0.0)[::-1].rolling(hours, min_periods=1).max()
    return float(sum((hot[name] * list_prices().hot_usd_per_hour(name, "us-central1")).sum() for name in hot))


@pytest.mark.parametrize(("every", "changes"), [(2, False), (4, False), (12, True)])
def test_types_change_places_only_where_that_saves_more_than_holding_both_meanwhile(every: int, changes: bool) -> None:
    """Much vCPU and much memory by turns: ten n2-highmem-4 always serve, ten n2-standard-4 do for a quarter less when it is vCPU."""
    settings = _settings("{name: optimal}", tenants="n2-highmem-4")
    frame = forecasts(settings, hours=48)
    for resource, low, high in (("cpu", 10.0, 40.0), ("memory", 320.0, 40.0)):
        frame = set_demand(frame, f"us-central1/tenants/{resource}", [high if hour // every % 2 == 0 else low for hour in range(48)])
    rows = _machines(_plan(settings, frame), "tenants")
    assert (rows["machine_type"].nunique() > 1) is changes
    steady = 48 * 10 * list_prices().hot_usd_per_hour("n2-highmem-4", "us-central1")
    held = _held_usd(rows, settings.policy.hold_hours + 1)  # a machine boots within the hour
    assert (held < steady - 1e-6) if changes else (held == pytest.approx(steady))


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ("n2-standrad-8", "services.edge.capacity.also: machine type 'n2-standrad-8' is not in the price list; did you mean n2-standard-8"),
        ("t2a-standard-8", r"t2a-standard-8 \(Arm, .*cannot be compared with machine_type n2-standard-8 \(x86"),
        ("g2-standard-8", r"g2-standard-8 \(.*l4:1\) cannot be compared"),
        ("e2-medium", r"e2-medium \(x86, a shared core"),
    ],
)
def test_a_type_that_is_unknown_or_of_another_kind_is_refused_by_name(also: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        _plan(_settings(edge=also))


def test_a_type_that_no_region_of_the_service_sells_is_refused_by_name() -> None:
    text = SETTINGS.replace("asia-east1", "europe-west10").replace("regions: [us-central1, europe-west10]", "regions: [europe-west10]")
    settings = parse_settings(text.replace(EDGE, f"{EDGE} also: [n4-standard-8],").replace("{BUDGET}", "{}"))
    with pytest.raises(
        BadInputError, match=r"n4-standard-8 has no on-demand price in any region of the service \(europe-west10\); remove it"
    ):
        _plan(settings)


@pytest.mark.parametrize("also", [["n2d-standard-8", "n2d-standard-8"], ["n2-standard-8"]])
def test_a_type_that_is_named_twice_is_refused(also: list[str]) -> None:
    with pytest.raises(ValidationError, match="is given twice, machine_type included"):
        Capacity(machine_type="n2-standard-8", also=also)


@pytest.mark.slow
@hypothesis_settings(max_examples=5)
@given(n2=st.integers(16, 300), n2d=st.integers(0, 300), budget=st.floats(300, 2000), median=st.floats(1, 120))
def test_no_plan_exceeds_a_familys_quota_or_the_budget_and_all_types_carry_the_need_or_say_what_is_cold_or_unmet(
    n2: int, n2d: int, budget: float, median: float
) -> None:
    policy = f"{{name: optimal, budget_usd_per_day: {budget}}}"
    settings = _settings(policy, edge="n2d-standard-8", tenants="n2d-highmem-4", quotas=f"N2_CPUS: {n2}, N2D_CPUS: {n2d}")
    plan = _plan(settings, forecasts(settings, median=median, hours=24))
    rows = plan[plan["resource"] == "instances"]
    vcpus = (rows["hot"] + rows["warm"] + rows["cold"]) * rows["machine_type"].map(lambda name: list_prices().machine_type(name).vcpu)
    used = vcpus.groupby([rows["region"], rows["machine_type"].str.split("-").str[0], rows["ds"]]).sum().groupby(level=1).max()
    assert used["n2"] <= n2
    assert used.get("n2d", 0.0) <= n2d
    assert plan["cost_usd"].sum() <= budget + 1e-6
    assert (rows["hot"] + rows["warm"] + rows["cold"] + rows["unmet"] >= rows["needed"] - 1e-6).all()


@pytest.mark.parametrize("quotas", ["CPUS: 200", "CPUS: 200, N2D_CPUS: 120"])
def test_families_without_a_quota_of_their_own_share_one(quotas: str) -> None:
    """As Google counts, and the local cloud: n2 and c3 together are within CPUS, n2d has its own where the region names it."""
    settings = _settings("{name: optimal}", edge="c3-standard-8", tenants="n2d-standard-4", quotas=quotas)
    plan = _plan(settings)
    machines = plan[(plan["resource"] == "instances") & (plan["region"] == "us-central1")]
    vcpus = (machines["hot"] + machines["warm"] + machines["cold"]) * machines["machine_type"].map(
        lambda name: int(name.rpartition("-")[2])
    )
    own = machines["machine_type"].str.startswith("n2d") & ("N2D" in quotas)
    shared = vcpus.where(~own, 0.0).groupby(machines["ds"]).sum()
    assert shared.max() <= 200
    assert vcpus.where(own, 0.0).groupby(machines["ds"]).sum().max() <= 120
    assert shared.max() > 190, "the quota is what binds here"
    assert "one more vCPU quota in us-central1 saves" in " ".join(machines["why"])


def test_a_lease_does_not_slip_by_a_lenders_quota_that_counts_otherwise() -> None:
    """us-central1 counts n2 by itself, asia-east1 counts all families together."""
    text = SETTINGS.replace("{BUDGET}", "{name: optimal}").replace(
        "[asia-east1-a], quotas: {N2_CPUS: 1000}", "[asia-east1-a], quotas: {CPUS: 40}, lends_vcpus: 500"
    )
    text = text.replace("[us-central1-a], quotas: {N2_CPUS: 1000}", "[us-central1-a], quotas: {N2_CPUS: 120}, peers: [asia-east1]")
    settings = parse_settings(text)
    frame = set_demand(forecasts(settings, median=60.0, hours=24), "asia-east1/edge/cpu", [4.0] * 24)
    plan = _plan(settings, set_demand(frame, "us-central1/edge/bandwidth", [0.01] * 24))  # so that sending is cheap
    there = _machines(plan, "edge", "asia-east1")
    assert ((there["hot"] + there["warm"]) * 8).max() <= 40
