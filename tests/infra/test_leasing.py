"""Leases between regions: only to peers, within the latency target and the lending limit, at the lender's price and egress."""

from pathlib import Path

import pandas as pd
import pytest

from headroom.allocation import make_plan
from headroom.settings import Settings, parse_settings
from infra.policies.leasing import round_trip_ms
from infra.prices import EGRESS_USD_PER_GIB, list_prices
from models.outcomes import judge
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts, set_demand
from tests.infra.installation import HOUR, installation, measure
from tests.infra.planned_rows import planned_rows

PAIR = "us-central1: {zones: [us-central1-a], quotas: {N2_CPUS: 1000}, lends_vcpus: LENDS}"
TEXT = (
    SETTINGS.replace("us-central1: {zones: [us-central1-a], quotas: {N2_CPUS: 1000}, interconnect: {attachment: headroom-us}}", PAIR)
    .replace(
        "asia-east1: {zones: [asia-east1-a], quotas: {N2_CPUS: 1000}}",
        "asia-east1: {zones: [asia-east1-a], quotas: {N2_CPUS: 96}, peers: [PEER]}",
    )
    .replace("demand: {cpu: cpu_vcpu, bandwidth: egress_gbps}", "demand: {cpu: cpu_vcpu}\n    SLO")
)
SENDING = TEXT.replace("demand: {cpu: cpu_vcpu}", "demand: {cpu: cpu_vcpu, bandwidth: egress_gbps}")


def _settings(*, lends: float = 400, peer: str = "us-central1", slo: str = "slo: {availability: 0.999}", text: str = TEXT) -> Settings:
    text = text.replace("LENDS", f"{lends:g}").replace("PEER", peer).replace("SLO", slo).replace("{BUDGET}", "{name: optimal}")
    return parse_settings(text)


def _edge(settings: Settings, region: str, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    plan = planned_rows(settings, forecasts(settings, median=60.0) if frame is None else frame, issue_time=ISSUE)
    rows = (plan["service"] == "edge") & (plan["region"] == region) & (plan["resource"] == "instances")
    return plan[rows].sort_values("ds")


def _sending(settings: Settings, gbps: float) -> pd.DataFrame:
    """Both regions' edge needs 60 vCPU by the median, on 15 machines, which send `gbps` together; a plan of twelve hours."""
    frame = forecasts(settings, median=60.0, hours=12)
    for region in ("us-central1", "asia-east1"):
        frame = set_demand(frame, f"{region}/edge/bandwidth", [gbps] * 12)
    return frame


def _egress_usd(gbps: float) -> float:
    """Of one machine of 15 and hour."""
    return gbps / 15 * 3600 * 1e9 / 8 / 2**30 * EGRESS_USD_PER_GIB


INTERCONNECT = pytest.mark.parametrize(
    "text", [SENDING, SENDING.replace("peers: [PEER]", "peers: [PEER], interconnect: {attachment: headroom-asia}")], ids=["without", "with"]
)


def test_what_a_quota_refuses_is_leased_from_a_peer_and_both_lines_say_so() -> None:
    """Asia's quota is 12 machines and it needs 21: the others stand in us-central1."""
    here, there = _edge(_settings(), "asia-east1"), _edge(_settings(), "us-central1")
    alone = _edge(_settings(lends=0), "us-central1")
    assert (here["hot"] <= 12).all()
    lent = there["hot"].to_numpy() - alone["hot"].to_numpy()
    assert lent.min() >= 8
    assert here["why"].str.contains("from us-central1").all()
    assert there["why"].iloc[0].endswith(f"; lends {lent[0]:.0f} to asia-east1; q0.9 need 84 vCPU -> 21 x n2-standard-8")


def test_a_line_says_how_much_it_has_from_peers_and_at_what_price() -> None:
    here, there = (_edge(_settings(), region).reset_index(drop=True) for region in ("asia-east1", "us-central1"))
    price = list_prices().hot_usd_per_hour("n2-standard-8", "us-central1")
    assert here["leased"].min() >= 8
    assert (here["leased"] + there["leased"] == 0).all()
    assert here["leased_usd"].tolist() == pytest.approx(price * here["leased"])
    assert there["leased_usd"].tolist() == pytest.approx(-price * here["leased"])
    for rows in (here, there):
        served = rows["hot"] + rows["leased"] + rows["warm"]
        assert (rows["cold"] + rows["unmet"]).tolist() == (rows["needed"] - served).clip(lower=0).tolist()
    assert not _edge(_settings(lends=0), "asia-east1")[["leased", "leased_usd"]].any(axis=None)


@INTERCONNECT
def test_a_lease_costs_its_egress_whether_or_not_the_borrower_can_reserve_bandwidth(text: str) -> None:
    settings = _settings(text=text)
    here, there = (_edge(settings, region, _sending(settings, 0.3)).reset_index(drop=True) for region in ("asia-east1", "us-central1"))
    price = list_prices().hot_usd_per_hour("n2-standard-8", "us-central1")
    assert here["leased"].min() >= 8
    assert here["leased_usd"].tolist() == pytest.approx((price + _egress_usd(0.3)) * here["leased"])
    assert here["why"].str.contains(f"from us-central1, each with egress for {_egress_usd(0.3):.2f} USD/h").all()
    assert there["leased_usd"].tolist() == pytest.approx(price * there["leased"])


@INTERCONNECT
def test_nothing_is_leased_where_egress_costs_more_than_the_demand_is_worth(text: str) -> None:
    settings = _settings(text=text)
    assert _egress_usd(60.0) > 100 * list_prices().hot_usd_per_hour("n2-standard-8", "asia-east1")
    assert not _edge(settings, "asia-east1", _sending(settings, 60.0))["leased"].any()


def test_nothing_is_leased_where_nobody_knows_what_a_service_sends() -> None:
    """Two services of asia-east1 send; one of them lacks its forecast, so that the bandwidth of the region is not planned."""
    text = SENDING.replace(
        "metrics:\n",
        "  other:\n    regions: [asia-east1]\n    demand: {bandwidth: egress_gbps, cpu: cpu_vcpu}\n"
        "    capacity: {machine_type: n2-standard-8, minimum_instances: 0}\nmetrics:\n",
        1,
    )
    settings = _settings(text=text)
    frame = _sending(settings, 0.3)
    assert _edge(settings, "asia-east1", frame)["leased"].any()
    assert not _edge(settings, "asia-east1", frame[frame["unique_id"] != "asia-east1/other/cpu"])["leased"].any()


def test_outcomes_count_leased_machines_for_the_borrower(tmp_path: Path) -> None:
    """80 vCPU are used in both regions; Asia's quota lets it run 64 of its own."""
    text = TEXT.replace("LENDS", "400").replace("PEER", "us-central1").replace("SLO", "slo: {availability: 0.999}")
    opened = installation(tmp_path, text.replace("N2_CPUS: 96", "N2_CPUS: 64").replace("{BUDGET}", "{name: optimal}"))
    for region in ("asia-east1", "us-central1"):
        measure(opened, f"{region}/edge/cpu", {0: 80.0, 1: 80.0})
    make_plan(opened, issue_time=ISSUE)
    found = judge(opened.settings, opened.lake, issue_time=ISSUE + 2 * HOUR)
    plan = opened.lake.read("plans", start=ISSUE, end=ISSUE + HOUR)
    plan = plan[(plan["service"] == "edge") & (plan["ds"] < ISSUE + 2 * HOUR)]
    assert plan.loc[plan["region"] == "asia-east1", "hot"].max() * 8 <= 64
    assert (found["unmet"] == 0).all()
    carried = plan.assign(held=(plan["hot"] + plan["leased"]) * 8).sort_values(["region", "ds"])
    assert found.sort_values(["region", "ds"])["held"].tolist() == carried["held"].tolist()
    assert found["held"].sum() == plan["hot"].sum() * 8
    assert found["cost_usd"].sum() == pytest.approx(plan["cost_usd"].sum())
    asia = found["region"] == "asia-east1"
    assert found.loc[asia, "cost_usd"].min() > plan.loc[plan["region"] == "asia-east1", "cost_usd"].max()


@pytest.mark.parametrize(
    "refused", [{"lends": 0}, {"slo": "slo: {latency_ms: 50}"}, {"peer": ""}], ids=["lends nothing", "too far away", "no peer"]
)
def test_nothing_is_leased_where_it_may_not_be(refused: dict) -> None:
    assert not _edge(_settings(**refused), "asia-east1")["why"].str.contains("lease").any()


def test_a_lender_lends_no_more_than_it_says() -> None:
    lent = _edge(_settings(lends=32), "us-central1")["hot"].to_numpy() - _edge(_settings(lends=0), "us-central1")["hot"].to_numpy()
    assert lent.max() <= 4


@pytest.mark.parametrize(("gbps", "most"), [(0.1, 5), (0, 0), (10, 12)])
def test_no_more_is_leased_than_the_link_carries(gbps: float, most: int) -> None:
    """A machine sends 0.02 Gbit/s."""
    settings = _settings(text=SENDING.replace("peers: [PEER]", f"peers: [PEER], links: {{PEER: {gbps}}}"))
    leased = _edge(settings, "asia-east1", _sending(settings, 0.3))["leased"]
    assert leased.max() <= most
    assert leased.min() >= min(most, 8)


def test_round_trips_are_those_of_the_distance() -> None:
    assert round_trip_ms("europe-west9", "europe-west9") == pytest.approx(0, abs=1e-9)
    assert 100 < round_trip_ms("us-central1", "europe-west9") < 130
    assert 170 < round_trip_ms("us-central1", "asia-east1") < 200
    assert round_trip_ms("africa-south1", "europe-west9") == pytest.approx(round_trip_ms("europe-west9", "africa-south1"))
