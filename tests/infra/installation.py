"""A whole installation's folders with a forecast and measurements in its lake, for tests of what is wired together."""

from pathlib import Path

import pandas as pd

from headroom.home import Home
from headroom.runtime import Runtime
from headroom.vocabulary import SeriesId
from tests.infra.forecast_rows import ISSUE, SETTINGS, forecasts

HOUR = pd.Timedelta("1h")
STEP = pd.Timedelta("5min")


def installation(folder: Path, text: str = SETTINGS.replace("{BUDGET}", "{}")) -> Runtime:
    """With a forecast of `ISSUE` for every series, median 100, and nothing measured."""
    (folder / "capacity.yaml").write_text(text)
    places = {"HEADROOM_HOME": str(folder / "var"), "HEADROOM_CAPACITY": str(folder / "capacity.yaml")}
    (folder / "var").mkdir(exist_ok=True)
    opened = Runtime.open(Home.from_environment(places))
    opened.lake.replace("forecasts", forecasts(opened.settings, median=100.0), start=ISSUE, end=ISSUE + HOUR)
    return opened


def measure(opened: Runtime, series: str, hours: dict[int, float], *, available: pd.Timestamp | None = None) -> None:
    """Add measurements of 5 minutes, the same within an hour; hours count from `ISSUE`. A later availability makes later versions."""
    stamps = [ISSUE + hour * HOUR + number * STEP for hour in hours for number in range(12)]
    values = [value for value in hours.values() for _ in range(12)]
    known = pd.DatetimeIndex(stamps) + STEP if available is None else available
    frame = pd.DataFrame({"unique_id": series, **SeriesId.parse(series)._asdict(), "ds": stamps, "y": values})
    frame = frame.assign(available_at=known, source="traces", warnings="")
    start, end = frame["ds"].min(), frame["ds"].max() + STEP
    opened.lake.add("metrics", lambda held: frame, start=start, end=end, where={"source": "traces"})
