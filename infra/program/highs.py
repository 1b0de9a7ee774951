"""Programs to HiGHS and back: whole arrays in, every status checked, a live solver kept for the next solve."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from infra.program.matrix import Program
from infra.program.problem import FloatArray, IntArray
from infra.program.starting_basis import BASIC, LOWER, UPPER, Basis

__all__ = ["InfeasibleProgramError", "LinearSolution", "Solver", "SolverFailedError"]

_THREADS: Final = 1
# A share of the cost.
EXACT: Final = 1e-4
_SECONDS: Final = 60.0
# HiGHS's `simplex_scale_strategy`.
_NO_SCALING: Final = 0
_SCALING: Final = 2


class InfeasibleProgramError(Exception):
    """No plan meets the limits of the program."""


class SolverFailedError(RuntimeError):
    """HiGHS returned a status that is neither optimal nor infeasible."""


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """Values of the columns, duals of the rows (USD that one unit more of the limit saves, at least 0), and what it took."""

    values: FloatArray
    savings: FloatArray
    objective_usd: float
    iterations: int
    seconds: float


class Solver:
    """One HiGHS instance that holds one program; it can be given new numbers, and keeps its basis from solve to solve."""

    def __init__(self, program: Program, *, method: str = "choose") -> None:
        self._highs = _open()
        self._option("solver", method)
        self._program = program
        _pass(self._highs, program)

    def renew(self, program: Program) -> None:
        """Take over the numbers of a program of the same shape; the basis stays."""
        basis = self._highs.getBasis()
        _pass(self._highs, program)
        self._begin_at(basis)
        self._program = program

    def solve(self) -> LinearSolution:
        """The optimum.

        Raises:
            InfeasibleProgramError: when no plan meets the limits.
            SolverFailedError: when HiGHS gives up; names its status.
        """
        import highspy

        begin = time.perf_counter()
        known = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible)
        status = self._highs.run()
        if self._highs.getModelStatus() not in known:
            # A basis that leads nowhere is forgotten, and everything begins anew, with presolve.
            _check(self._highs.clearSolver(), "clearSolver")
            self._near(False)
            status = self._highs.run()
        found = self._highs.getModelStatus()
        if found in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            raise InfeasibleProgramError
        if status == highspy.HighsStatus.kError or found != highspy.HighsModelStatus.kOptimal:
            raise SolverFailedError(f"HiGHS stopped with {self._highs.modelStatusToString(found)}; no plan was made")
        solution, info = self._highs.getSolution(), self._highs.getInfo()
        iterations = max(info.simplex_iteration_count, 0) + max(info.ipm_iteration_count, 0)
        return LinearSolution(
            values=np.fromiter(solution.col_value, np.float64),
            savings=-np.fromiter(solution.row_dual, np.float64),
            objective_usd=float(info.objective_function_value),
            iterations=int(iterations),
            seconds=time.perf_counter() - begin,
        )

    def start_from(self, basis: Basis) -> None:
        """Begin the next solve at a basis; HiGHS then leaves presolve out."""
        import highspy

        kinds = highspy.HighsBasisStatus
        names = np.array([kinds.kLower, kinds.kBasic, kinds.kUpper], dtype=object)
        given = highspy.HighsBasis()
        given.col_status, given.row_status = names[basis.columns].tolist(), names[basis.rows].tolist()
        given.valid, given.alien = True, False
        self._begin_at(given)

    def limit_columns(self, columns: IntArray, upper: FloatArray) -> None:
        """Other upper bounds for some columns; the basis stays."""
        lower = self._program.lower[columns]
        _check(self._highs.changeColsBounds(columns.size, columns.astype(np.int32), lower, upper), "changeColsBounds")

    def basis(self) -> Basis:
        """Where the last solve ended."""
        status, basic = self._highs.getBasicVariables()
        _check(status, "getBasicVariables")
        basic = np.asarray(basic)
        program = self._program
        values = np.fromiter(self._highs.getSolution().col_value, np.float64)
        columns = np.where(values - program.lower > program.upper - values, UPPER, LOWER)
        columns[basic[basic >= 0]] = BASIC
        rows = np.full(program.row_upper.size, UPPER)
        rows[-1 - basic[basic < 0]] = BASIC
        return Basis(columns, rows)

    def solve_whole(self, columns: IntArray, *, gap: float = EXACT) -> FloatArray:
        """Values of all columns at a point at which `columns` are whole, at most the share `gap` above the best one, within `_SECONDS`.

        Raises:
            InfeasibleProgramError: when there is none.
            SolverFailedError: when none was found in time.
        """
        import highspy

        kinds = np.full(columns.size, int(highspy.HighsVarType.kInteger), dtype=np.uint8)
        _check(self._highs.changeColsIntegrality(columns.size, columns.astype(np.int32), kinds), "changeColsIntegrality")
        self._option("mip_rel_gap", gap)
        self._option("time_limit", _SECONDS)
        _check(self._highs.run(), "run")
        found = self._highs.getModelStatus()
        if found == highspy.HighsModelStatus.kInfeasible:
            raise InfeasibleProgramError
        timed_out = found == highspy.HighsModelStatus.kTimeLimit and np.isfinite(self._highs.getInfo().objective_function_value)
        if found != highspy.HighsModelStatus.kOptimal and not timed_out:
            raise SolverFailedError(f"no plan of whole machines: HiGHS stopped with {self._highs.modelStatusToString(found)}")
        return np.fromiter(self._highs.getSolution().col_value, np.float64)

    def _begin_at(self, basis: Any) -> None:
        _check(self._highs.setBasis(basis), "setBasis")
        self._near(True)

    def _near(self, near: bool) -> None:
        """From a good start it is a few thousand steps: scaling the matrix and perturbing the costs, which protect long ways, take longer."""
        self._option("simplex_scale_strategy", _NO_SCALING if near else _SCALING)
        self._option("dual_simplex_cost_perturbation_multiplier", 0.0 if near else 1.0)

    def _option(self, name: str, value: Any) -> None:
        _check(self._highs.setOptionValue(name, value), name)


def _open() -> Any:
    import highspy

    # Its stub file is incomplete.
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (("output_flag", False), ("threads", _THREADS), ("random_seed", 0)):
        _check(highs.setOptionValue(name, value), name)
    return highs


def _pass(highs: Any, program: Program) -> None:
    """Hand a program over as arrays: a twentieth of the time that HighsLp's attributes take."""
    import highspy

    columns, rows, matrix = program.cost.size, program.row_upper.size, program.matrix
    column_wise, minimise = int(highspy.MatrixFormat.kColwise), int(highspy.ObjSense.kMinimize)
    limits = (np.full(rows, -np.inf), program.row_upper)
    entries = (matrix.indptr.astype(np.int32, copy=False), matrix.indices.astype(np.int32, copy=False), matrix.data)
    continuous = np.zeros(columns, dtype=np.int32)
    bounds = (program.cost, program.lower, program.upper)
    status = highs.passModel(columns, rows, matrix.nnz, column_wise, minimise, program.offset, *bounds, *limits, *entries, continuous)
    _check(status, "passModel")


def _check(status: Any, what: str) -> None:
    import highspy

    if status == highspy.HighsStatus.kError:
        raise SolverFailedError(f"HiGHS refused {what}; the program is broken")
