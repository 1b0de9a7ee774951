"""What the ledger says is held now, per region, service and resource."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sqlalchemy.engine import make_url

from headroom.home import Home

__all__ = ["HELD_COLUMNS", "database_exists", "held_now"]

HELD_COLUMNS = ("region", "service", "resource", "pool", "machine_type", "amount", "usd_per_hour")


def held_now(home: Home) -> pd.DataFrame:
    """Columns `HELD_COLUMNS`, one row per region, service, resource (`instances`, `bandwidth`, `storage`), pool (`hot`, `warm`), machine type.

    As the last reconciliation of each region confirmed it; empty when none has run. `service` is empty for the region's
    interconnect attachment, which its services share. `usd_per_hour` is the list price of the whole amount.
    """
    if not database_exists(home):
        return pd.DataFrame(columns=list(HELD_COLUMNS))
    from infra.ledger import Ledger

    held = Ledger.open(home.database_url).held()
    keys = ["region", "service", "resource", "pool", "machine_type"]
    return held.groupby(keys, as_index=False)[["amount", "usd_per_hour"]].sum()[list(HELD_COLUMNS)]


def database_exists(home: Home) -> bool:
    """Whether there is a database to read; a report must not be what creates one."""
    url = make_url(home.database_url)
    return url.get_backend_name() != "sqlite" or (url.database is not None and Path(url.database).is_file())
