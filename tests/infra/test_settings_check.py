"""Names of the settings that Google does not have are told with the nearest one, and a quota of such a name stops a plan."""

from pathlib import Path

import pytest

from headroom.doctor import Finding, examine
from headroom.errors import BadInputError
from headroom.home import Home
from headroom.settings import Settings, parse_settings
from infra.settings_check import unlimited_families, unplanned_quotas, wrong_names
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts
from tests.infra.planned_rows import planned_rows

TEXT = SETTINGS.replace("{BUDGET}", "{}")


def _settings(old: str = "", new: str = "") -> Settings:
    assert old in TEXT
    return parse_settings(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "N2_CPUS",
            "N2CPU",
            "regions.us-central1.quotas: 'N2CPU' is no quota of Google's and would limit nothing; did you mean 'N2_CPUS'?",
        ),
        (
            "N2_CPUS",
            "INSTANCE",
            "regions.us-central1.quotas: 'INSTANCE' is no quota of Google's and would limit nothing; did you mean 'INSTANCES'?",
        ),
        (
            "n2-standard-8",
            "n2-standart-8",
            "services.edge.capacity: machine type 'n2-standart-8' is not in the price list; did you mean n2-standard-8",
        ),
        (
            "n2-standard-8,",
            "n2-standard-8, also: [n2d-standard-7],",
            "services.edge.capacity.also: machine type 'n2d-standard-7' is not in",
        ),
        ("n2-standard-8", "c2-standard-30", "services.edge.capacity: machine type c2-standard-30 has no on-demand price in region"),
        ("minimum_instances: 2", "storage: {type: pd-ssdd}", "services.tenants.capacity: disk type 'pd-ssdd' is not in the price list"),
    ],
)
def test_names_that_are_not_googles_are_told_with_the_nearest(old: str, new: str, words: str) -> None:
    found = wrong_names(_settings(old, new))
    assert len(found) <= 2, "once per region at most"
    assert found[0].startswith(words)


def test_a_region_that_is_not_sold_is_told_once_and_not_for_every_service() -> None:
    text = TEXT.replace("asia-east1", "asia-eest1")
    assert wrong_names(parse_settings(text)) == ["regions: 'asia-eest1' is not in the price list; did you mean 'asia-east1'?"]


def test_what_is_googles_is_accepted() -> None:
    """Of quotas also those that no machine of the price list counts against."""
    quotas = "quotas: {N2_CPUS: 1000, N2A_CPUS: 5, NVIDIA_T4_GPUS: 4, INSTANCES: 600"
    settings = _settings("quotas: {N2_CPUS: 1000", quotas)
    assert not wrong_names(settings)
    assert unplanned_quotas(settings) == ["INSTANCES", "N2A_CPUS", "NVIDIA_T4_GPUS"]


def test_a_plan_with_a_quota_that_would_limit_nothing_is_refused() -> None:
    settings = _settings("N2_CPUS", "N2CPU")
    with pytest.raises(BadInputError, match=r"quotas: 'N2CPU' is no quota of Google's"):
        planned_rows(settings, forecasts(settings, hours=2), issue_time=ISSUE)


def test_families_without_a_quota_are_named() -> None:
    assert unlimited_families(_settings()) == []
    assert unlimited_families(_settings("N2_CPUS", "N2D_CPUS")) == ["n2 in us-central1"]
    assert unlimited_families(_settings("N2_CPUS", "CPUS")) == []


def test_the_doctor_tells_names_and_what_limits_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(text: str) -> dict[str, list[Finding]]:
        (tmp_path / "capacity.yaml").write_text(text)
        found = examine(Home.from_environment())
        return {subject: [finding for finding in found if finding.subject == subject] for subject in ("names", "quotas")}

    monkeypatch.setenv("HEADROOM_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("HEADROOM_CAPACITY", str(tmp_path / "capacity.yaml"))
    monkeypatch.setenv("HEADROOM_AIRFLOW_PORT", "1")
    well = told(
        TEXT.replace("N2_CPUS: 1000", "N2_CPUS: 1000, INSTANCES: 5").replace("project: test", "project: test, endpoint: http://127.0.0.1:1")
    )
    assert [finding.ok for finding in well["names"]] == [True]
    assert [finding.detail for finding in well["quotas"]] == ["planning looks at those of vCPUs alone; the cloud enforces INSTANCES"]
    ill = told(TEXT.replace("N2_CPUS", "N2CPU").replace("project: test", "project: test, endpoint: http://127.0.0.1:1"))
    assert [(finding.ok, finding.needed) for finding in ill["names"]] == [(False, True)] * 2
    first = ill["quotas"][0]
    assert (first.ok, first.needed) == (False, False)
    assert "n2 in us-central1" in first.detail
