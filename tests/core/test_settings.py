"""capacity.yaml: what is wrong is refused with the file, the key, the value and what is allowed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from headroom.errors import SettingsError
from headroom.settings import Settings, load_settings, parse_settings
from headroom.vocabulary import SeriesId

DEMO = Path(__file__).parents[2] / "capacity.yaml"


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(DEMO.read_text())
    return raw


def problem(raw: dict[str, Any], path: str, value: object) -> str:
    """The message for the demo's settings with one key set (or deleted, when the value is ...)."""
    changed = copy.deepcopy(raw)
    *parents, last = path.split("/")
    place: Any = changed
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(SettingsError) as refused:
        parse_settings(yaml.safe_dump(changed))
    return str(refused.value)


def test_the_demo_is_valid_and_lists_its_series_in_order() -> None:
    settings = load_settings(DEMO)
    assert len(settings.series) == len(set(settings.series)) == 19
    assert settings.series == sorted(settings.series)
    assert SeriesId("us-central1", "tenants", "memory") in settings.series


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # wrong type
        ("regions/us-central1/quotas/N2_CPUS", "many", "regions.us-central1.quotas.N2_CPUS: 'many': input should be a valid number"),
        ("regions/us-central1/quotas/N2_CPUS", True, "regions.us-central1.quotas.N2_CPUS: True: input should be a valid number"),
        ("policy/tolerance", "0.15", "policy.tolerance: '0.15': input should be a valid number"),
        ("metrics/0/required", "yes", "metrics.0.required: 'yes': input should be a valid boolean"),
        ("services/edge/regions", "us-central1", "services.edge.regions: 'us-central1': input should be a valid list"),
        # unknown key
        ("policy/tolerence", 0.1, "policy.tolerence: unknown key; did you mean 'tolerance'? (allowed: approval_decrease_usd_per_day,"),
        ("regions/us-central1/zone", ["a"], "regions.us-central1.zone: unknown key; did you mean 'zones'? (allowed: failures, holidays,"),
        ("metrics/0/pth", "x", "metrics.0.pth: unknown key; did you mean 'path'? (allowed: delay_minutes,"),
        ("calendars/0/locaton", "x", "calendars.0.locaton: unknown key; did you mean 'location'? (allowed: announced_days,"),
        ("region", {}, "region: unknown key; did you mean 'regions'?"),
        # region without quota
        (
            "regions/us-central1/quotas",
            ...,
            "regions.us-central1.quotas: missing; add it (quota metric -> limit, for example N2_CPUS: 400)",
        ),
        ("regions/us-central1/quotas", {}, "regions.us-central1.quotas: empty; it needs at least 1 (quota metric -> limit,"),
        # out of range
        ("regions/us-central1/quotas/N2_CPUS", -1, "regions.us-central1.quotas.N2_CPUS: -1: input should be greater than or equal to 0"),
        ("policy/budget_usd_per_day", float("inf"), "policy.budget_usd_per_day: inf: input should be a finite number"),
        ("policy/high_confidence", 0.5, "policy: medium_confidence 0.6 must be below high_confidence 0.5"),
        ("metrics/0/step_minutes", 7, "metrics.0: step_minutes: 7 does not divide an hour; use 1, 5, 10, 15, 30 or 60"),
        ("regions/us-central1/timezone", "America/Chicgo", "'America/Chicgo' is not an IANA time zone, for example Europe/Paris"),
        # kinds
        ("metrics/0/kind", "files", "metrics.0.kind: 'files': must be one of 'file', 'prometheus'"),
        ("metrics/0/kind", ..., "metrics.0.kind: missing; add it, for example kind: file"),
        ("calendars/1/kind", ..., "calendars.1.kind: missing; add it, for example kind: ical"),
        # what spans several keys
        ("services/edge/regions", ["mars"], "services.edge.regions: 'mars' is not under regions; known: asia-east1, europe-west9,"),
        ("services/edge/regions", ["us-central1"] * 2, "services.edge.regions: 'us-central1' is given twice"),
        ("services/edge/demand/cpu", "load", "services.edge.demand.cpu: no source gives metric 'load'; known: cpu_vcpu, egress_gbps,"),
        ("services/edge/demand/gpu", "x", "services.edge.demand.gpu: 'gpu': input should be 'cpu', 'memory', 'storage', 'bandwidth'"),
        ("services/live-scores/capacity/requests_per_vcpu", ..., "services.live-scores: capacity.requests_per_vcpu: missing;"),
        ("services/batch/trouble", {"boost_hours": 1}, "services.batch.trouble: errors: missing, and so is latency;"),
        (
            "services/batch/trouble",
            {"latency": {"metric": "cpu_vcpu"}},
            "services.batch: trouble.latency.above: missing; give it, or slo.latency_ms",
        ),
        (
            "services/edge/trouble",
            {"errors": {"metric": "bad"}},
            "services.edge.trouble.errors.metric: no source gives metric 'bad'; known:",
        ),
        ("regions/us-central1/peers", ["us-central1"], "regions.us-central1.peers: 'us-central1' is not another region"),
        ("regions/us-central1/peers", ["asia-east1"] * 2, "regions.us-central1.peers: 'asia-east1' is given twice"),
        ("regions/us-central1/zones", ["us-central1-a"] * 2, "regions.us-central1.zones: 'us-central1-a' is given twice"),
        ("regions/us-central1/zones", ["europe-west9-a"], "regions.us-central1.zones: 'europe-west9-a' is not a zone of the region"),
        (
            "regions/us-central1/quotas",
            {"n2_cpus": 5},
            "regions.us-central1.quotas: 'n2_cpus' is not written as Google does; did you mean 'N2_CPUS'?",
        ),
        (
            "services/edge/capacity/boot_minutes",
            5000,
            "services.edge.capacity.boot_minutes: 5000: input should be less than or equal to 1440",
        ),
        (
            "services/edge/capacity/resume_minutes",
            1441,
            "services.edge.capacity.resume_minutes: 1441: input should be less than or equal to",
        ),
        ("regions/us-central1/links", {"asia-east1": 5}, "regions.us-central1.links: 'asia-east1' is not a peer, from which it leases"),
        ("regions/us-central1/links", {"europe-west9": -5}, "regions.us-central1.links.europe-west9: -5: input should be greater"),
        ("cloud", ..., "cloud: missing; add it"),
    ],
)
def test_one_mistake_gives_one_line_that_names_it(demo: dict[str, Any], path: str, value: object, message: str) -> None:
    text = problem(demo, path, value)
    assert text.startswith("capacity.yaml: ")
    assert message in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("name", ["Edge", "a/b", "edge service", "9edge", "x" * 40])
def test_a_name_that_cannot_be_part_of_a_series_or_a_cloud_resource_is_refused(demo: dict[str, Any], name: str) -> None:
    assert "string should match pattern" in problem(demo, "services", demo["services"] | {name: demo["services"]["edge"]})


def test_two_sources_or_calendars_of_one_name_are_refused(demo: dict[str, Any]) -> None:
    assert "metrics: 'traces' is given twice" in problem(demo, "metrics", demo["metrics"] * 2)
    assert "calendars: 'matches' is given twice" in problem(demo, "calendars", [*demo["calendars"], demo["calendars"][0]])


def test_every_mistake_is_told_at_once(demo: dict[str, Any]) -> None:
    broken = copy.deepcopy(demo)
    broken["policy"]["tolerance"] = 2
    broken["services"]["edge"]["colour"] = "red"
    del broken["cloud"]["project"]
    with pytest.raises(SettingsError) as refused:
        parse_settings(yaml.safe_dump(broken))
    assert len(str(refused.value).splitlines()) == 3


def test_a_key_given_twice_is_refused_where_yaml_would_take_the_last() -> None:
    text = DEMO.read_text().replace("  media:\n", "  edge:\n")
    with pytest.raises(SettingsError, match=r"capacity.yaml: not valid YAML: key 'edge' is given twice; keep one of them"):
        parse_settings(text)


def test_anchors_and_merges_of_yaml_work() -> None:
    text = DEMO.read_text().replace(
        "capacity: {machine_type: n2-standard-8, target_utilisation: 0.7}", "capacity: {<<: &c {machine_type: n2-standard-8}}"
    )
    assert parse_settings(text).services["media"].capacity.target_utilisation == 0.6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected keys regions, services, metrics, calendars, policy, forecasting, cloud at the top level, got NoneType"),
        ("- a", "at the top level, got list"),
        ("a: [", "not valid YAML: .*line 1"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=r"(?s)mine.yaml: .*" + message):
        parse_settings(text, name="mine.yaml")


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere.yaml: no such file; set HEADROOM_CAPACITY"):
        load_settings(tmp_path / "nowhere.yaml")


def test_a_prometheus_source_needs_a_query_per_metric(demo: dict[str, Any]) -> None:
    source = {"kind": "prometheus", "name": "live", "url": "http://localhost:9090", "metrics": {"cpu_vcpu": {"unit": "vCPU"}}}
    text = problem(demo, "metrics", [*demo["metrics"], source])
    assert "metrics.1: metrics.cpu_vcpu.query: missing; a prometheus source needs one PromQL per metric" in text


def test_settings_cannot_be_changed_by_accident() -> None:
    settings: Settings = load_settings(DEMO)
    with pytest.raises(ValueError, match="frozen"):
        settings.policy.tolerance = 0.5  # type: ignore[misc]
