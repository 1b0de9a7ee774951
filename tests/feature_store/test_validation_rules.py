"""Every rule: what breaks it is found, named and kept apart; what keeps it goes on."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from ingestion_case import at, rows, settings

from feature_store.validation import RULES, Severity, Window, judge_rows, judge_series, wanted_rows
from feature_store.validation.engine import check, load_great_expectations
from feature_store.validation.judge import _first

START, END = "2026-07-01T00:00", "2026-07-01T02:00"


def window(start: str = START, end: str = END, issue: str = END, **options) -> Window:
    chosen = settings(**options)
    return Window(chosen, chosen.metrics[0], at(start), at(end), at(issue))


def raw(start: str = START, end: str = END) -> pd.DataFrame:
    frame = rows(start, end)
    return frame.assign(row='{"row": ' + pd.Series(range(1, len(frame) + 1)).astype(str) + "}")


def broken(changes: dict[str, object], row: int = 7) -> pd.DataFrame:
    frame = raw().astype({"value": "object"}) if isinstance(changes.get("value"), str) else raw()
    for column, value in changes.items():
        frame.loc[row, column] = value
    return frame


def test_clean_rows_break_nothing() -> None:
    verdict = judge_rows(raw(), window())
    assert verdict.findings == {}
    assert len(verdict.good) == len(raw())
    assert verdict.refused.empty


@pytest.mark.parametrize(
    ("changes", "rule", "reason"),
    [
        ({"timestamp": pd.NaT}, "unreadable_timestamp", r'timestamp is not a time: \{"row": 8\}'),
        ({"timestamp": at("2026-06-30T23:55")}, "outside_window", "outside the window that was asked for: 2026-06-30"),
        ({"timestamp": at("2026-07-01T00:35:07")}, "off_step", "not a multiple of the source's step: 2026-07-01 00:35:07"),
        ({"metric": None}, "missing_metric", "names no metric"),
        ({"region": "mars-north1"}, "unknown_region", "region is not in capacity.yaml: mars-north1"),
        ({"region": None}, "unknown_region", "region is not in capacity.yaml"),
        ({"service": "ghost"}, "unknown_service", "service is not in capacity.yaml: ghost"),
        ({"service": "batch", "region": "asia-east1"}, "unknown_placement", "does not run in that region: asia-east1/batch"),
        ({"value": "n/a"}, "not_a_number", "value is not a finite number: n/a"),
        ({"value": np.nan}, "not_a_number", "value is not a finite number: nan"),
        ({"value": np.inf}, "not_a_number", "value is not a finite number: inf"),
        ({"value": -0.5}, "negative_value", r"value is negative: -0.5 \(check the counter"),
        ({"value": 1000.5}, "impossible_value", "value is above the metric's maximum: 1000.5"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_alone_and_told_why(changes: dict[str, object], rule: str, reason: str) -> None:
    verdict = judge_rows(broken(changes), window())
    assert verdict.findings == {rule: 1}
    assert verdict.refused["rule"].tolist() == [rule]
    assert verdict.refused["reason"].str.contains(reason).all(), verdict.refused["reason"].tolist()
    assert verdict.refused["reason"].str.contains(RULES[rule].remedy, regex=False).all()
    assert len(verdict.good) == len(raw()) - 1


def test_a_row_of_the_future_is_refused() -> None:
    """The row 01:00 describes [01:00, 01:05): at 01:04 it cannot be known, at 01:05 it can."""
    early = judge_rows(raw(), window(issue="2026-07-01T01:04"))
    assert early.refused["timestamp"].min() == at("2026-07-01T01:00")
    assert early.findings == {"future_row": 5 * 12}
    assert judge_rows(raw(), window(issue="2026-07-01T01:05")).refused["timestamp"].min() == at("2026-07-01T01:05")


def test_a_row_that_breaks_several_rules_is_filed_once_with_every_reason() -> None:
    verdict = judge_rows(broken({"region": "mars-north1", "value": -1.0}), window())
    assert verdict.findings == {"unknown_region": 1, "negative_value": 1}
    assert verdict.refused["rule"].tolist() == ["unknown_region"]
    assert verdict.refused["reason"].str.contains("mars-north1.*; value is negative: -1.0").all()


def test_of_repeated_rows_the_first_is_kept() -> None:
    frame = raw()
    doubled = pd.concat([frame, frame.iloc[[3, 3, 4]]], ignore_index=True)
    verdict = judge_rows(doubled, window())
    assert verdict.findings == {"duplicate_row": 3}
    assert verdict.good.index.tolist() == frame.index.tolist()


def test_of_contradicting_rows_the_first_is_kept_and_the_conflict_named() -> None:
    frame = raw()
    verdict = judge_rows(pd.concat([frame, frame.iloc[[3]].assign(value=99.0)], ignore_index=True), window())
    assert verdict.findings == {"conflicting_row": 1}
    assert verdict.refused["value"].tolist() == [99.0]
    assert verdict.good.loc[3, "number"] == frame.loc[3, "value"]


def test_a_bad_first_row_does_not_shadow_a_good_second_one() -> None:
    frame = broken({"value": np.nan}, row=3)
    verdict = judge_rows(pd.concat([frame, frame.iloc[[3]].assign(value=99.0)], ignore_index=True), window())
    assert verdict.findings == {"not_a_number": 1}
    assert verdict.good["number"].tolist()[-1] == 99.0


def test_a_unit_that_cannot_measure_the_resource_costs_only_its_own_metric() -> None:
    verdict = judge_rows(raw(), window(egress_unit="GiB"))
    assert verdict.findings == {"unknown_unit": 2 * 24}
    assert set(verdict.refused["metric"]) == {"egress_mbps"}
    assert verdict.refused["reason"].str.contains("does not measure the service's resource: GiB").all()


@pytest.mark.parametrize("column", ["timestamp", "region", "value", "row"])
def test_an_answer_without_a_column_has_a_finding_and_no_rows(column: str) -> None:
    verdict = judge_rows(raw().drop(columns=column), window())
    assert verdict.findings == {"wrong_columns": 0}
    assert verdict.good.empty


def test_rows_that_nobody_asked_for_are_not_wanted() -> None:
    frame = raw()
    others = frame.iloc[:4].copy()
    others["metric"] = ["connections", "egress_mbps", "cpu_vcpu", None]
    others["service"] = ["edge", "batch", "ghost", "edge"]  # batch demands no bandwidth; ghost and the nameless are judged
    assert wanted_rows(others, window()).tolist() == [False, False, True, True]
    assert wanted_rows(frame, window()).all()


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {"unique_id": frame["region"] + "/" + frame["service"] + "/" + frame["metric"], "ds": frame["timestamp"], "y": frame["value"]}
    )


NAMED = {"cpu_vcpu": "cpu", "egress_mbps": "bandwidth"}
HISTORY_START = "2026-06-30T00:00"


def judged(frame: pd.DataFrame, history: pd.DataFrame | None = None, **options):
    past = rows(HISTORY_START, START) if history is None else history
    return judge_series(
        measured(frame.assign(metric=frame["metric"].map(NAMED))),
        measured(past.assign(metric=past["metric"].map(NAMED))),
        window(**options),
    )


def marked(frame: pd.DataFrame, verdict) -> pd.DataFrame:
    return frame[verdict.warnings != ""].assign(warnings=verdict.warnings[verdict.warnings != ""])


def test_usual_rows_get_no_warning() -> None:
    verdict = judged(rows(START, END))
    assert verdict.findings == {}
    assert verdict.remarks == []
    assert (verdict.warnings == "").all()


def test_an_hour_with_a_gap_marks_its_rows() -> None:
    frame = rows(START, END).drop(index=[3]).reset_index(drop=True)  # the first series misses 00:15
    verdict = judged(frame)
    hits = marked(frame, verdict)
    assert verdict.findings == {"incomplete_hour": 11}
    assert set(hits["timestamp"].dt.hour) == {0}
    assert hits["service"].eq("edge").all()


def test_a_missing_hour_is_counted_and_named() -> None:
    frame = rows(START, END)
    gone = (frame["service"] == "batch") & (frame["timestamp"] < at("2026-07-01T01:00"))
    verdict = judged(frame[~gone].reset_index(drop=True))
    assert verdict.findings == {"missing_hour": 1}
    assert verdict.remarks == ["europe-west9/batch/cpu: 1 hours without a row, 2026-07-01 00:00:00+00:00 .. 2026-07-01 00:00:00+00:00"]


def test_a_report_names_the_first_series_and_counts_the_rest() -> None:
    remarks = _first([f"series {number}" for number in range(14)])
    assert remarks[9:] == ["series 9", "and 4 more series like this"]
    assert _first(remarks[:3]) == remarks[:3]


def test_a_series_that_stopped_is_stale() -> None:
    frame = rows(START, END)
    gone = (frame["service"] == "batch") & (frame["timestamp"] >= at("2026-07-01T01:25"))
    verdict = judged(frame[~gone].reset_index(drop=True))
    assert verdict.findings == {"incomplete_hour": 5, "stale_series": 1}
    assert verdict.remarks == ["europe-west9/batch/cpu: silent for 35 minutes"]


def test_what_the_source_has_not_yet_published_is_not_missing() -> None:
    frame = rows(START, "2026-07-01T01:30")
    assert judged(frame, issue="2026-07-01T02:00", delay=30).findings == {}
    assert judged(frame, issue="2026-07-01T02:00", delay=0).findings == {"incomplete_hour": 5 * 6}


def test_a_spike_is_marked_going_up_and_coming_down() -> None:
    frame = rows(START, END)
    frame.loc[6, "value"] *= 20
    verdict = judged(frame)
    assert verdict.findings == {"impossible_jump": 2}
    assert marked(frame, verdict)["timestamp"].tolist() == [at("2026-07-01T00:30"), at("2026-07-01T00:35")]


def test_a_jump_from_the_last_row_of_the_history_is_seen() -> None:
    frame = rows(START, END)
    frame.loc[frame["service"] == "batch", "value"] *= 20
    verdict = judged(frame)
    assert verdict.findings == {"impossible_jump": 1}
    assert marked(frame, verdict)["timestamp"].tolist() == [at(START)]


def test_without_history_nothing_is_called_odd() -> None:
    frame = rows(START, END)
    frame.loc[6, "value"] *= 20
    frame.loc[30:40, "value"] = 5.0
    assert judged(frame, history=frame.iloc[:0]).findings == {}


def test_a_value_that_sticks_is_marked_from_the_sixth_step_on() -> None:
    frame = rows(START, END)
    frame.loc[4:12, "value"] = frame.loc[4, "value"]
    verdict = judged(frame)
    assert verdict.findings == {"stuck_value": 4}
    assert marked(frame, verdict)["timestamp"].min() == at("2026-07-01T00:45")


def test_a_standstill_that_began_before_the_window_counts_in_full() -> None:
    past, frame = rows(HISTORY_START, START), rows(START, END)
    own = past["service"].eq("batch") & (past["timestamp"] >= at("2026-06-30T23:40"))
    past.loc[own, "value"] = 5.0
    frame.loc[frame["service"].eq("batch") & (frame["timestamp"] < at("2026-07-01T00:10")), "value"] = 5.0
    verdict = judged(frame, history=past)
    assert verdict.findings == {"stuck_value": 1}  # four steps before the window, the sixth step is the second inside
    assert set(marked(frame, verdict)["service"]) == {"batch"}


def test_a_series_that_stands_still_by_nature_is_not_stuck() -> None:
    flat = [f.assign(value=f["value"].round(-2)) for f in (rows(HISTORY_START, START), rows(START, END))]
    assert "stuck_value" not in judged(flat[1], history=flat[0]).findings


def test_rows_with_several_warnings_carry_all_names() -> None:
    frame = rows(START, END)
    frame.loc[6, "value"] *= 20
    verdict = judged(frame.drop(index=[3]).reset_index(drop=True))
    assert verdict.warnings[5] == "incomplete_hour,impossible_jump"


def test_every_rule_says_what_to_do() -> None:
    assert all(rule.reason and rule.remedy for rule in RULES.values())
    assert {rule.severity for rule in RULES.values()} == {Severity.CRITICAL, Severity.WARNING}


def test_the_engine_reports_nothing_to_its_makers() -> None:
    load_great_expectations()
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_a_contract_that_cannot_be_evaluated_is_an_error_not_a_pass() -> None:
    gx = load_great_expectations()
    suite = gx.ExpectationSuite(
        name="odd", expectations=[gx.expectations.ExpectColumnValuesToNotBeNull(column="nowhere", meta={"rule": "odd"})]
    )
    with pytest.raises(RuntimeError, match=r"contract odd, rule odd: .*nowhere"):
        check(suite, raw())
