"""Ingestion of measurements: published once, in canonical units, with versions that keep the past as it was seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
from ingestion_case import SETTINGS, Case, at, like, rows, settings

from feature_store.ingestion import ingest_metrics
from headroom.demand import hourly_demand
from headroom.errors import BadInputError, SettingsError
from headroom.settings import parse_settings

DAY, HOUR1, HOUR2, HOUR3 = "2026-07-01T00:00", "2026-07-01T01:00", "2026-07-01T02:00", "2026-07-01T03:00"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    case = Case(tmp_path)
    case.put(rows(DAY, HOUR3))
    return case


def test_good_rows_are_published_in_canonical_units_and_known_when_their_step_ends(case: Case) -> None:
    report = case.ingest(DAY, HOUR1)
    table = case.table()
    assert len(table) == report.published == report.added == 5 * 12
    first = table[(table["unique_id"] == "europe-west9/edge/bandwidth")].iloc[0]
    assert first["y"] == pytest.approx(rows(DAY, HOUR1).query("metric == 'egress_mbps'")["value"].iloc[0] / 1000)
    assert first[["ds", "available_at", "source", "resource"]].tolist() == [at(DAY), at("2026-07-01T00:05"), "traces", "bandwidth"]


def test_a_delay_moves_the_time_at_which_a_row_is_known(tmp_path: Path) -> None:
    case = Case(tmp_path, settings(delay=20))
    case.put(rows(DAY, HOUR2))
    case.ingest(DAY, HOUR1, issue=HOUR2)
    assert case.lake.read("metrics", as_of=at("2026-07-01T00:24")).empty
    assert len(case.lake.read("metrics", as_of=at("2026-07-01T00:25"))) == 5


def test_the_report_is_plain_json(case: Case) -> None:
    case.put(
        pd.concat(
            [rows(DAY, HOUR1), like(rows(DAY, HOUR1), metric="connections"), like(rows(DAY, HOUR1), service="batch", metric="egress_mbps")]
        )
    )
    report = json.loads(json.dumps(dataclasses.asdict(case.ingest(DAY, HOUR1))))
    assert report["window_start"] == "2026-07-01T00:00:00+00:00"
    assert report["read"] == 61  # the source leaves out metrics that it does not list
    assert report["not_wanted"] == 1
    assert report["remarks"] == ["1 rows of metric 'connections', which the source does not list"]
    assert report["findings"] == {}
    assert report["quarantined"] == report["warned"] == 0


def test_doing_it_again_changes_nothing(case: Case) -> None:
    first = case.ingest(DAY, HOUR1)
    before, commits = case.table(), case.commits()
    for issue in (HOUR1, HOUR2, "2026-07-05"):
        again = case.ingest(DAY, HOUR1, issue=issue)
        assert (again.digest, again.published, again.added) == (first.digest, first.published, 0)
    pd.testing.assert_frame_equal(case.table(), before)
    assert case.commits() == commits


def test_one_long_window_and_many_short_ones_publish_the_same(tmp_path: Path) -> None:
    long, short = Case(tmp_path / "long"), Case(tmp_path / "short")
    for case in (long, short):
        case.put(rows(DAY, HOUR3))
    whole = long.ingest(DAY, HOUR3)
    for start, end in ((DAY, HOUR1), (HOUR1, HOUR2), (HOUR2, HOUR3)):
        short.ingest(start, end)
    pd.testing.assert_frame_equal(long.table(), short.table())
    assert short.ingest(DAY, HOUR3).digest == whole.digest


def test_a_window_in_another_time_zone_is_the_same_window(case: Case) -> None:
    paris = [pd.Timestamp(time, tz="UTC").tz_convert("Europe/Paris") for time in (DAY, HOUR1)]
    report = ingest_metrics(
        case.settings, case.lake, case.root, case.work, source="traces", start=paris[0], end=paris[1], issue_time=paris[1]
    )
    assert (report.window_start, report.published) == ("2026-07-01T00:00:00+00:00", 60)
    assert case.ingest(DAY, HOUR1).added == 0


def test_a_window_the_wrong_way_round_is_refused(case: Case) -> None:
    with pytest.raises(BadInputError, match="the window ends before it starts; swap start and end"):
        case.ingest(HOUR1, DAY)


def test_the_digest_ignores_the_order_of_rows_and_sees_a_changed_value(case: Case) -> None:
    digest = case.ingest(DAY, HOUR1).digest
    case.put(rows(DAY, HOUR3).sample(frac=1, random_state=1))
    assert case.ingest(DAY, HOUR1).digest == digest
    changed = rows(DAY, HOUR3)
    changed.loc[0, "value"] += 1e-6
    case.put(changed)
    assert case.ingest(DAY, HOUR1).digest != digest


def test_a_correction_is_a_later_version_and_the_past_stays_as_it_was_seen(case: Case) -> None:
    case.ingest(DAY, HOUR2)
    seen = {t: case.lake.read("metrics", as_of=at(t)) for t in (HOUR1, HOUR2, "2026-07-01T05:59")}
    corrected = rows(DAY, HOUR3)
    corrected.loc[3, "value"] = 123.0
    case.put(corrected)
    report = case.ingest(DAY, HOUR2, issue="2026-07-01T06:00")
    assert report.added == 1
    for moment, before in seen.items():
        pd.testing.assert_frame_equal(case.lake.read("metrics", as_of=at(moment)), before)
    now = case.lake.read("metrics", as_of=at("2026-07-01T06:00"))
    assert now.loc[now["ds"].eq(at("2026-07-01T00:15")) & now["unique_id"].eq("europe-west9/edge/cpu"), "y"].tolist() == [123.0]
    assert len(now) == 5 * 24


def test_a_correction_found_by_the_rerun_of_an_old_run_does_not_change_what_that_run_saw(case: Case) -> None:
    case.ingest(DAY, HOUR1)
    seen = case.lake.read("metrics", as_of=at(HOUR1))
    corrected = rows(DAY, HOUR3)
    corrected.loc[11, "value"] = 123.0  # the row of 00:55, known at 01:00, which is the run's issue time
    case.put(corrected)
    assert case.ingest(DAY, HOUR1).added == 1
    pd.testing.assert_frame_equal(case.lake.read("metrics", as_of=at(HOUR1)), seen)
    assert case.lake.read("metrics", where={"unique_id": "europe-west9/edge/cpu"})["y"].tolist()[-1] == 123.0
    assert case.ingest(DAY, HOUR1).added == 0


def test_a_row_that_came_late_is_known_when_it_was_found(case: Case) -> None:
    late = rows(DAY, HOUR3)
    case.put(late.drop(index=[3]))
    case.ingest(DAY, HOUR1)
    case.put(late)
    assert case.ingest(DAY, HOUR1, issue=HOUR3).added == 1
    found = case.table().query("ds == @stamp and unique_id == 'europe-west9/edge/cpu'", local_dict={"stamp": at("2026-07-01T00:15")})
    assert found["available_at"].tolist() == [at(HOUR3)]


def test_a_series_that_starts_late_in_another_region_is_not_held_back_by_the_hour_of_the_first(case: Case) -> None:
    everything = rows(DAY, HOUR3)
    case.put(everything[everything["region"] == "europe-west9"])
    case.ingest(DAY, HOUR1)
    case.put(everything)
    case.ingest(DAY, HOUR1, issue=HOUR3)
    asia = case.table().query("region == 'asia-east1'")
    assert (asia["available_at"] == asia["ds"] + pd.Timedelta("5min")).all()


def test_a_row_that_the_source_no_longer_gives_stays(case: Case) -> None:
    case.ingest(DAY, HOUR1)
    case.put(rows(DAY, HOUR3).drop(index=[3]))
    assert case.ingest(DAY, HOUR1, issue=HOUR2).added == 0
    assert len(case.table()) == 5 * 12


def test_planted_future_rows_are_refused_and_change_nothing_that_was_known(tmp_path: Path) -> None:
    clean, planted = Case(tmp_path / "clean"), Case(tmp_path / "planted")
    clean.put(rows(DAY, HOUR1))
    planted.put(pd.concat([rows(DAY, HOUR1), rows(HOUR1, HOUR3).assign(value=9.0)]))
    clean.ingest(DAY, HOUR3, issue=HOUR1)
    report = planted.ingest(DAY, HOUR3, issue=HOUR1)
    assert report.findings["future_row"] == report.quarantined == 5 * 24
    pd.testing.assert_frame_equal(planted.table(), clean.table())


def test_warnings_mark_the_rows_in_the_lake(case: Case) -> None:
    case.put(rows(DAY, HOUR3).drop(index=[3]))
    report = case.ingest(DAY, HOUR1)
    marked = case.table().query("warnings != ''")
    assert report.warned == len(marked) == 11
    assert set(marked["warnings"]) == {"incomplete_hour"}


def test_oddities_are_judged_against_what_the_lake_remembers(case: Case) -> None:
    frame = rows("2026-06-30T00:00", HOUR2)
    frame.loc[frame["timestamp"].eq(at("2026-07-01T01:30")) & frame["value"].lt(150), "value"] = 300.0
    case.put(frame)
    case.ingest("2026-06-30T00:00", HOUR1)
    report = case.ingest(HOUR1, HOUR2)
    assert report.findings == {"impossible_jump": 2}
    assert case.table().query("warnings == 'impossible_jump'")["ds"].tolist() == [at("2026-07-01T01:30"), at("2026-07-01T01:35")]


@pytest.mark.parametrize(
    ("bad", "rule", "value"),
    [
        ({"value": "n/a"}, "not_a_number", "n/a"),
        ({"value": float("nan")}, "not_a_number", None),
        ({"value": -3.0}, "negative_value", "-3.0"),
        ({"region": "mars-north1"}, "unknown_region", "100.0"),
        ({"service": "ghost"}, "unknown_service", "100.0"),
        ({}, "duplicate_row", "100.0"),
        ({"value": 7.0}, "conflicting_row", "7.0"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_rest_goes_on(case: Case, bad: dict[str, object], rule: str, value: str | None) -> None:
    good = rows(DAY, HOUR1)
    case.put(pd.concat([good, like(good, **bad)]))
    report = case.ingest(DAY, HOUR1)
    quarantine = case.quarantine()
    if rule == "not_a_number" and value is None:
        assert pd.isna(quarantine["value"].iloc[0]) or quarantine["value"].iloc[0] == "nan"
    else:
        assert quarantine["value"].tolist() == [value]
    assert quarantine["rule"].tolist() == [rule]
    assert report.findings == {rule: 1}
    assert (report.published, report.quarantined) == (60, 1)
    assert quarantine["ds"].tolist() == [at(DAY)]
    original = json.loads(quarantine["row"].iloc[0])
    assert original["origin"]["row"] == 61
    assert original["region"] == bad.get("region", "europe-west9")


def test_the_same_bad_row_is_quarantined_once_however_often_it_is_read(case: Case) -> None:
    good = rows(DAY, HOUR1)
    case.put(pd.concat([good, like(good, value=-3.0), like(good), like(good)]))
    case.ingest(DAY, HOUR1)
    before, commits = case.quarantine(), case.commits("quarantine")
    case.ingest(DAY, HOUR1, issue=HOUR3)
    pd.testing.assert_frame_equal(case.quarantine(), before)
    assert case.commits("quarantine") == commits
    assert sorted(before["rule"]) == ["duplicate_row", "duplicate_row", "negative_value"]


def test_a_mended_source_empties_the_quarantine_of_its_window_only(case: Case) -> None:
    good = rows(DAY, HOUR2)
    case.put(pd.concat([good, like(good, value=-3.0), like(good, value=-3.0, timestamp=at(HOUR1))]))
    case.ingest(DAY, HOUR1)
    case.ingest(HOUR1, HOUR2)
    case.put(pd.concat([good, like(good, value=-3.0, timestamp=at(HOUR1))]))
    case.ingest(DAY, HOUR1, issue=HOUR2)
    assert case.quarantine()["window_start"].tolist() == [at(HOUR1)]


def test_a_window_with_nothing_good_fails_after_its_rows_are_in_quarantine(case: Case) -> None:
    bad = rows(DAY, HOUR1)
    bad["value"] = -1.0
    bad.loc[0, "region"] = "mars-north1"
    case.put(bad)
    with pytest.raises(BadInputError) as refused:
        case.ingest(DAY, HOUR1)
    assert str(refused.value) == (
        "source traces, window 2026-07-01T00:00Z .. 2026-07-01T01:00Z: none of 60 rows is good (unknown_region 1, negative_value 60); "
        "read their reasons in the quarantine table, mend the source and run again"
    )
    assert len(case.quarantine()) == 60
    assert case.table().empty


def test_an_empty_window_fails_with_its_own_message(case: Case) -> None:
    with pytest.raises(
        BadInputError, match=r"source traces, window 2026-07-03.*: no rows; the window is empty; check the source, its clock"
    ):
        case.ingest("2026-07-03", "2026-07-04")


def test_a_signal_is_judged_and_kept_like_demand_and_is_never_taken_for_it(tmp_path: Path) -> None:
    text = SETTINGS.replace("FILE", "rows.csv").replace("REQUIRED", "true").replace("DELAY", "0").replace("EGRESS_UNIT", "Mbit/s")
    text = text.replace("cpu_vcpu: {unit: vCPU, maximum: 1000}", "cpu_vcpu: {unit: vCPU}\n      failed: {unit: '%', maximum: 100}")
    case = Case(tmp_path, parse_settings(text.replace("  batch:\n", "    trouble: {errors: {metric: failed}}\n  batch:\n")))
    failed = rows(DAY, HOUR1).query("metric == 'cpu_vcpu'").assign(metric="failed", value=2.0)
    failed.loc[failed.index[0], "value"] = 101.0
    case.put(pd.concat([rows(DAY, HOUR1), failed]))
    report = case.ingest(DAY, HOUR1)
    assert (report.published, report.quarantined, report.not_wanted) == (60 + 23, 1, 12), "batch has no such signal"
    assert case.quarantine()["rule"].tolist() == ["impossible_value"]
    kept = case.table()
    assert set(kept.loc[kept["unique_id"] == "asia-east1/edge/errors", "y"]) == {0.02}
    assert "errors" not in {series.resource for series in case.settings.series}
    demand = hourly_demand(case.lake, case.settings, start=at(DAY), end=at(HOUR1), as_of=at(HOUR1))
    assert demand["unique_id"].tolist() == sorted(map(str, case.settings.series))


def test_a_window_of_metrics_that_nobody_demands_says_so(case: Case) -> None:
    case.put(rows(DAY, HOUR1).query("service == 'batch'").assign(metric="egress_mbps"))
    with pytest.raises(BadInputError, match="no rows; 12 rows of metrics that no service demands"):
        case.ingest(DAY, HOUR1)


@pytest.mark.parametrize("frame", [rows(DAY, HOUR1).iloc[:0], rows(DAY, HOUR1).assign(value=-1.0)])
def test_a_source_that_is_not_required_may_have_nothing_good(tmp_path: Path, frame: pd.DataFrame) -> None:
    case = Case(tmp_path, settings(required=False))
    case.put(frame)
    report = case.ingest(DAY, HOUR1)
    assert (report.published, report.quarantined) == (0, len(frame))
    assert report.findings["missing_hour"] == report.findings["stale_series"] == 5
    assert report.remarks[0] == ("none of 60 rows is good (negative_value 60)" if len(frame) else "no rows; the window is empty")
    json.dumps(dataclasses.asdict(report))


def test_an_unknown_source_is_named_with_the_known_ones(case: Case) -> None:
    case.source = "trace"
    with pytest.raises(SettingsError, match=r"metrics: no source 'trace'; there are traces"):
        case.ingest(DAY, HOUR1)


def test_a_parquet_without_a_needed_column_is_refused_by_name(tmp_path: Path) -> None:
    case = Case(tmp_path, settings("rows.parquet"))
    case.put(rows(DAY, HOUR1).drop(columns="service"))
    with pytest.raises(
        BadInputError, match=r"source traces: rows.parquet: column 'service' is missing; expected timestamp, region, service"
    ):
        case.ingest(DAY, HOUR1)


def test_parquet_and_csv_give_the_same_lake(tmp_path: Path) -> None:
    csv, parquet = Case(tmp_path / "csv"), Case(tmp_path / "parquet", settings("rows.parquet"))
    for case in (csv, parquet):
        case.put(rows(DAY, HOUR1))
        case.ingest(DAY, HOUR1)
    pd.testing.assert_frame_equal(csv.table(), parquet.table())


def test_dying_between_quarantine_and_publication_leaves_what_a_clean_run_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Nothing in the product catches it, as nothing catches a kill."""

    clean, killed = Case(tmp_path / "clean"), Case(tmp_path / "killed")
    good = rows(DAY, HOUR1)
    for case in (clean, killed):
        case.put(pd.concat([good, like(good, value=-3.0)]))
    clean.ingest(DAY, HOUR1)
    for step in ("store_refused", "save_results", "_publish"):
        with monkeypatch.context() as patch:

            def die(*args: object, **kwargs: object) -> None:
                raise Killed

            patch.setattr(f"feature_store.ingestion.{step}", die)
            with pytest.raises(Killed):
                killed.ingest(DAY, HOUR1)
    killed.ingest(DAY, HOUR1)
    pd.testing.assert_frame_equal(killed.table(), clean.table())
    pd.testing.assert_frame_equal(killed.quarantine(), clean.quarantine())
