"""Small planning problems for tests, drawn from a seed, with the limits that a test asks for."""

from dataclasses import replace

import numpy as np

from infra.program import Leases, Problem, bands_from_quantiles

LEVELS = np.array([0.1, 0.5, 0.9, 0.99])


def one_place(**changes) -> Problem:
    """One place, one resource, four bands of 10 machines, 24 hours: hot 1 USD, a band loses 3 USD per machine and hour."""
    given = {
        "block_hours": np.ones(24),
        "regions": ["here"],
        "places": ["here/web"],
        "resources": ["cpu"],
        "region": 0,
        "width": np.full((1, 24, 4, 1), 10.0),
        "reach": np.broadcast_to([0.95, 0.7, 0.3, 0.05], (1, 24, 4)),
        "value": 30.0,
        "option_place": 0,
        "option_name": ["n2"],
        "option_size": 1.0,
        "hot_price": 1.0,
    }
    return Problem(**(given | changes))


def random_problem(
    seed: int,
    *,
    places: int = 3,
    blocks: int = 6,
    resources: int = 1,
    two_types: bool = False,
    limits: bool = True,
    budget: bool = False,
    movement: bool = False,
    leases: bool = False,
) -> Problem:
    """A problem in which everything costs something and limits are about as large as what is wanted."""
    random = np.random.default_rng(seed)
    regions = 2
    region = np.arange(places) % regions
    base = random.uniform(2, 12, (places, blocks, 1, 1)) * random.uniform(0.5, 2, (places, 1, 1, resources))
    quantiles = base * np.sort(random.uniform(0.5, 1.8, (places, blocks, LEVELS.size, 1)), axis=2)
    width, reach = bands_from_quantiles(LEVELS, quantiles)
    option_place = np.concatenate([np.arange(places), np.arange(places)]) if two_types else np.arange(places)
    options = option_place.size
    price = random.uniform(0.3, 1.0, (options, 1)) * random.uniform(0.9, 1.1, (1, blocks))
    wanted = quantiles[:, :, -1].max(axis=2).max(axis=1)
    limit = np.array([wanted[region == g].sum() for g in range(regions)]) * random.uniform(0.4, 1.1, regions)
    problem = Problem(
        block_hours=random.choice([1.0, 2.0, 6.0], blocks),
        regions=["north", "south"],
        places=[f"{('north', 'south')[g]}/s{i}" for i, g in enumerate(region)],
        resources=["cpu", "memory", "bandwidth"][:resources],
        region=region,
        width=width,
        reach=reach,
        value=width[..., 0] * random.uniform(0.5, 4.0, (places, 1, 1)),
        option_place=option_place,
        option_name=[f"type-{i // places}" for i in range(options)],
        option_size=random.uniform(0.8, 2.5, (options, resources)),
        hot_price=price,
        warm_price=np.where(random.random(options) < 0.7, 0.1 * price[:, 0], np.inf),
        cold_use_price=np.where(random.random(options) < 0.7, 1.1 * price[:, 0], np.inf),
        warm_loss=random.uniform(0.0, 0.1, places),
        cold_loss=random.uniform(0.1, 0.5, places),
        start_cost=random.uniform(0, 0.5, options),
        held=random.integers(0, 6, options),
        option_quota=random.choice([1.0, 2.0], options),
        family_limit=limit[:, None, None] if limits else np.inf,
        budget_per_day=float(12 * wanted.sum() * random.uniform(0.2, 1.0)) if budget else np.inf,
    )
    if movement:
        problem = replace(
            problem,
            hold_hours=random.choice([0.0, 3.0], options),
            flap_limit=random.choice([6.0, 20.0, np.inf], places),
            ready_from=random.integers(0, 3, options),
        )
    return replace(problem, leases=_leases(problem, random)) if leases else problem


def _leases(problem: Problem, random: np.random.Generator) -> Leases:
    options = len(problem.option_name)
    own = problem.region[problem.option_place]
    return Leases(
        option=np.arange(options),
        lender=1 - own,
        price=random.uniform(0.5, 1.2, (options, 1)),
        gbps=np.ones(options),
        link=own,
        links=["south to north", "north to south"],
        link_capacity=random.uniform(1, 5, (2, 1)),
        lending_limit=random.uniform(1, 8, (2, 1)),
    )
