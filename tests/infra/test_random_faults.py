"""Whatever goes wrong and in whatever order: nothing is reserved twice, nothing is left over, no row of the ledger is lost."""

import random
from pathlib import Path

import pytest
from cloud_world import world
from fault_walk import TIMING, Walk


def walk(folder: Path, *, seed: int, steps: int) -> Walk:
    with world(folder, timing=TIMING, pause=0.001) as here:
        done = Walk(here, random.Random(seed))
        done.go(steps)
        done.calm()
        done.check_end()
    return done


@pytest.mark.parametrize("seed", [4, 7])
def test_a_short_walk_through_faults_ends_with_what_was_planned(tmp_path: Path, seed: int) -> None:
    done = walk(tmp_path, seed=seed, steps=40)
    assert done.ran["crashed"]
    assert done.ran["finished"]


@pytest.mark.slow
def test_a_longer_walk_ends_with_what_was_planned(tmp_path: Path) -> None:
    """Ten thousand steps: python -m tests.benchmarks.faults."""
    done = walk(tmp_path, seed=20260708, steps=300)
    assert min(done.ran[name] for name in ("crashed", "finished", "corrected", "unavailable", "dry_run", "by_hand")) > 0
