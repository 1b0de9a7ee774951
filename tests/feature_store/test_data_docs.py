"""Data Docs: every kept result has its page, the index leads to all of them, and building again is harmless."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from ingestion_case import Case, at, like, rows, settings

from feature_store.data_docs import write_data_docs
from feature_store.validation import Window
from feature_store.validation_results import read_results, save_results

DAY, HOUR1, HOUR2 = "2026-07-01T00:00", "2026-07-01T01:00", "2026-07-01T02:00"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One window with a bad row, one clean."""
    case = Case(tmp_path_factory.mktemp("docs"))
    good = rows(DAY, HOUR2)
    case.put(pd.concat([good, like(good, value=-3.0)]))
    case.ingest(DAY, HOUR1)
    case.ingest(HOUR1, HOUR2)
    return case


def pages(site: Path) -> set[str]:
    return {str(path.relative_to(site)) for path in site.rglob("*.html")}


def test_the_index_leads_to_a_page_per_window_and_contract(case: Case, tmp_path: Path) -> None:
    index = write_data_docs(case.work, tmp_path / "site")
    assert index == tmp_path / "site" / "index.html"
    linked = set(re.findall(r"validations/[^'\"]+\.html", index.read_text()))
    assert linked == {page for page in pages(index.parent) if page.startswith("validations/")}
    assert len(linked) == 2 * 5
    assert {f"expectations/traces-{contract}.html" for contract in ("schema", "rows", "keys", "series", "hours")} <= pages(index.parent)


def test_a_page_says_which_rule_was_broken_and_what_to_do(case: Case, tmp_path: Path) -> None:
    site = write_data_docs(case.work, tmp_path / "site").parent
    page = next(site.glob("validations/traces-rows/*_20260701T0000Z_20260701T0100Z/*/*.html")).read_text()
    assert "negative_value (critical): value is negative. Remedy: check the counter or the query" in page
    assert "1 unexpected values found" in page


def test_building_again_gives_the_same_site_and_leaves_nothing_beside_it(case: Case, tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_data_docs(case.work, site)
    first = pages(site)
    (site / "validations" / "old").mkdir()
    (site / "validations" / "old" / "gone.html").write_text("left by a build of other results")
    write_data_docs(case.work, site)
    assert pages(site) == first
    assert not (site / "validations" / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_without_results_there_is_still_a_site(tmp_path: Path) -> None:
    assert write_data_docs(tmp_path / "work", tmp_path / "site").is_file()


def test_only_the_newest_windows_are_kept(case: Case, tmp_path: Path) -> None:
    result = next(read_results(case.work))["result"]
    chosen = settings()
    for hour in range(60):
        start = at(DAY) + pd.Timedelta(hours=hour)
        save_results(tmp_path, Window(chosen, chosen.metrics[0], start, start + pd.Timedelta("1h"), start + pd.Timedelta("1h")), [result])
    site = write_data_docs(tmp_path, tmp_path / "site").parent
    kept = [document["run_name"] for document in read_results(tmp_path)]
    assert len(kept) == 50
    assert kept[-1] == "20260703T1200Z_traces_20260703T1100Z_20260703T1200Z"
    assert len([page for page in pages(site) if page.startswith("validations/")]) == 50


def test_the_same_window_judged_again_replaces_its_result(case: Case) -> None:
    before = len(list(read_results(case.work)))
    case.ingest(HOUR1, HOUR2)
    assert len(list(read_results(case.work))) == before
    assert not list(case.work.rglob("*.part"))


def test_a_result_stays_small_when_every_row_is_bad(tmp_path: Path) -> None:
    case = Case(tmp_path, settings(required=False))
    case.put(rows(DAY, "2026-07-03").assign(value=-1.0))
    case.ingest(DAY, "2026-07-03")
    assert max(len(json.dumps(document)) for document in read_results(case.work)) < 30_000
