"""Whatever goes wrong and in whatever order: nothing is reserved twice, nothing is left over, no row of the ledger is lost."""

import random
from pathlib import Path

import pytest
from cloud_world import world
from fault_walk import Walk

from infra.local_cloud import Timing

TIMING = Timing(operation=0.0, boot=3.0, resume=1.0, leave=1.0)


def walk(folder: Path, *, seed: int, steps: int) -> Walk:
    with world(folder, timing=TIMING, pause=0.001) as here:
        done = Walk(here, random.Random(seed))
        done.go(steps)
        done.calm()
        done.check_end()
    return done


@pytest.mark.parametrize("seed", [1, 2])
def test_a_short_walk_through_faults_ends_with_what_was_planned(tmp_path: Path, seed: int) -> None:
    done = walk(tmp_path, seed=seed, steps=40)
    assert done.ran["crashed"]
    assert done.ran["finished"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_walk_of_ten_thousand_steps_ends_with_what_was_planned(tmp_path: Path) -> None:
    done = walk(tmp_path, seed=20260708, steps=10_000)
    assert min(done.ran[name] for name in ("crashed", "finished", "unavailable", "dry_run")) > 100
