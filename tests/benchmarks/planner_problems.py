"""Made-up planning problems of a given size: daily demand with quantiles that widen, prices, stock, a budget, peers that lend."""

from __future__ import annotations

import numpy as np

from infra.program import Leases, Problem, bands_from_quantiles

LEVELS = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
NORMAL = np.array([-1.645, -1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816, 1.645, 2.3263])
RESOURCES = ("cpu", "memory", "bandwidth")
# vCPU, GiB, Gbit/s that one machine serves at its target utilisation.
STANDARD = (5.6, 22.4, 11.2)
HIGH_MEMORY = (5.6, 44.8, 11.2)
HOURLY = np.ones(72)
BLOCKS = np.append(np.ones(24), np.full(8, 6.0))


def planning_problem(
    services: int,
    regions: int,
    *,
    block_hours: np.ndarray = HOURLY,
    bands: int = 5,
    seed: int = 0,
    hour: int = 0,
    surprise: float = 0.0,
    flaps: float = np.inf,
) -> Problem:
    """Services in every region with 3 resources; every fifth place may choose between two machine types.

    Half of the regions have stock for 85 to 100 % of what their services ask for at the 90 % level; the budget is below what the plan
    would cost without one. Three peers lend to each region that is short. `hour` moves the clock on; `surprise` changes every demand by so
    much (standard deviation), and changes nothing else. `flaps` is how many starts and stops a place may have in a day.
    """
    random = np.random.default_rng(seed)
    places = services * regions
    region = np.tile(np.arange(regions), services)
    level = random.lognormal(3.3, 0.6, places) * STANDARD[0]  # about 27 machines
    phase, swing = random.uniform(0, 24, places), random.uniform(0.1, 0.5, places)
    hours = hour + np.cumsum(block_hours) - block_hours / 2
    load = level[:, None] * (1 + swing[:, None] * np.sin((hours - phase[:, None]) * 2 * np.pi / 24))
    shape = random.uniform(0.3, 1.1, (places, 1, 1, 3)) * np.array([1.0, 4.0, 2.0])
    idle = np.array([0.0, 0.3, 0.0])  # memory that is used whatever the load
    error = (0.04 + 0.1 * np.sqrt((hours - hour) / 72))[:, None] * NORMAL
    value_per_cpu = np.exp(random.uniform(np.log(0.05), np.log(2.0), places))
    price = 0.39 * random.uniform(0.9, 1.25, regions)[region]
    short = random.random(regions) < 0.5
    ration = random.uniform(0.85, 1.0, regions)
    if surprise:
        load = load * np.random.default_rng(seed + 1).lognormal(0, surprise, load.shape)
    quantiles = np.stack([load[:, :, None] * np.exp(error)] * 3, axis=3)
    quantiles = (quantiles * (1 - idle) + level[:, None, None, None] * idle) * shape
    width, reach = bands_from_quantiles(LEVELS, quantiles, bands=bands)
    ratio = width[..., 0] / shape[..., 0]
    second = np.flatnonzero(np.arange(places) % 5 == 0)
    option_place = np.append(np.arange(places), second)
    memory = np.arange(option_place.size) >= places
    # What the usual load (without the surprise) would take at its peak.
    usual = level * (1 + swing) * np.exp(0.15 * NORMAL[9]) * (shape[:, 0, 0] / np.array(STANDARD)).max(axis=1)
    stock = np.array([usual[region == g].sum() * 8 for g in range(regions)]) * np.where(short, 0.8 * ration, 4.0)
    option_price = price[option_place] * np.where(memory, 1.3, 1.0)
    return Problem(
        block_hours=block_hours,
        regions=[f"region-{g}" for g in range(regions)],
        places=[f"region-{g}/service-{s}" for s in range(services) for g in range(regions)],
        resources=RESOURCES,
        region=region,
        width=width,
        reach=reach,
        value=value_per_cpu[:, None, None] * ratio,
        option_place=option_place,
        option_name=["n2-highmem-8" if m else "n2-standard-8" for m in memory],
        option_size=np.where(memory[:, None], HIGH_MEMORY, STANDARD),
        hot_price=option_price,
        warm_price=0.12 * option_price,
        cold_use_price=1.1 * option_price,
        warm_loss=np.full(places, 1 / 60),
        cold_loss=random.uniform(0.1, 0.4, places),
        start_cost=0.05 * option_price,
        held=np.where(memory, 0.0, np.floor(usual[option_place] * 0.8)),
        ready_from=np.ones(option_place.size, dtype=np.int64),
        families=["n2"],
        option_quota=np.full(option_place.size, 8.0),
        family_limit=stock[:, None, None],
        budget_per_day=float(0.62 * 24 * (usual * price).sum()),
        flap_limit=np.asarray(flaps),
        leases=_leases(option_place, region, short, option_price, random),
    )


def _leases(option_place: np.ndarray, region: np.ndarray, short: np.ndarray, price: np.ndarray, random: np.random.Generator) -> Leases:
    regions = short.size
    borrower = np.flatnonzero(short[region[option_place]])
    pairs = [(m, (region[option_place[m]] + step) % regions) for m in borrower for step in range(1, min(4, regions))]
    option, lender = (np.array([p[i] for p in pairs], dtype=np.int64).reshape(-1) for i in range(2))
    links = [f"region-{a} to region-{b}" for a in range(regions) for b in range(regions)]
    link = region[option_place[option]] * regions + lender
    return Leases(
        option=option,
        lender=lender,
        price=(price[option] * random.uniform(1.1, 1.5, option.size))[:, None],
        gbps=np.full(option.size, 2.0),
        link=link,
        links=links,
        link_capacity=np.full((len(links), 1), 800.0),
        lending_limit=np.full((regions, 1), 1000.0),
    )
