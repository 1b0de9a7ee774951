"""`python -m infra.local_cloud --port 8787 --state var/cloud --project my-project`: prints its address when ready."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from headroom.errors import BadInputError
from infra.local_cloud.seed import Seed, Timing
from infra.local_cloud.server import serve


def main() -> int:
    defaults = Timing()
    parser = argparse.ArgumentParser(prog="python -m infra.local_cloud", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--state", type=Path, required=True, help="folder of what must survive a restart")
    parser.add_argument("--project", required=True)
    parser.add_argument("--capacity", type=Path, help="capacity.yaml, for zones and quotas")
    parser.add_argument("--operation-seconds", type=float, default=defaults.operation)
    parser.add_argument("--boot-seconds", type=float, default=defaults.boot)
    arguments = parser.parse_args()
    timing = Timing(operation=arguments.operation_seconds, boot=arguments.boot_seconds)
    try:
        seed = _seed(arguments.capacity) if arguments.capacity else None
        serve(arguments.port, arguments.state, arguments.project, seed=seed, timing=timing, on_ready=_announce)
    except BadInputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _seed(capacity: Path) -> Seed:
    from headroom.settings import load_settings

    return Seed.from_settings(load_settings(capacity))


def _announce(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
