"""Starts, stops and running times count from plan to plan, by what the ledger says was held, and nothing later is known."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headroom.settings import Settings
from infra.bill import held_hours
from infra.ledger import Ledger
from infra.ledger_rows import Holding
from infra.run_history import run_history
from infra.running import RunHistory
from infra.targets import MachineTarget, desired_state
from tests.infra.forecast_rows import ISSUE, forecasts, set_demand, settings
from tests.infra.planned_rows import planned_rows

HOUR = pd.Timedelta("1h")
US = "us-central1"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.engine.dispose()


class Chain:
    """Plans that are made one after the other, held as the reconciler is asked to, and written to a ledger."""

    def __init__(self, ledger: Ledger, chosen: Settings) -> None:
        self.ledger, self.settings = ledger, chosen
        self.plans: dict[pd.Timestamp, pd.DataFrame] = {}

    def history(self, issue: pd.Timestamp) -> RunHistory:
        return run_history(self.settings, self.ledger, self._plan_of, issue_time=issue)

    def plan(self, issue: pd.Timestamp, load_of: Callable[[pd.DatetimeIndex], Sequence[float]]) -> pd.DataFrame:
        frame = forecasts(self.settings, median=5.0, issue=issue)
        frame = set_demand(frame, f"{US}/tenants/cpu", list(load_of(pd.date_range(issue, periods=72, freq="h"))))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("infra.policies.optimal._SMALL", 0)  # rounded, as large plans are
            return planned_rows(self.settings, frame, issue_time=issue, history=self.history(issue))

    def act(self, issue: pd.Timestamp, plan: pd.DataFrame) -> None:
        self.plans[issue] = plan
        for region in self.settings.regions:
            targets = desired_state(self.settings, plan, issue_time=issue, region=region)
            held = [running(target, target.hot) for target in targets if isinstance(target, MachineTarget) and target.hot]
            self.ledger.record_result(region, issue, held, [])

    def walk(self, start: pd.Timestamp, hours: int, load_of: Callable[[pd.DatetimeIndex], Sequence[float]]) -> pd.Series:
        """Machines of tenants that were held in each hour."""
        end = start + hours * HOUR
        for issue in pd.date_range(start, end, freq=f"{self.settings.policy.hold_hours}h", inclusive="left"):
            self.act(issue, self.plan(issue, load_of))
        held = held_hours(self.ledger, start=start, end=end, region=US)
        hot = held[held["service"] == "tenants"].set_index("ds")["amount"]
        return hot.reindex(pd.date_range(start, end, freq="h", inclusive="left"), fill_value=0.0)

    def _plan_of(self, issued: pd.Timestamp, region: str) -> pd.DataFrame:
        plan = self.plans[issued]
        return plan[plan["region"] == region]


def running(target: MachineTarget, machines: int) -> Holding:
    return Holding(f"{US}-a", target.service, "instances", "hot", target.reservation, machines, "instances", 0.1, target.machine_type)


def wave(hours: pd.DatetimeIndex) -> list[float]:
    """Known for sure: three hours of two machines, three of twenty."""
    return [8.0 if hour % 6 < 3 else 80.0 for hour in hours.hour]


def moves_per_day(hot: pd.Series) -> pd.Series:
    """The first hour is not known to have started anything."""
    return hot.diff().fillna(0.0).abs().resample("D").sum()


def kept_running(hot: pd.Series, hours: int) -> bool:
    """Whether all that was started in the last so many hours runs, in every hour."""
    return bool((hot >= hot.diff().fillna(0.0).clip(lower=0).rolling(hours, min_periods=1).sum()).all())


def test_without_limits_a_chain_follows_a_certain_wave(ledger: Ledger) -> None:
    hot = Chain(ledger, settings("{name: optimal}")).walk(ISSUE, 24, wave)
    assert moves_per_day(hot).max() > 100
    assert not kept_running(hot, 12)


@pytest.mark.parametrize("start", [0, 15], ids=["from midnight", "over midnight"])
@pytest.mark.parametrize("allowed", [2, 30])
def test_a_chain_of_hourly_plans_starts_and_stops_no_more_often_a_day_than_allowed(ledger: Ledger, allowed: int, start: int) -> None:
    hot = Chain(ledger, settings(f"{{name: optimal, flaps_per_day: {allowed}}}")).walk(ISSUE + start * HOUR, 24, wave)
    assert moves_per_day(hot).max() <= allowed
    assert allowed == 2 or hot.nunique() > 1


def test_a_chain_of_hourly_plans_lets_no_machine_go_before_its_time(ledger: Ledger) -> None:
    chain = Chain(ledger, settings("{name: optimal, least_run_hours: 9, resume_failure: 0.9, purchase_failure: 0.9}"))
    hot = chain.walk(ISSUE, 15, lambda hours: [80.0 if 3 <= hour < 8 else 8.0 for hour in hours.hour])
    assert hot.max() == 20
    assert kept_running(hot, 9)
    assert hot.iloc[-1] == 2, "and lets them go then"


@pytest.mark.slow
@hypothesis_settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    start=st.integers(12, 23),
    allowed=st.sampled_from([None, 1, 6, 25]),
    least=st.sampled_from([0, 2, 7]),
    hold=st.sampled_from([1, 1, 3]),
    blocks=st.sampled_from(["hourly", "mixed"]),
)
def test_whatever_is_demanded_a_chain_keeps_its_promises(
    seed: int, start: int, allowed: int | None, least: int, hold: int, blocks: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    random = np.random.default_rng(seed)
    ledger = Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('chain')}/ledger.db")
    limits = f"least_run_hours: {least}, hold_hours: {hold}, hour_blocks: {blocks}" + (f", flaps_per_day: {allowed}" if allowed else "")
    chain = Chain(ledger, settings(f"{{name: optimal, {limits}}}"))
    hot = chain.walk(ISSUE + start * HOUR, 15, lambda hours: random.uniform(4, 90, len(hours)))
    ledger.engine.dispose()
    assert allowed is None or moves_per_day(hot).max() <= allowed
    assert not least or kept_running(hot, least)


def test_a_backfilled_plan_is_the_same_whatever_was_held_later(ledger: Ledger) -> None:
    chain = Chain(ledger, settings("{name: optimal, flaps_per_day: 8, least_run_hours: 4}"))
    chain.walk(ISSUE, 6, wave)
    issue = ISSUE + 6 * HOUR
    before = chain.plan(issue, wave)
    chain.act(issue, before)
    chain.walk(issue + HOUR, 3, lambda hours: [400.0] * len(hours))
    pd.testing.assert_frame_equal(chain.plan(issue, wave), before)
    assert not chain.plan(issue + HOUR, wave).equals(before)


def test_where_nothing_is_known_the_first_hour_starts_nothing(ledger: Ledger) -> None:
    chain = Chain(ledger, settings("{name: optimal, flaps_per_day: 2, least_run_hours: 5}"))
    frame = set_demand(forecasts(chain.settings, median=5.0), f"{US}/tenants/cpu", wave(pd.date_range(ISSUE, periods=72, freq="h")))
    unknown = planned_rows(chain.settings, frame, issue_time=ISSUE)
    pd.testing.assert_frame_equal(planned_rows(chain.settings, frame, issue_time=ISSUE, history=chain.history(ISSUE)), unknown)


def test_where_too_much_moved_already_nothing_more_does_and_the_line_says_so(ledger: Ledger) -> None:
    """The limit was lowered in the middle of the day."""
    chain = Chain(ledger, settings("{name: optimal}"))
    chain.walk(ISSUE, 6, wave)
    chain.settings = settings("{name: optimal, flaps_per_day: 2}")
    plan = chain.plan(ISSUE + 6 * HOUR, wave)
    lines = plan[(plan["service"] == "tenants") & (plan["resource"] == "instances")].set_index("ds")
    today = lines[lines.index < ISSUE + 24 * HOUR]
    assert today["hot"].nunique() == 1
    assert today["why"].str.contains("starts and stops since 00:00 UTC, above flaps_per_day 2").all()
    assert not lines["why"].iloc[18:].str.contains("since 00:00 UTC").any()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{name: optimal, flaps_per_day: 2}", "16 more this day than flaps_per_day leaves"),
        ("{name: optimal, least_run_hours: 9}", "14 stop before least_run_hours"),
    ],
)
def test_a_quota_that_no_longer_has_room_comes_first_with_the_least_change(ledger: Ledger, policy: str, words: str) -> None:
    """Eighteen machines started an hour ago; the quota now has room for six, and the least of edge takes two of them."""
    chain = Chain(ledger, settings(policy))
    chain.walk(ISSUE, 1, lambda hours: [8.0] * 72)
    target = next(t for t in desired_state(chain.settings, chain.plans[ISSUE], issue_time=ISSUE, region=US) if t.service == "tenants")
    ledger.record_result(US, ISSUE + HOUR, [running(target, 20)], [])
    chain.plans[ISSUE + HOUR] = chain.plans[ISSUE]
    region = chain.settings.regions[US].model_copy(update={"quotas": {"N2_CPUS": 24}})
    chain.settings = chain.settings.model_copy(update={"regions": {**chain.settings.regions, US: region}})
    plan = chain.plan(ISSUE + 2 * HOUR, lambda hours: [80.0] * 72)
    lines = plan[(plan["service"] == "tenants") & (plan["resource"] == "instances")]
    assert lines["hot"].iloc[0] == 4
    assert words in lines["why"].iloc[0]
