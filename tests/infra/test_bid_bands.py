"""Bands cut at a bid's kinks: nothing is lost, chances stay, all resources are cut at the same load."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.policies.bid_bands import split_at_bids

WIDTH = np.array([[[[4.0, 8.0], [2.0, 0.0], [4.0, 12.0]]], [[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]]])
REACH = np.array([[[1.0, 0.5, 0.1]], [[0.9, 0.6, 0.3]]])


def test_a_band_is_cut_at_the_same_share_in_all_resources() -> None:
    width, reach = split_at_bids(WIDTH, REACH, {0: 0}, {0: [7.0]})
    assert width[0, 0].tolist() == [[4, 8], [2, 0], [1, 3], [3, 9]]
    assert reach[0, 0].tolist() == [1.0, 0.5, 0.1, 0.1]
    assert width[1, 0].tolist() == [[1, 0], [1, 0], [1, 0], [0, 0]], "a place without a bid gets a band without width"


def test_without_bids_nothing_changes() -> None:
    width, reach = split_at_bids(WIDTH, REACH, {}, {})
    assert width is WIDTH
    assert reach is REACH


@given(kinks=st.lists(st.floats(0.01, 30), min_size=1, max_size=4, unique=True).map(sorted))
def test_expected_demand_stays(kinks: list[float]) -> None:
    width, reach = split_at_bids(WIDTH, REACH, {0: 0}, {0: kinks})
    assert np.allclose((width * reach[..., None]).sum(axis=2), (WIDTH * REACH[..., None]).sum(axis=2))
    assert (np.diff(reach, axis=2) <= 0).all()
    assert (width >= 0).all()
    edges = np.cumsum(width[0, 0, :, 0])
    assert all(np.isclose(edges, kink).any() for kink in kinks if kink < 10)
