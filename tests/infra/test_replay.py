"""The replay: every policy sees only what was known then, all are charged by one rule, and nobody beats the plan that knew the future."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILES
from infra.replay.accounting import settle
from infra.replay.forecasts import issued_from, read_issued
from infra.replay.frontier import Point, cost_at, gap_closed
from infra.replay.policies import CLAIRVOYANT, POLICIES
from infra.replay.result import STEP_COLUMNS, figures, frontier_facts, steps_frame, write_result
from infra.replay.run import Replay, replay, stock_outs
from infra.replay.scene import Scene, scene_of
from infra.replay.world import Terms, World, read_world, terms_of
from tests.infra.replay_scene import DAYS, HISTORY_DAYS, HOUR, START, forecasts, rows, scene

BEGIN = START + pd.Timedelta(days=HISTORY_DAYS)


@pytest.fixture(scope="module")
def hourly() -> Terms:
    return terms_of(World(), HOUR)


@pytest.fixture(scope="module")
def done(hourly: Terms) -> Replay:
    walked = scene()
    return replay(walked, hourly, forecasts(walked))


def test_every_policy_has_figures_and_nobody_beats_the_plan_that_knew(done: Replay) -> None:
    assert list(done.measured) == [*POLICIES, CLAIRVOYANT]
    assert all(told.regret_usd >= -1e-6 for told in done.measured.values())
    assert done.measured[CLAIRVOYANT].cost_over_clairvoyant == 1
    assert done.measured[CLAIRVOYANT].regret_usd == 0


def test_optimal_has_less_regret_than_what_follows_the_load_or_holds_the_peak(done: Replay) -> None:
    regret = {name: told.regret_usd for name, told in done.measured.items()}
    assert regret["optimal"] < min(regret[name] for name in ("reactive", "static", "google", "aws"))
    assert regret["optimal"] <= regret["newsvendor"]


def test_optimal_is_cheapest_at_equal_unmet_demand(done: Replay) -> None:
    assert done.equal_unmet["unmet_volume"] == done.measured["optimal"].unmet_volume
    costs = {name: cost for name, cost in done.equal_unmet["cost_usd"].items() if cost is not None}
    assert min(costs, key=lambda name: costs[name]) == CLAIRVOYANT
    assert done.equal_unmet["gap_closed"] > 0


def test_the_same_replay_twice_is_the_same(hourly: Terms, done: Replay) -> None:
    again = replay(scene(), hourly, forecasts(scene()), frontier=False)
    assert figures(again) == figures(done)
    pd.testing.assert_frame_equal(steps_frame(again), steps_frame(done))


@pytest.mark.parametrize("at", [1, 30, 71])
def test_what_comes_later_changes_no_decision_before_it(hourly: Terms, done: Replay, at: int) -> None:
    walked = scene()
    planted = walked.demand.copy()
    planted[:, at:] *= 3.7
    told = forecasts(walked)
    values = told.values.copy()
    values[at:] *= 2.2
    other = replay(replace(walked, demand=planted), hourly, replace(told, values=values), frontier=False)
    for name in POLICIES:
        before, after = done.outcomes[name].track, other.outcomes[name].track
        np.testing.assert_array_equal(before.hot[:, :at], after.hot[:, :at], err_msg=name)
        np.testing.assert_array_equal(before.warm[:, :at], after.warm[:, :at], err_msg=name)
        # What is held in a step was decided before its demand: the first planted step is held as it was.
        changed_forecast = POLICIES[name].forecasts
        if not changed_forecast:
            np.testing.assert_array_equal(before.hot[:, at], after.hot[:, at], err_msg=name)


def test_an_order_serves_after_its_lead_time(hourly: Terms) -> None:
    walked = scene()
    jump = np.full_like(walked.demand, 2.0)
    jump[:, 10:] = 9.0
    quiet = replace(walked, demand=jump, history=np.full_like(walked.history, 2.0))
    terms = replace(hourly, lead=3, cold_loss=1.0, warm_loss=1.0)
    hot = replay(quiet, terms, None, ["reactive"], frontier=False).outcomes["reactive"].track.hot
    assert (hot[:, 3:14] == 3).all(), "seen at the start of step 11, ordered, there from step 14 on"
    assert (hot[:, 14:] == 12).all(), "9 machines' load at a target of 0.8"


def test_hot_serves_first_then_warm_then_cold() -> None:
    terms = replace(terms_of(World(), HOUR), hot=1.0, warm=0.1, cold=2.0, warm_loss=0.1, cold_loss=0.5, start=0.0)
    step = settle(np.array([[10.0]]), np.array([[4.0]]), np.array([[3.0]]), terms)
    assert (step.resumed.item(), step.bought.item()) == (3, 3)
    assert step.unmet.item() == pytest.approx(3 * 0.1 + 3 * 0.5)
    assert step.cost.item() == pytest.approx(4 * 1 + 3 * 0.1 + 3 * 1 + 3 * 2)


def test_in_a_stock_out_nothing_is_bought_resumed_or_started(hourly: Terms) -> None:
    walked = scene()
    out = np.zeros(walked.demand.shape, dtype=bool)
    out[0, 20:30] = True
    result = replay(walked, hourly, forecasts(walked), ["optimal", "reactive"], frontier=False, stock_out=out)
    for outcome in result.outcomes.values():
        assert not outcome.step.bought[out].any()
        assert not outcome.step.resumed[out].any()
    for name in ("optimal", "reactive"):
        assert (np.diff(result.outcomes[name].track.hot[0, 20:30]) <= 0).all()


def test_stock_outs_are_as_frequent_as_asked_and_the_same_for_the_same_seed() -> None:
    walked = replace(scene(), demand=np.ones((50, 2000)))
    out = stock_outs(walked, 0.1, 3, seed=1)
    assert out.mean() == pytest.approx(0.1, abs=0.01)
    assert (out == stock_outs(walked, 0.1, 3, seed=1)).all()
    assert (out != stock_outs(walked, 0.1, 3, seed=2)).any()


@pytest.mark.parametrize("stock", [14.0, 17.0])
def test_a_shared_stock_is_never_exceeded(stock: float) -> None:
    walked = scene()
    terms = replace(terms_of(World(), HOUR), stock=stock)
    names = ["optimal", "reactive", "google"]
    short = replace(walked, demand=walked.demand[:, :24], times=walked.times[:24])
    result = replay(short, terms, forecasts(short), names, frontier=False)
    for name, outcome in result.outcomes.items():
        used = (outcome.track.hot + outcome.track.warm + outcome.step.bought).sum(axis=0)
        assert used.max() <= max(stock, used[0]) + 1e-6, name


@pytest.mark.parametrize("stock", [None, 30])
def test_where_machines_cannot_be_suspended_nobody_holds_or_pays_for_standby(stock: int | None) -> None:
    # Bought machines are dear enough here that standby would be worth it.
    world = World(machines_at_peak=12, warm=False, cold_usd_per_hour=2.0, stock_machines=stock)
    walked = scene(world=world)
    done = replay(walked, terms_of(world, HOUR), forecasts(walked), ("optimal", "tiered"), frontier=False)
    for name, outcome in done.outcomes.items():
        assert not outcome.track.warm.any(), name
        assert not outcome.step.resumed.any(), name


def test_at_five_minutes_cold_machines_come_too_late_and_held_is_what_is_needed_now() -> None:
    terms = terms_of(World(), pd.Timedelta(minutes=5))
    assert terms.cold_loss == 1
    assert (terms.lead, terms.warm_lead) == (1, 2)
    table = rows(days=2)
    fine = table.assign(ds=START + (table["ds"] - START) / 12)
    begin = START + pd.Timedelta(hours=2)
    walked = scene_of(fine, pd.Timedelta(minutes=5), begin, begin + pd.Timedelta(hours=1), World(machines_at_peak=12))
    low = np.full((1, 2, 30, 13), 0.5, dtype=np.float32) * walked.size[:, None, None]
    issued = issued_from(walked, walked.series, [walked.times[0]], low)
    result = replay(walked, terms, issued, ["optimal"], frontier=False)
    needed = np.ceil(walked.before(walked.demand.shape[1])[:, walked.history.shape[1] - 1 : -1])
    hot, first = result.outcomes["optimal"].track.hot, 2
    assert (hot[:, first:] >= np.minimum(needed[:, first:], needed[:, first - 1 : -1])).all(), "a forecast far too low does not starve it"


def test_the_files_hold_every_step_and_plain_json(done: Replay, tmp_path: Path) -> None:
    write_result(done, tmp_path)
    told = json.loads((tmp_path / "replay.json").read_text())
    assert list(told) == [*POLICIES, CLAIRVOYANT]
    wanted = {"cost_usd", "cost_over_clairvoyant", "unmet_volume", "violated_hours", "regret_usd", "starts", "stops"}
    assert wanted <= set(told["optimal"])
    steps = pd.read_parquet(tmp_path / "steps.parquet")
    assert list(steps.columns) == list(STEP_COLUMNS)
    assert len(steps) == 8 * 2 * 24 * DAYS
    sums = steps.groupby("policy", observed=True)["cost_usd"].sum()
    assert all(sums[name] == pytest.approx(row["cost_usd"]) for name, row in told.items())
    mine = steps[steps["policy"] == "optimal"].set_index(["unique_id", "ds"])["y"]
    recorded = rows().set_index(["unique_id", "ds"])["y"]
    np.testing.assert_allclose(mine.to_numpy(), recorded.reindex(mine.index).to_numpy())
    assert set(frontier_facts(done)["frontier"]) == set(told)


def test_no_demand_costs_the_minimum_and_misses_nothing(hourly: Terms) -> None:
    walked = scene()
    still = replace(walked, demand=np.zeros_like(walked.demand), history=np.zeros_like(walked.history))
    result = replay(still, hourly, None, ["reactive", "static"], frontier=False)
    for told in result.measured.values():
        assert told.cost_usd == pytest.approx(2 * 24 * DAYS * hourly.hot)
        assert told.unmet_volume == 0


@settings(max_examples=5)
@given(st.integers(0, 10_000), st.floats(0.02, 0.5), st.floats(5.0, 200.0))
def test_clairvoyant_is_a_bound_in_any_world(seed: int, spread: float, value: float) -> None:
    walked = scene(seed)
    terms = terms_of(World(value_usd_per_machine_hour=value, start_usd=0.1), HOUR)
    result = replay(walked, terms, forecasts(walked, spread), frontier=False)
    assert min(told.regret_usd for told in result.measured.values()) >= -1e-6


def test_costs_at_equal_unmet_demand_are_read_off_undominated_settings() -> None:
    line = [Point("p", 1, 100, 0.001), Point("p", 2, 80, 0.003), Point("p", 3, 90, 0.004)]
    assert cost_at(line, 0.002) == pytest.approx(90)
    assert cost_at(line, 0.01) == 80
    assert math.isnan(cost_at(line, 0.0005))
    points = {"optimal": [Point("optimal", 1, 70, 0.001)], "other": line, CLAIRVOYANT: [Point(CLAIRVOYANT, 1, 60, 0.0)]}
    assert gap_closed(points, 0.001)["gap_closed"] == pytest.approx(0.75)
    assert gap_closed(points, 0.001)["best_other"] == "other"


def test_forecasts_of_a_file_are_those_that_are_walked_with(tmp_path: Path) -> None:
    walked = scene()
    told = forecasts(walked, horizon=3)
    parts = []
    for number, moment in enumerate(walked.times):
        for place, name in enumerate(walked.series):
            values = told.values[number, place] * walked.size[place]
            frame = pd.DataFrame(values, columns=[str(q) for q in QUANTILES])
            parts.append(frame.assign(unique_id=name, cutoff=moment, ds=[moment + HOUR * ahead for ahead in range(3)]))
    table = pd.concat(parts, ignore_index=True)
    table.to_parquet(tmp_path / "issued.parquet")
    np.testing.assert_allclose(read_issued(tmp_path / "issued.parquet", walked).values, told.values, rtol=1e-6)
    table.to_csv(tmp_path / "issued.csv", index=False)
    np.testing.assert_allclose(read_issued(tmp_path / "issued.csv", walked).values, told.values, rtol=1e-6)
    table.assign(cutoff="soon").to_csv(tmp_path / "soon.csv", index=False)
    with pytest.raises(BadInputError, match=r"soon\.csv: row 1: cutoff soon is not a time"):
        read_issued(tmp_path / "soon.csv", walked)
    table.iloc[:-1].to_parquet(tmp_path / "short.parquet")
    with pytest.raises(BadInputError, match="lacks steps"):
        read_issued(tmp_path / "short.parquet", walked)
    table.assign(**{"0.5": math.nan}).to_parquet(tmp_path / "nan.parquet")
    with pytest.raises(BadInputError, match="holds no finite number"):
        read_issued(tmp_path / "nan.parquet", walked)
    table.assign(**{"0.9": table["0.8"] / 2}).to_parquet(tmp_path / "crossing.parquet")
    with pytest.raises(BadInputError, match=r"a/web/cpu issued .*: quantile 0\.9 is .*, below quantile 0\.8, .*; quantiles must not cross"):
        read_issued(tmp_path / "crossing.parquet", walked)
    for name, moved in {"early": -HOUR, "between": HOUR / 4, "twice": HOUR}.items():
        table.assign(ds=table["ds"].where(table.index != 0, table["ds"] + moved)).to_parquet(tmp_path / f"{name}.parquet")
        with pytest.raises(BadInputError, match=r"expected whole steps of .* from the cutoff on, each once"):
            read_issued(tmp_path / f"{name}.parquet", walked)


def test_series_that_are_called_by_numbers_are_found_in_a_csv(tmp_path: Path) -> None:
    walked = replace(scene(), series=["007", "12"])
    rows = [
        {"unique_id": name, "cutoff": walked.times[0], "ds": walked.times[0], **dict.fromkeys(map(str, QUANTILES), 5.0)}
        for name in walked.series
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "issued.csv", index=False)
    assert read_issued(tmp_path / "issued.csv", walked).values.shape == (1, 2, 1, len(QUANTILES))


def test_a_series_without_forecasts_is_expected_to_stay_as_it_was_last_measured() -> None:
    walked = scene()
    one = forecasts(walked).values[:3, :1]
    moments = [walked.times[0] - HOUR, walked.times[4], walked.times[-1] + 5 * HOUR]
    other = issued_from(walked, walked.series[:1], moments, one).values[:, 1]
    for said, known in zip(other, (walked.history[1, -2], walked.demand[1, 3], walked.demand[1, -1]), strict=True):
        np.testing.assert_array_equal(said, np.float32(known))


def test_bad_worlds_are_refused_by_field(tmp_path: Path) -> None:
    bad = {
        "hot_usd_per_hour: -1": "hot_usd_per_hour",
        "boots: 3": "boots: unknown field",
        "7: 3": "world.yaml: 7: ",
        "units_per_machine: many": "world.yaml: units_per_machine: 'many': input should be a valid number",
        "boot_minuts: 3": r"boot_minuts: unknown field; did you mean 'boot_minutes'\? \(fields are machine_type,",
        "units_per_machine: -3": "world.yaml: units_per_machine: -3: input should be greater than 0",
        "units_per_machine: {a: 3, b: -3}": "world.yaml: units_per_machine.b: -3: input should be greater than 0",
        "no_stock_cold: 1.5": "no_stock_cold",
        "- 1": "expected a mapping",
        "a: [": "not valid YAML",
        "boot_minutes: 5\nboot_minutes: 50": "key 'boot_minutes' is given twice",
    }
    for text, words in bad.items():
        path = tmp_path / "world.yaml"
        path.write_text(text)
        with pytest.raises(BadInputError, match=words):
            read_world(path)
    with pytest.raises(BadInputError, match="there is no such file"):
        read_world(tmp_path / "none.yaml")
    with pytest.raises(BadInputError, match="machine type 'n2-huge'"):
        terms_of(World(machine_type="n2-huge"), HOUR)
    assert read_world(None) == World()


def test_bad_demand_is_refused_by_series() -> None:
    table, world = rows(), World()
    end = BEGIN + pd.Timedelta(days=DAYS)
    with pytest.raises(BadInputError, match=r"a/web/cpu.*below zero"):
        scene_of(table.assign(y=-1.0), HOUR, BEGIN, end, world)
    with pytest.raises(BadInputError, match=r"is not before"):
        scene_of(table, HOUR, end, BEGIN, world)
    with pytest.raises(BadInputError, match="the input ends at"):
        scene_of(table, HOUR, end + HOUR * 100, end + HOUR * 200, world)
    shifted = table.assign(ds=table["ds"] + pd.Timedelta(minutes=20) * (table["unique_id"] == "b/web/cpu"))
    with pytest.raises(BadInputError, match=r"b/web/cpu.*not whole steps"):
        scene_of(shifted, HOUR, BEGIN, end, world)
    with pytest.raises(BadInputError, match=r"no series can be replayed.*no measurement before"):
        scene_of(table[table["ds"] >= BEGIN], HOUR, BEGIN, end, world)
    with pytest.raises(BadInputError, match=r"units_per_machine.*b/web/cpu"):
        scene_of(table, HOUR, BEGIN, end, World(units_per_machine={"a/web/cpu": 3.0}))


def test_a_series_that_begins_late_or_ends_early_is_left_out_by_name() -> None:
    table, end = rows(), BEGIN + pd.Timedelta(days=DAYS)
    other = table["unique_id"] != "b/web/cpu"
    whole = scene_of(table, HOUR, BEGIN, end, World())
    for kept, why in (
        (table["ds"] >= BEGIN, "no measurement before the start"),
        (table["ds"] < BEGIN + pd.Timedelta(days=1), "measurements in 33% of the steps"),
    ):
        walked = scene_of(table[other | kept], HOUR, BEGIN, end, World())
        assert walked.left_out == {"b/web/cpu": why}
        assert walked.series == ["a/web/cpu"]
        np.testing.assert_array_equal(walked.demand, whole.demand[:1])


def test_unknown_policies_and_missing_forecasts_are_refused(hourly: Terms) -> None:
    with pytest.raises(BadInputError, match="no policy 'best'; there is: optimal"):
        replay(scene(), hourly, None, ["best"])
    with pytest.raises(BadInputError, match="'tiered' follows forecasts"):
        replay(scene(), hourly, None, ["reactive", "tiered"])


def test_a_gap_repeats_what_was_measured_before_it() -> None:
    table = rows()
    gap = (table["unique_id"] == "a/web/cpu") & (table["ds"] == BEGIN + 5 * HOUR)
    walked: Scene = scene_of(table[~gap], HOUR, BEGIN, BEGIN + pd.Timedelta(days=1), World())
    assert walked.demand[0, 5] == walked.demand[0, 4]
    assert walked.demand.shape == (2, 24)


def test_a_plan_that_is_sure_and_right_is_the_clairvoyant_one(hourly: Terms) -> None:
    walked = scene()
    steps = walked.demand.shape[1]
    ahead = np.concatenate([walked.demand, np.repeat(walked.demand[:, -1:], 13, axis=1)], axis=1)[
        :, np.arange(steps)[:, None] + np.arange(14)
    ]
    sure = np.repeat(ahead.transpose(1, 0, 2)[..., None], len(QUANTILES), axis=3).astype(np.float32) * walked.size[None, :, None, None]
    issued = issued_from(walked, walked.series, list(walked.times), sure.astype(np.float32))
    result = replay(walked, hourly, issued, ["optimal"], frontier=False)
    assert result.measured["optimal"].regret_usd == pytest.approx(0, abs=0.002 * result.measured[CLAIRVOYANT].cost_usd)


def test_a_stock_or_budget_below_the_minimum_is_refused_by_name() -> None:
    walked = scene()
    terms = terms_of(World(minimum_machines=3), HOUR)
    with pytest.raises(BadInputError, match="stock_machines 4: below the 6 that minimum_machines asks for"):
        replay(walked, replace(terms, stock=4.0), forecasts(walked), ["optimal"])
    with pytest.raises(BadInputError, match=r"budget_usd_per_day 20: minimum_machines of all series cost 55\.94 a day"):
        replay(walked, replace(terms, budget=20.0), forecasts(walked), ["optimal"])
