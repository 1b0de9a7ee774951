"""The books of `capacity`, read from the store."""

from __future__ import annotations

from infra.local_cloud.capacity import Books, Limits, Machines
from infra.local_cloud.catalog import Catalog
from infra.local_cloud.claims import CLAIMING, claim_of
from infra.local_cloud.store import Store

__all__ = ["load_books"]


def load_books(store: Store, catalog: Catalog) -> Books:
    """Who holds what now. A resource whose change is under way counts with the larger of both sizes."""
    held, amounts = [], []
    for collection in CLAIMING:
        for row in store.all(collection):
            claim = claim_of(row.path, row.body)
            if row.pending is not None:
                claim = claim.larger(claim_of(row.path, row.pending))
            if claim.held is not None:
                held.append(claim.held)
            place = row.scope.partition("/")[2]
            region = catalog.zones.get(place, place)
            amounts += [(region, metric, amount) for metric, amount in claim.amounts.items()]
    running = store.db.execute(
        "SELECT zone, machine_type, affinity, count(*) FROM machines WHERE state IN ('BOOTING', 'RESUMING', 'RUNNING', 'LEAVING') GROUP BY 1, 2, 3"
    )
    machines = tuple(Machines(*row) for row in running)
    every = store.db.execute("SELECT zone, count(*) FROM machines WHERE state != 'WAITING' GROUP BY 1")
    amounts += [(catalog.zones[zone], "INSTANCES", float(count)) for zone, count in every]
    return Books(catalog, _limits(store), tuple(held), machines, tuple(amounts))


def _limits(store: Store) -> Limits:
    quotas = store.db.execute("SELECT region, metric, ceiling FROM quotas")
    stock = store.db.execute("SELECT zone, sku, ceiling FROM stock")
    return Limits({(region, metric): ceiling for region, metric, ceiling in quotas}, {(zone, sku): ceiling for zone, sku, ceiling in stock})
