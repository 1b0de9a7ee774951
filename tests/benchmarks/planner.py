"""What the planner's linear program costs: build, cold solve beside HiGHS on the same matrix from a file, warm re-plan, rounding, memory.

    python -m tests.benchmarks.planner --sizes 10x4,50x10 --patterns hourly,mixed [--without-file]

Each size and pattern of hour blocks (72 hours, or 24 hours and 8 blocks of 6; `flaps`: 72 hours with at most 20 starts and stops per place
and day) runs in a process of its own. Times are CPU seconds of that
process, in which the program runs in one thread, so that a busy machine changes them little. `--without-file` leaves HiGHS on a file out.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import highspy
import numpy as np

from infra.program import Solution, solve
from tests.benchmarks.planner_problems import BLOCKS, HOURLY, planning_problem

# Hour blocks, and starts and stops of a place in a day.
PATTERNS = {"hourly": (HOURLY, np.inf), "mixed": (BLOCKS, np.inf), "flaps": (HOURLY, 20.0)}
SURPRISE = 0.02
HEADINGS = (
    "services x regions, blocks",
    "columns",
    "rows",
    "entries",
    "build s",
    "cold solve s",
    "HiGHS, same matrix from a file s",
    "build / HiGHS",
    "solve / HiGHS",
    "rounding s",
    "above bound",
    "demand changed: all s (solver s)",
    "an hour on: all s (solver s)",
    "peak GiB",
)


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    services: int
    regions: int
    pattern: str
    program: tuple[int, int, int]
    cold: Solution
    from_file: float
    changed: Solution
    hour_on: Solution
    gib: float


def measure(services: int, regions: int, pattern: str, with_file: bool) -> list[str]:
    """The cells of one line; the solver's own clock is set to CPU time."""
    importlib.import_module("infra.program.solve").time = SimpleNamespace(perf_counter=time.process_time)
    hours, flaps = PATTERNS[pattern]
    made = partial(planning_problem, block_hours=hours, flaps=flaps)
    solve(made(2, 2))  # what is imported on first use is not counted
    cold = solve(made(services, regions))
    highs = cold.warm_start.solver._highs
    size = (highs.getNumCol(), highs.getNumRow(), highs.getNumNz())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    from_file = _from_file(highs) if with_file else np.nan
    changed = solve(made(services, regions, surprise=SURPRISE), warm_start=cold)
    hour_on = solve(made(services, regions, hour=1), warm_start=changed)
    return _cells(Measured(services, regions, pattern, size, cold, from_file, changed, hour_on, memory))


def _from_file(highs: highspy.Highs) -> float:
    """CPU seconds that a fresh HiGHS with the same options takes for the matrix read from an MPS file, without the reading."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.mps"
        highs.writeModel(str(file))
        fresh = highspy.Highs()
        for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 0)):
            fresh.setOptionValue(name, value)
        fresh.readModel(str(file))
    clock = time.process_time()
    fresh.run()
    seconds = time.process_time() - clock
    assert fresh.getModelStatus() == highspy.HighsModelStatus.kOptimal
    assert np.isclose(fresh.getInfo().objective_function_value, highs.getInfo().objective_function_value, rtol=1e-6)
    return seconds


def _cells(found: Measured) -> list[str]:
    cold, seconds = found.cold, found.cold.seconds
    warm = [
        f"{s.build + s.solve + s.whole:.2f} ({s.solve:.2f}), {plan.iterations:,} iterations"
        for plan, s in ((p, p.seconds) for p in (found.changed, found.hour_on))
    ]
    return [
        f"{found.services} x {found.regions}, {found.pattern}",
        *(f"{number:,}" for number in found.program),
        f"{seconds.build:.2f}",
        f"{seconds.solve:.2f}",
        *(("-",) * 3 if np.isnan(found.from_file) else _beside(found.from_file, seconds.build, seconds.solve)),
        f"{seconds.whole:.2f}",
        f"{cold.cost_usd / cold.bound_usd - 1:.2%}",
        *warm,
        f"{found.gib:.2f}",
    ]


def _beside(highs: float, build: float, cold: float) -> tuple[str, str, str]:
    return f"{highs:.2f}", f"{build / highs:.1%}", f"{cold / highs:.2f}"


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10x4,50x10")
    parser.add_argument("--patterns", default="hourly,mixed")
    parser.add_argument("--without-file", action="store_true")
    options = parser.parse_args()
    sys.stdout.write(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}\n")
    for size in options.sizes.split(","):
        services, regions = (int(part) for part in size.split("x"))
        for pattern in options.patterns.split(","):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                cells = pool.submit(measure, services, regions, pattern, not options.without_file).result()
            sys.stdout.write(f"| {' | '.join(cells)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
