"""Hourly weather per region from JSON, as Open-Meteo and others serve it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from feature_store.fetch import read_location
from headroom.errors import BadInputError
from headroom.issue_time import as_utc
from headroom.settings_sources import WeatherSource

__all__ = ["weather_events"]

_HOUR: Final = pd.Timedelta(hours=1)
_ISSUED_KEYS: Final = ("generated_at", "issued_at")
_EXAMPLE: Final = '{"hourly": {"time": ["2026-07-08T00:00"], "temperature_2m": [21.5]}}'


def weather_events(source: WeatherSource, base: Path) -> pd.DataFrame:
    """One occurrence per region, variable and hour, of kind `weather:<variable>`, the reading as `value`.

    The identity does not hold the forecast's issue time, so later forecasts of an hour are versions of one event. A forecast
    became known at the payload's `generated_at` or `issued_at`. Times without a zone are local to `utc_offset_seconds`,
    numbers are Unix seconds. Hours without a reading (null) yield no event.

    Raises:
        BadInputError: naming the region, the key and what is expected.
        UnavailableError: an address does not answer.
    """
    return pd.concat([_region_events(region, location, source, base) for region, location in source.locations.items()], ignore_index=True)


def _region_events(region: str, location: str, source: WeatherSource, base: Path) -> pd.DataFrame:
    what = f"calendar {source.name}: region {region}"
    payload = _payload(read_location(location, base, what=what), what)
    hourly = payload["hourly"]
    times = _times(hourly["time"], payload.get("utc_offset_seconds", 0), what)
    issued = next((as_utc(payload[key], f"{what}: {key}") for key in _ISSUED_KEYS if payload.get(key)), None)
    parts = []
    for variable in source.variables:
        unit = str(payload.get("hourly_units", {}).get(variable, ""))
        readings = _readings(hourly, variable, len(times), what)
        titles = [f"{variable} {reading:g} {unit}".rstrip() for reading in readings]
        parts.append(
            pd.DataFrame(
                {"start": times, "value": readings, "title": titles, "identity": f"{region}:{variable}", "kind": f"weather:{variable}"}
            )
        )
    found = pd.concat(parts, ignore_index=True)
    said_at = pd.Series(issued, index=found.index, dtype="datetime64[us, UTC]")
    return found.assign(region=region, end=found["start"] + _HOUR, said_at=said_at).dropna(subset="value")


def _payload(data: bytes, what: str) -> Mapping[str, Any]:
    try:
        payload = json.loads(data)
    except ValueError as error:
        raise BadInputError(f"{what}: not JSON: {error}; expected {_EXAMPLE}") from error
    hourly = payload.get("hourly") if isinstance(payload, dict) else None
    if not isinstance(hourly, dict) or not isinstance(hourly.get("time"), list):
        raise BadInputError(f"{what}: no list hourly.time; expected {_EXAMPLE}")
    return dict(payload)


def _times(raw: list[Any], offset_seconds: float, what: str) -> pd.DatetimeIndex:
    try:
        if all(isinstance(time, int | float) for time in raw):
            return pd.DatetimeIndex(pd.to_datetime(raw, unit="s", utc=True))
        parsed = pd.DatetimeIndex(pd.to_datetime(pd.Index(raw), format="ISO8601"))
        if parsed.tz is not None:
            return parsed.tz_convert("UTC")
        return parsed.tz_localize("UTC") - pd.Timedelta(seconds=offset_seconds)
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{what}: hourly.time: {error}; expected ISO 8601 times or Unix seconds") from error


def _readings(hourly: Mapping[str, Any], variable: str, expected: int, what: str) -> pd.Series[float]:
    if variable not in hourly:
        has = ", ".join(sorted(set(hourly) - {"time"})) or "none"
        raise BadInputError(f"{what}: no variable {variable!r} under hourly; it has {has}")
    try:
        readings = pd.Series(hourly[variable], dtype="float64")
    except (ValueError, TypeError) as error:
        raise BadInputError(f"{what}: hourly.{variable}: {error}; expected numbers or null") from error
    if len(readings) != expected:
        raise BadInputError(f"{what}: hourly.{variable} has {len(readings)} readings for {expected} times; expected one for each")
    return readings
