"""A long random walk through faults, crashes and clocks: ends with what was planned, or says what did not hold.

    python -m tests.benchmarks.faults --steps 10000 --seed 20260708

The same walk as in `tests/infra/test_random_faults.py`, whose runs are short: see `tests/infra/fault_walk.py` for what a step is and what
must hold on the way and at the end. An assertion that fails ends it.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

# The walk's modules import each other by their file names, as pytest finds them.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra"))


def main() -> None:
    from cloud_world import world
    from fault_walk import TIMING, Walk

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20260708)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a fault is no news here
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), timing=TIMING, pause=0.001) as here:
        walk = Walk(here, random.Random(arguments.seed))
        walk.go(arguments.steps)
        walk.calm()
        walk.check_end()
        rows = len(here.ledger.recent(limit=10**6))
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(walk.ran.items()))
    sys.stdout.write(f"{arguments.steps:,} steps in {time.perf_counter() - started:,.0f} s, {rows:,} ledger rows, all held: {counts}\n")


if __name__ == "__main__":
    main()
