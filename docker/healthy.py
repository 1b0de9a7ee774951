#!/usr/bin/env python3
"""Ask a server whether it, or one component of Airflow, is healthy; the exit code says so.

headroom-healthy URL               the server answers with success
headroom-healthy URL COMPONENT     and its JSON says that the component (scheduler, dag_processor, triggerer) is healthy
"""

from __future__ import annotations

import json
import sys
import urllib.request


def main(url: str, component: str | None = None) -> int:
    """0 when healthy, 1 when not."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the address comes from the compose file
            return int(component is not None and json.load(answer)[component]["status"] != "healthy")
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{url}: {error!r}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
