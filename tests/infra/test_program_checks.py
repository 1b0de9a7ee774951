"""Bad problems are refused by name, with the remedy; limits that cannot be kept together are named."""

import numpy as np
import pytest

from headroom.errors import BadInputError
from infra.program import Leases, solve
from tests.infra.program_problems import one_place

NAN_WIDTH = np.full((1, 24, 4, 1), 10.0)
NAN_WIDTH[0, 5, 2, 0] = np.nan
TWO = {"regions": ["here", "there"], "places": ["here/web", "there/web"], "width": np.full((2, 24, 4, 1), 10.0), "region": [0, 1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hot_price": -1.0}, r"hot_price \(n2 of option 0, block 0\) is -1; it must be a number of at least 0"),
        ({"warm_price": np.nan}, r"warm_price \(n2 of option 0, block 0\) is nan"),
        ({"width": NAN_WIDTH}, r"width \(here/web, block 5, band 2, cpu\) is nan"),
        ({"width": np.ones((1, 24, 4, 2))}, r"width has shape \(1, 24, 4, 2\); it needs 1 places x 24 blocks x 4 bands x 1 resources"),
        ({"reach": 1.5}, r"reach .* is 1.5; .* at most 1"),
        ({"reach": np.broadcast_to([0.3, 0.7, 0.3, 0.05], (1, 24, 4))}, "reach of here/web rises from band 0 to 1 in block 0"),
        ({"value": np.broadcast_to([10.0, 30.0, 5.0, 1.0], (1, 24, 4))}, "the bid of here/web is not concave in block 0"),
        ({"region": 1}, r"region \(here/web\) is 1; it must be a whole number of at least 0 and at most 0"),
        ({"guaranteed": [[[0.5, 0.25, 0.0, 0.0]]]}, "guaranteed of here/web has a share of band 1 in block 0 before all of band 0"),
        ({"option_place": 3}, r"option_place \(n2 of option 0\) is 3"),
        ({"option_size": 0.0}, "here/web asks for cpu, but none of its machine options has any"),
        ({"regions": []}, "regions is empty"),
        ({"regions": [""]}, "regions has an empty name"),
        ({"places": ["here/web", "here/web"]}, "places names 'here/web' more than once"),
        ({"block_hours": np.zeros(24)}, r"block_hours \(block 0\) is 0"),
        ({"budget_per_day": -5.0}, r"budget_per_day \(day 0\) is -5"),
        ({**TWO, "option_place": [0], "option_name": ["n2"]}, "there/web has no machine option"),
        ({"leases": Leases(option=0, lender=0, price=1.0)}, "lease 0 lends here to itself"),
        ({"leases": Leases(option=[0], lender=[4], price=1.0)}, r"lender \(lease 0\) is 4"),
        ({"leases": Leases(option=[0], lender=[0], price=1.0, link=[2])}, r"link \(lease 0\) is 2"),
    ],
)
def test_bad_problems_are_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        one_place(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"floors": 30, "family_limit": 25}, "floors of here/web: family_limit of all in here is 25 units in block 0, 30 would do"),
        ({"floors": 30, "budget_per_day": 600}, "floors of here/web: budget_per_day is 600 USD in day 0, 720 would do"),
        ({"guaranteed": [[[1.0, 1.0, 0.0, 0.0]]], "family_limit": 15}, "guarantees of here/web: family_limit of all in here is 15 units"),
        (
            {"guaranteed": [[[1.0, 0.25, 0.0, 0.0]]], "option_quota": 2.0, "family_limit": 25.0},
            "no plan of whole machines meets the guarantees of here/web: family_limit of all in here is 25 units in block 0, 26 would do",
        ),
        ({"floors": 30, "flap_limit": 20}, "flap_limit of here/web is 20 starts and stops in day 0, 30 would do"),
    ],
)
def test_limits_that_cannot_be_kept_together_are_named(changes: dict, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        solve(one_place(**changes))
