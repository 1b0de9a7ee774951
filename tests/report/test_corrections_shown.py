"""What corrections did between the plans is on the page and in the summary; where they are not wanted, neither says a word."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from headroom.console import open_console
from headroom.corrected import corrected_until
from headroom.home import Home
from headroom.lake import Lake
from headroom.report import write_report
from headroom.report_page.correction_chart import correction_figures
from headroom.settings import Settings, parse_settings
from headroom.summary import print_summary, summarise
from infra.corrections import Correction, record_corrections
from infra.ledger import Ledger
from infra.ledger_rows import Fact, Holding
from infra.prices import list_prices
from tests.report.chromium import look_at, needs_chromium
from tests.report.demo_state import ISSUE, REPOSITORY

State = tuple[Settings, Home, Lake]

FIVE = pd.Timedelta("5min")
N2, N4 = "n2-standard-8", "n2-standard-4"
DEARER = list_prices().hot_usd_per_hour(N2, "us-central1") - list_prices().warm_usd_per_hour(N2, "us-central1")


@pytest.fixture(scope="module")
def corrected(state: State, tmp_path_factory: pytest.TempPathFactory) -> State:
    """Half a day between plans: edge needs more in the morning and gets it; api finds no stock; edge then needs more than stands by, and still does."""
    _, home, _ = state
    root = tmp_path_factory.mktemp("corrected") / "var"
    shutil.copytree(home.root, root)
    mine = Home.from_environment({"HEADROOM_HOME": str(root)})
    text = (REPOSITORY / "capacity.yaml").read_text()
    assert "  # correction: {minutes: 15, quantile: 0.9}" in text
    settings = parse_settings(text.replace("  # correction: {minutes: 15, quantile: 0.9}", "  correction: {minutes: 15, quantile: 0.9}"))
    ledger = Ledger.open(mine.database_url)
    morning, noon = ISSUE + pd.Timedelta("2h"), ISSUE + pd.Timedelta("5h")
    live(ledger, "us-central1", "edge", N2, morning, planned=6, standby=4, needed=[7, 8, 9, 9, 8, 7, 6])
    live(ledger, "asia-east1", "api", N4, morning + FIVE, planned=3, standby=2, needed=[4, 5, 5, 3], most=4)
    live(ledger, "us-central1", "edge", N2, noon, planned=6, standby=4, needed=[8, 10, 12])
    ledger.engine.dispose()
    return settings, mine, Lake(mine.lake_uri)


def live(
    ledger: Ledger,
    region: str,
    service: str,
    machine_type: str,
    start: pd.Timestamp,
    *,
    planned: int,
    standby: int,
    needed: Sequence[int],
    most: int | None = None,
) -> None:
    """The plan held, then corrections every five minutes, as reconciliations leave them; no more than `most` machines start."""

    def seen(at: pd.Timestamp, hot: int, warm: int) -> None:
        pools = [(pool, amount) for pool, amount in (("hot", hot), ("warm", warm)) if amount]
        held = [
            Holding("", service, "instances", pool, f"headroom-{service}", amount, "instances", 1.0, machine_type) for pool, amount in pools
        ]
        ledger.record_result(region, ISSUE, held, [], since=[at])

    seen(ISSUE, planned, standby)
    for number, need in enumerate(needed):
        at, hot = start + number * FIVE, min(max(planned, need), planned + standby)
        warm, ran = planned + standby - hot, min(hot, most or hot)
        why = f"the next 15 minutes need {need} (38 vCPU, q0.9 or as last measured); the plan of {ISSUE:%Y-%m-%d %H:%M} holds "
        why += f"{planned} hot and {standby} warm: {hot} run"
        record_corrections(
            ledger, [Correction(region, service, machine_type, at, ISSUE, at + 3 * FIVE, need, hot, warm, hot - planned, why)]
        )
        if ran < hot:
            code, name = "ZONE_RESOURCE_POOL_EXHAUSTED", f"headroom-{service}"
            ledger.record_fact(ISSUE, Fact(region, "", service, name, "machines", code, "no stock", hot, ran, machine_type))
        seen(at, ran, warm)


@pytest.fixture(scope="module")
def corrected_page(corrected: State) -> Path:
    return write_report(*corrected)


def section(text: str) -> str:
    found = re.search(r'<h2 id="corrections">.*?(?=<h2)', text, re.DOTALL)
    return "" if found is None else found.group()


def test_where_corrections_are_not_set_the_page_and_the_summary_say_nothing_of_them(
    state: State, corrected: State, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "correct" not in page.read_text().lower()
    settings, home, lake = state[0], corrected[1], corrected[2]
    summary = summarise(settings, home, lake)
    assert summary.corrected is None
    print_summary(summary, open_console())
    assert "\ncorrected " not in capsys.readouterr().out


def test_where_none_was_needed_the_page_says_so_and_has_no_list(corrected: State, state: State, tmp_path: Path) -> None:
    shutil.copytree(state[1].root, tmp_path / "var")
    home = Home.from_environment({"HEADROOM_HOME": str(tmp_path / "var")})
    text = write_report(corrected[0], home, Lake(home.lake_uri)).read_text()
    assert "no plan in the last 7 days: nothing more was needed than hot" in text
    assert section(text) == ""


@needs_chromium
def test_a_browser_shows_when_where_why_what_failed_and_the_cost(corrected: State, corrected_page: Path, tmp_path: Path) -> None:
    seen = look_at(corrected_page, tmp_path)
    assert (seen.console, seen.requests) == ([], set())
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', section(seen.dom), re.DOTALL)
    words = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    assert len(words) == 3
    assert words[0].startswith(f"us-central1/edge {N2} Thu 9 Jul 05:00 still on 6 hot 4 warm 12 10 2 fewer could run than were needed ")
    no_stock = "1 did not run: ZONE_RESOURCE_POOL_EXHAUSTED in asia-east1"
    assert words[1].startswith(f"asia-east1/api {N4} Thu 9 Jul 02:05 to 02:20 3 hot 2 warm 5 4 {no_stock} ")
    assert words[2].startswith(f"us-central1/edge {N2} Thu 9 Jul 02:00 to 02:30 6 hot 4 warm 9 9 nothing {DEARER:.2f} USD 1 machine-hours ")
    assert '<a href="#corrections">corrected</a> 3 times in the last 7 days' in seen.dom
    assert "the next 15 minutes need 9 (38 vCPU" in words[2]
    pictures = re.findall(r'<figure data-corrected="([^"]+)">.*?<svg class="fan machines"', section(seen.dom), re.DOTALL)
    assert pictures == [f"us-central1/edge/{N2}", f"asia-east1/api/{N4}"]


def test_the_summary_prints_what_it_cost_beyond_the_plans(corrected: State, capsys: pytest.CaptureFixture[str]) -> None:
    summary = summarise(*corrected)
    assert summary.corrected is not None
    assert summary.corrected.machine_hours == pytest.approx(5 / 60 * (12 + 3 + 2 + 4 + 3 * 4))
    print_summary(summary, open_console())
    told = f"3 times in the last 7 days: 2.75 machine-hours and {summary.corrected.usd:,.2f} USD beyond the plans; 2 fell short"
    assert told in " ".join(capsys.readouterr().out.split())


def test_the_picture_has_what_was_planned_needed_and_running(corrected: State) -> None:
    known = corrected_until(corrected[0], corrected[1], ISSUE)
    assert known is not None
    edge, api = correction_figures(known, most=2)
    assert 'class="beyond"' in edge.svg
    assert 'class="lacking"' in edge.svg
    assert "05:10 to 05:25: 12 needed, 6 hot and 4 warm planned, 10 ran." in edge.svg
    assert "02:10 to 02:20: 5 needed, 3 hot and 2 warm planned, 4 ran." in api.svg
    planned = re.search(r'class="hot" d="M([^"]*)"', edge.svg)
    assert planned is not None
    assert len(set(planned.group(1).split()[1::2])) == 1, "the plan was the same all day"


def test_an_earlier_page_knows_nothing_of_what_came_later(corrected: State) -> None:
    settings, home, _ = corrected
    at = ISSUE + pd.Timedelta("3h")
    known = corrected_until(settings, home, ISSUE, issue_time=at)
    assert known is not None
    assert len(known.spells) == 2
    assert known.until == at
    assert known.held["ds"].max() <= at


def test_text_from_outside_cannot_become_markup(corrected: State) -> None:
    known = corrected_until(corrected[0], corrected[1], ISSUE)
    assert known is not None
    hostile = known.rows.assign(service="<script>")
    held = known.held.assign(service="<script>")
    spells = tuple(type(spell)(**{**vars(spell), "service": "<script>"}) for spell in known.spells)
    assert all("<script>" not in figure.svg for figure in correction_figures(type(known)(spells, hostile, held, known.until), most=2))
