"""The program written once more, as it stands in docs/planning.md, for cvxpy: slow, plain, and independent of the product's matrix."""

import warnings

import numpy as np

from infra.program import Problem


def oracle_usd(problem: Problem) -> float:
    """The optimum of the linear program, USD. Places with one option must have one resource (else bands are counted in machines)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cvxpy as cp

    places, blocks, bands, resources, options = problem.shape
    hot, warm, cold, start = (cp.Variable((options, blocks), nonneg=True) for _ in range(4))
    lent = 0 if problem.leases is None else problem.leases.option.size
    lease = cp.Variable((max(lent, 1), blocks), nonneg=True)
    limits = [lease == 0] if not lent else []
    cost = cp.sum(cp.multiply(problem.hot_price * problem.block_hours, hot)) + cp.sum(cp.multiply(problem.start_cost[:, None], start))
    standby = np.isfinite(problem.warm_price)
    cost += cp.sum(cp.multiply(np.where(standby, problem.warm_price, 0) * problem.block_hours, warm))
    limits += [warm <= np.where(standby, 1e6, 0), cold <= np.where(np.isfinite(problem.cold_use_price), 1e6, 0)]
    held = cp.hstack([problem.held[:, None], hot[:, :-1]]) if blocks > 1 else problem.held[:, None]
    limits.append(start >= hot - held)
    if lent:
        cost += cp.sum(cp.multiply(problem.leases.price * problem.block_hours, lease))
    for d in range(places):
        mine = np.flatnonzero(problem.option_place == d)
        borrowed = np.flatnonzero(problem.option_place[problem.leases.option] == d) if lent else []
        for t in range(blocks):
            width, value = problem.width[d, t], problem.value[d, t]
            warm_use, cold_use = (
                _use(width, problem, mine, price, t)
                for price in (np.where(standby, problem.warm_use_price, np.inf), problem.cold_use_price)
            )
            e_cold = np.minimum(problem.cold_loss[d] * value + cold_use, value)
            e_warm = np.minimum(problem.warm_loss[d] * value + warm_use, e_cold)
            y = [cp.Variable(bands, nonneg=True) for _ in range(3)]
            chance = problem.reach[d, t] * problem.block_hours[t]
            for tier, worth in enumerate((e_warm, e_cold - e_warm, value - e_cold)):
                cost += (chance * worth) @ (1 - y[tier])
                limits += [y[tier] <= 1, y[tier][1:] <= y[tier][:-1]]
                for r in range(resources):
                    there = sum(
                        problem.option_size[m, r] * (hot[m, t] + (warm[m, t] if tier else 0) + (cold[m, t] if tier > 1 else 0))
                        for m in mine
                    )
                    there += sum(problem.option_size[problem.leases.option[i], r] * lease[i, t] for i in borrowed)
                    limits.append(width[:, r] @ y[tier] <= there)
    limits += _shared_limits(problem, hot, warm, cold, lease, lent) + _movement(problem, hot, warm, start, lease, lent)
    program = cp.Problem(cp.Minimize(cost), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(program.solve(solver=cp.HIGHS))


def _use(width, problem, mine, price, t):
    machines = (width[:, None, :] / problem.option_size[mine]).max(axis=2)
    return (machines * price[mine, t]).min(axis=1)


def _shared_limits(problem, hot, warm, cold, lease, lent):
    limits = []
    for g in range(len(problem.regions)):
        for t in range(problem.shape[1]):
            mine = np.flatnonzero(problem.region[problem.option_place] == g)
            use = sum(problem.option_quota[m] * (hot[m, t] + warm[m, t] + cold[m, t]) for m in mine)
            loans = [i for i in range(lent) if problem.leases.lender[i] == g]
            lending = sum(problem.option_quota[problem.leases.option[i]] * lease[i, t] for i in loans)
            if np.isfinite(problem.family_limit[g, 0, t]):
                limits.append(use + lending <= problem.family_limit[g, 0, t])
            if loans:
                limits.append(lending <= problem.leases.lending_limit[g, t])
        if lent:
            carried = [i for i in range(lent) if problem.leases.link[i] == g]  # one link per region in these tests
            limits += [sum(problem.leases.gbps[i] * lease[i, :] for i in carried) <= problem.leases.link_capacity[g]] if carried else []
    return limits


def _movement(problem, hot, warm, start, lease, lent):
    limits, begins = [], problem.block_starts
    standby = np.where(np.isfinite(problem.warm_price), problem.warm_price, 0)
    for hours, usd in zip(problem.budget_hours, np.nan_to_num(problem.budget_usd, posinf=1e9), strict=True):
        held = ((problem.hot_price[:, t] @ hot[:, t] + standby[:, t] @ warm[:, t]) * hours[t] for t in range(hours.size))
        lent_usd = sum((problem.leases.price[:, t] @ lease[:, t]) * hours[t] for t in range(hours.size)) if lent else 0
        limits.append(sum(held) + lent_usd <= usd)
    for m in range(hot.shape[0]):
        for t in range(hot.shape[1]):
            before = hot[m, t - 1] + warm[m, t - 1] if t else problem.held[m] + problem.held_warm[m]
            if t < problem.ready_from[m]:
                limits.append(hot[m, t] + warm[m, t] <= before)
                limits += [lease[i, t] == 0 for i in range(lent) if problem.leases.option[i] == m]
            if problem.hold_hours[m]:
                recent = [i for i in range(t + 1) if begins[i] + problem.hold_hours[m] > begins[t] + 1e-9]
                limits.append(problem.young[m, t] + sum(start[m, i] for i in recent) <= hot[m, t])
    for d, day in np.argwhere(np.isfinite(problem.flap_limit)):
        moves = 0
        for m in np.flatnonzero(problem.option_place == d):
            moves += sum(start[m, t] for t in np.flatnonzero(problem.flap_day[0, d] == day))
            for t in np.flatnonzero(problem.flap_day[1, d] == day):
                moves += start[m, t] - hot[m, t] + (hot[m, t - 1] if t else problem.held[m])
        limits.append(moves <= problem.flap_limit[d, day])
    return limits
