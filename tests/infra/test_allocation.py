"""From the lake to a plan: what an allocation needs, and what it says when that is missing."""

from pathlib import Path

import pytest

from headroom.allocation import make_plan
from headroom.errors import BadInputError
from tests.infra.forecast_rows import ISSUE, SETTINGS
from tests.infra.installation import HOUR, installation


def test_without_a_forecast_of_the_day_the_newest_one_is_named(tmp_path: Path) -> None:
    opened = installation(tmp_path, SETTINGS.replace("{BUDGET}", "{}"))
    with pytest.raises(BadInputError, match=rf"or plan for {ISSUE:%Y-%m-%dT%H}:00:00\+00:00, the newest there is, with --as-of"):
        make_plan(opened, issue_time=ISSUE + 26 * HOUR)
    with pytest.raises(BadInputError, match=r"run headroom score --as-of .* first$"):
        make_plan(opened, issue_time=ISSUE - HOUR)
