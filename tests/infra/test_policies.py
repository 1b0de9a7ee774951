"""The tiered policy: the surer the forecast, the more is hot; nothing is lost between the pools."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.errors import BadInputError
from headroom.settings_services import Policy
from infra.policies import open_policy


def _need(resource: str, needed: float, confidence: float, minimum: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"resource": [resource], "needed": [needed], "minimum": [minimum], "confidence": [confidence]})


def _split(resource: str, needed: float, confidence: float, minimum: float = 0.0) -> tuple[float, float, float, str]:
    row = open_policy("tiered", Policy()).split(_need(resource, needed, confidence, minimum)).iloc[0]
    return row["hot"], row["warm"], row["cold"], row["tier"]


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (0.95, (10, 0, 0, "high")),
        (0.9, (8, 2, 0, "medium")),  # "above 0.9", and 75 % of 10 rounded up
        (0.61, (8, 2, 0, "medium")),
        (0.6, (1, 9, 0, "low")),
        (0.0, (1, 9, 0, "low")),
    ],
)
def test_machines_follow_the_thresholds(confidence: float, expected: tuple[float, float, float, str]) -> None:
    assert _split("instances", 10, confidence, minimum=1) == expected


def test_bandwidth_has_no_standby() -> None:
    assert _split("bandwidth", 1.0, 0.95) == (1.0, 0, 0, "high")
    assert _split("bandwidth", 1.0, 0.7) == (0.75, 0, 0.25, "medium")
    assert _split("bandwidth", 1.0, 0.1) == (0.75, 0, 0.25, "low")
    assert _split("bandwidth", 0.9, 0.7) == (0.7, 0, 0.2, "medium"), "75 % is 0.675, held in steps of 0.05"


def test_storage_is_always_held() -> None:
    assert _split("storage", 100, 0.1) == (100, 0, 0, "low")


@given(
    resource=st.sampled_from(["instances", "bandwidth", "storage"]),
    steps=st.integers(0, 2000),
    more=st.integers(0, 50),
    minimum=st.integers(0, 5),
    sure=st.floats(0, 1),
    surer=st.floats(0, 1),
)
def test_pools_add_up_and_hot_rises_with_need_and_confidence(
    resource: str, steps: int, more: int, minimum: int, sure: float, surer: float
) -> None:
    step = {"instances": 1.0, "bandwidth": 0.05, "storage": 1.0}[resource]
    floor = float(minimum) if resource == "instances" else 0.0
    needed, larger = max(round(steps * step, 6), floor), max(round((steps + more) * step, 6), floor)
    low, high = sorted([sure, surer])
    hot, warm, cold, _ = _split(resource, needed, low, floor)
    assert hot + warm + cold == pytest.approx(needed, abs=1e-6)
    assert hot >= floor
    assert min(hot, warm, cold) >= 0
    assert _split(resource, needed, high, floor)[0] >= hot
    assert _split(resource, larger, low, floor)[0] >= hot


def test_why_names_the_confidence_and_its_rule() -> None:
    why = open_policy("tiered", Policy()).split(_need("instances", 10, 0.7))["why"].iloc[0]
    assert why == "confidence 0.700 > 0.6: 75% hot, rest warm"


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="no policy 'clairvoyant'; there is: tiered"):
        open_policy("clairvoyant", Policy())
