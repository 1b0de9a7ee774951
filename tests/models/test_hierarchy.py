"""Totals: sums of what is measured and nothing else. Reconciled forecasts: they add up, keep their coverage, and survive odd series."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from headroom.errors import BadInputError
from headroom.vocabulary import QUANTILE_COLUMNS, QUANTILES
from models.hierarchy import Hierarchy, hierarchy_of, incoherence, level_of, with_totals
from models.pinball import coverage, wql
from models.reconciliation import METHODS, Reconciliation, forecast_errors, reconcile

COLUMNS = list(QUANTILE_COLUMNS)
NORMAL = np.array([NormalDist().inv_cdf(q) for q in QUANTILES])
START = pd.Timestamp("2026-07-01", tz="UTC")
FOUR = ("a/edge/cpu", "a/api/cpu", "b/edge/cpu", "b/api/cpu")


def history(values: dict[str, list[float]]) -> pd.DataFrame:
    hours = pd.date_range(START, periods=max(map(len, values.values())), freq="h")
    return pd.concat([pd.DataFrame({"unique_id": name, "ds": hours[: len(y)], "y": y}) for name, y in values.items()], ignore_index=True)


def told(frame: pd.DataFrame, name: str, column: str = "y") -> list[float]:
    return frame[frame["unique_id"] == name][column].tolist()


def long(hierarchy: Hierarchy, values: np.ndarray, start: pd.Timestamp) -> pd.DataFrame:
    """Rows of an array (hours, series) or (hours, series, quantiles)."""
    hours = pd.date_range(start, periods=len(values), freq="h")
    rows = pd.DataFrame(values.reshape(values.shape[0] * values.shape[1], -1))
    rows.insert(0, "unique_id", np.tile(np.array(hierarchy.ids, dtype=object), len(hours)))
    rows.insert(1, "ds", hours.repeat(len(hierarchy.ids)))
    return rows


class World:
    """Demand of a hierarchy that moves up and down together, and forecasts of every level that err each on its own account."""

    def __init__(self, names: tuple[str, ...] = FOUR, *, hours: int = 480, together: float = 0.7, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.hierarchy = hierarchy_of(names)
        summing = self.hierarchy.summing.toarray()
        expected = random.uniform(80, 120, (hours, len(names))) @ summing.T
        surprise = np.sqrt(together) * random.normal(size=(hours, 1)) + np.sqrt(1 - together) * random.normal(size=(hours, len(names)))
        truth = expected + 10 * surprise @ summing.T
        slip = random.normal(size=expected.shape) * 5 * np.sqrt(summing.sum(axis=1))
        deviation = np.sqrt((10 * surprise @ summing.T).var(axis=0) + 25 * summing.sum(axis=1))
        quantiles = (expected + slip)[..., None] + deviation[:, None] * NORMAL
        rows = long(self.hierarchy, quantiles, START).rename(columns=dict(enumerate(COLUMNS)))
        rows["y"] = truth.ravel()
        rows["cutoff"] = rows["ds"].dt.floor("72h")
        late = rows["ds"] >= START + pd.Timedelta(hours=hours // 2)
        self.errors = forecast_errors(rows[~late])
        self.forecast = rows[late].reset_index(drop=True)

    def reconciled(self, how: Reconciliation | None = None) -> pd.DataFrame:
        """Reconciled rows with the forecast's `y`."""
        found = reconcile(self.forecast, self.errors, self.hierarchy, how or Reconciliation())
        return found.merge(self.forecast[["unique_id", "ds", "y"]], on=["unique_id", "ds"])


def test_every_level_sums_its_parts():
    totals = with_totals(history({"a/edge/cpu": [1, 2], "a/api/cpu": [10, 20], "b/edge/cpu": [100, 200], "a/edge/memory": [7, 8]}))
    assert told(totals, "*/edge/cpu") == [101, 202]
    assert told(totals, "a/*/cpu") == [11, 22]
    assert told(totals, "*/*/cpu") == [111, 222]
    assert told(totals, "*/*/memory") == [7, 8]  # resources are not mixed
    assert told(totals, "a/api/cpu") == [10, 20]
    assert set(level_of(totals["unique_id"])) == {"series", "service", "region", "global"}


def test_only_the_levels_that_are_asked_for_are_built():
    totals = with_totals(history({"a/edge/cpu": [1], "b/edge/cpu": [2]}), levels=["service"])
    assert totals["unique_id"].tolist() == ["*/edge/cpu", "a/edge/cpu", "b/edge/cpu"]
    with pytest.raises(BadInputError, match="level zone of totals is unknown; known: service, region, global"):
        hierarchy_of(["a/edge/cpu"], levels=["zone"])


def test_a_total_is_not_invented_where_a_part_has_a_gap():
    gappy = history({"a/edge/cpu": [1, np.nan, 3, 4], "b/edge/cpu": [10, 20, 30]})
    totals = with_totals(gappy)
    edge = totals[totals["unique_id"] == "*/edge/cpu"]
    assert edge["ds"].tolist() == [START, START + pd.Timedelta("2h")]
    assert edge["y"].tolist() == [11, 33]


def test_latency_has_no_total():
    assert hierarchy_of(["a/edge/latency", "b/edge/latency", "a/edge:x/latency"]).totals == ()


def test_a_client_is_counted_once():
    totals = with_totals(history({"a/shop:x/cpu": [1], "a/shop:y/cpu": [2], "a/shop/cpu": [3], "b/shop/cpu": [10], "a/api/cpu": [100]}))
    assert told(totals, "a/*/cpu") == [103]
    assert told(totals, "*/shop/cpu") == [13]
    assert told(totals, "*/*/cpu") == [113]
    assert told(totals, "a/shop/cpu") == [3]
    assert "a/shop/cpu" in hierarchy_of(totals["unique_id"]).totals


def test_totals_of_totals_change_nothing():
    once = with_totals(history({"a/edge/cpu": [1, 2], "b/edge/cpu": [3, 4]}))
    pd.testing.assert_frame_equal(with_totals(once), once)


def test_doubled_rows_and_a_history_of_totals_alone_are_refused():
    one = history({"a/edge/cpu": [1]})
    with pytest.raises(BadInputError, match=r"history of a/edge/cpu: two rows at 2026-07-01"):
        with_totals(pd.concat([one, one]))
    with pytest.raises(BadInputError, match="no series to total"):
        hierarchy_of(["*/edge/cpu"])


@pytest.mark.parametrize("method", METHODS)
def test_means_add_up_at_every_level(method):
    world = World()
    assert incoherence(world.forecast, world.hierarchy).min() > 0.005
    found = world.reconciled(Reconciliation(method))
    assert incoherence(found, world.hierarchy, "mean").max() < 1e-12
    assert set(found["unique_id"]) == set(world.hierarchy.ids)


@pytest.mark.parametrize("method", METHODS)
def test_medians_add_up_when_asked_and_quantiles_stay_in_order(method):
    world = World()
    assert incoherence(world.reconciled(Reconciliation(method)), world.hierarchy).max() > 1e-6
    found = world.reconciled(Reconciliation(method, medians_add_up=True))
    assert incoherence(found, world.hierarchy).max() < 1e-12
    assert (np.diff(found[COLUMNS].to_numpy(), axis=1) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_coverage_holds_on_every_level_when_the_errors_of_the_parts_move_together(method):
    found = World(hours=960).reconciled(Reconciliation(method))
    for level, rows in found.groupby(level_of(found["unique_id"])):
        assert coverage(rows, 0.8) == pytest.approx(0.8, abs=0.05), level


def test_a_total_learns_from_parts_that_are_forecast_better_and_parts_from_their_total():
    world = World(hours=960, together=0.0)
    found = world.reconciled()
    for level in ("series", "global"):
        before, after = (frame[level_of(frame["unique_id"]) == level] for frame in (world.forecast, found))
        assert wql(after) < 0.99 * wql(before)


def test_bottom_up_leaves_the_series_as_they_were():
    world = World()
    found = world.reconciled(Reconciliation("bottom-up"))
    series = [frame[frame["unique_id"].isin(FOUR)].sort_values(["unique_id", "ds"])[COLUMNS] for frame in (found, world.forecast)]
    np.testing.assert_allclose(*series, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-6, 1e9])
def test_the_unit_does_not_matter(factor):
    world = World()
    plain = world.reconciled()
    world.forecast[COLUMNS] *= factor
    world.errors["error"] *= factor
    np.testing.assert_allclose(world.reconciled()[COLUMNS], plain[COLUMNS] * factor, rtol=1e-9)


def test_a_total_of_one_part_is_that_part():
    found = World(("a/edge/cpu", "b/edge/cpu", "a/solo/cpu")).reconciled()
    assert told(found, "*/solo/cpu", "0.9") == told(found, "a/solo/cpu", "0.9")
    assert told(found, "b/*/cpu", "0.1") == told(found, "b/edge/cpu", "0.1")


def test_a_single_series_keeps_its_forecast():
    world = World(("a/edge/cpu",))
    found = world.reconciled()
    for name in world.hierarchy.ids:
        np.testing.assert_allclose(found[found["unique_id"] == name][COLUMNS], world.forecast.query("unique_id == 'a/edge/cpu'")[COLUMNS])


def test_zero_series_stay_zero_and_nothing_is_negative():
    world = World()
    idle = world.forecast["unique_id"] == "b/api/cpu"
    world.forecast.loc[idle, COLUMNS] = 0.0
    world.forecast.loc[world.forecast["unique_id"] == "a/api/cpu", COLUMNS] /= 100
    world.errors.loc[world.errors["unique_id"] == "b/api/cpu", "error"] = 0.0
    found = world.reconciled(Reconciliation(medians_add_up=True))
    assert found.loc[found["unique_id"] == "b/api/cpu", COLUMNS].abs().to_numpy().max() < 0.01
    assert (found[COLUMNS] >= 0).all(axis=None)
    assert incoherence(found, world.hierarchy).max() < 1e-12


@pytest.mark.parametrize("medians_add_up", [True, False])
def test_a_series_that_goes_below_zero_may_go_on_doing_so(medians_add_up):
    world = World()
    balance = world.forecast["unique_id"].isin(["b/api/cpu", "b/*/cpu", "*/api/cpu", "*/*/cpu"])
    world.forecast.loc[balance, COLUMNS] -= 500
    found = world.reconciled(Reconciliation(medians_add_up=medians_add_up))
    own = found["unique_id"] == "b/api/cpu"
    assert found.loc[own, "0.5"].mean() == pytest.approx(
        world.forecast.loc[world.forecast["unique_id"] == "b/api/cpu", "0.5"].mean(), rel=0.02
    )
    assert found.loc[found["unique_id"] == "*/*/cpu", "0.5"].max() < 0
    assert incoherence(found, world.hierarchy, "0.5" if medians_add_up else "mean").max() < 1e-12


def test_a_world_of_zeros_is_reconciled_to_zeros():
    world = World()
    world.forecast[COLUMNS] = 0.0
    world.errors["error"] = 0.0
    for method in METHODS:
        assert (world.reconciled(Reconciliation(method))[COLUMNS] == 0).all(axis=None)


def test_series_that_are_mostly_empty_keep_their_medians_and_their_total_its_own():
    names = tuple(f"a/queue{number}/cpu" for number in range(12))
    random = np.random.default_rng(3)
    hierarchy = hierarchy_of(names)
    busy = np.where(random.random((480, 12)) < 0.3, 10.0, 0.0) @ hierarchy.summing.T
    rows = long(hierarchy, busy, START).rename(columns={0: "y"})
    rows[COLUMNS] = np.quantile(busy, QUANTILES, axis=0).T[pd.factorize(rows["unique_id"])[0]]
    rows["cutoff"] = START
    late = rows["ds"] >= START + pd.Timedelta(days=15)
    found = reconcile(rows[late], forecast_errors(rows[~late]), hierarchy)
    assert found[found["unique_id"] == "*/*/cpu"]["0.5"].mean() == pytest.approx(np.median(busy[:, 0]), rel=0.2)
    forced = reconcile(rows[late], forecast_errors(rows[~late]), hierarchy, Reconciliation(medians_add_up=True))
    assert forced[forced["unique_id"] == "*/*/cpu"]["0.5"].mean() < 0.7 * np.median(busy[:, 0])  # the price that the module names


def test_a_total_needs_its_parts_and_parts_do_not_need_their_total():
    world = World()
    hour = world.forecast["ds"].min()
    gone = (world.forecast["unique_id"] == "a/edge/cpu") & (world.forecast["ds"] == hour)
    world.forecast = world.forecast[~gone & (world.forecast["unique_id"] != "b/*/cpu")]
    found = reconcile(world.forecast, world.errors, world.hierarchy)
    assert set(found[found["ds"] == hour]["unique_id"]) == {"a/api/cpu", "b/edge/cpu", "b/api/cpu", "b/*/cpu", "*/api/cpu"}
    assert set(found[found["ds"] > hour]["unique_id"]) == set(world.hierarchy.ids)
    assert incoherence(found, world.hierarchy, "mean").max() < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_gaps_and_a_series_without_past_errors_are_survived(method):
    world = World()
    random = np.random.default_rng(5)
    kept = (random.random(len(world.errors)) < 0.6) & (world.errors["unique_id"] != "b/api/cpu")
    world.errors = world.errors[kept]
    found = world.reconciled(Reconciliation(method))
    assert np.isfinite(found[COLUMNS]).all(axis=None)
    assert coverage(found) == pytest.approx(0.8, abs=0.12)


def test_the_same_arguments_give_the_same_numbers_in_any_order_of_rows():
    world = World()
    shuffled = reconcile(world.forecast.sample(frac=1, random_state=1), world.errors.sample(frac=1, random_state=2), world.hierarchy)
    pd.testing.assert_frame_equal(shuffled, reconcile(world.forecast, world.errors, world.hierarchy))


def test_what_cannot_be_reconciled_is_refused_by_name():
    world = World()
    with pytest.raises(BadInputError, match="no series of the hierarchy has a forecast"):
        reconcile(world.forecast, world.errors, hierarchy_of(["z/other/cpu"]))
    with pytest.raises(BadInputError, match="no past errors"):
        reconcile(world.forecast, world.errors[:0], world.hierarchy)
    with pytest.raises(BadInputError, match="two rows of one unique_id, ds"):
        reconcile(pd.concat([world.forecast, world.forecast]), world.errors, world.hierarchy)
    with pytest.raises(BadInputError, match="'magic' is unknown; known: bottom-up"):
        Reconciliation("magic")
    with pytest.raises(BadInputError, match="150 draws"):
        Reconciliation(draws=150)
