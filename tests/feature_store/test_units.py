"""Units of sources become the canonical unit of the resource."""

from __future__ import annotations

import pandas as pd
import pytest

from feature_store.units import conversion_factor, known_units, to_canonical
from headroom.errors import BadInputError
from headroom.settings import Settings
from headroom.vocabulary import UNITS


@pytest.mark.parametrize(
    ("amount", "unit", "resource", "canonical"),
    [
        (1500, "mCPU", "cpu", 1.5),
        (90, "ms/s", "cpu", 0.09),
        (2, "GiB", "memory", 2),
        (1024, "MiB", "memory", 1),
        (2**30, "By", "memory", 1),
        (1000, "MBy", "storage", 10**9 / 2**30),
        (2, "TiBy", "storage", 2048),
        (125_000_000, "By/s", "bandwidth", 1),
        (125, "MB/s", "bandwidth", 1),
        (2500, "Mbit/s", "bandwidth", 2.5),
        (1, "Gibit/s", "bandwidth", 2**30 / 10**9),
        (300, "1/min", "requests", 5),
        (1.2, "s", "latency", 1200),
        (800, "us", "latency", 0.8),
        (3, "%", "errors", 0.03),
    ],
)
def test_a_unit_is_converted(amount: float, unit: str, resource: str, canonical: float) -> None:
    assert to_canonical(pd.Series([amount, None]), unit, resource).tolist()[0] == pytest.approx(canonical, rel=1e-12)
    assert to_canonical(pd.Series([amount, None]), unit, resource).isna().tolist() == [False, True]


def test_the_canonical_unit_changes_nothing() -> None:
    assert {resource: conversion_factor(unit, resource) for resource, unit in UNITS.items()} == dict.fromkeys(UNITS, 1.0)


def test_the_units_of_the_demo_are_known(demo_settings: Settings) -> None:
    for service in demo_settings.services.values():
        for resource, metric in service.demand.items():
            assert demo_settings.metrics[0].metrics[metric].unit in known_units(resource)


def test_an_unknown_unit_is_refused_with_the_units_there_are() -> None:
    with pytest.raises(BadInputError) as refused:
        conversion_factor("Gbit", "cpu")
    assert str(refused.value) == "unit 'Gbit' does not measure cpu (canonical vCPU). Allowed: vCPU, mCPU, core, millicore, s/s, ms/s"
    with pytest.raises(
        BadInputError, match=r"unit 'GIB' does not measure memory \(canonical GiB\); did you mean 'GiB'\? Allowed: B, By, kB"
    ):
        conversion_factor("GIB", "memory")


def test_a_unit_of_another_resource_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"unit 'ms' does not measure requests"):
        conversion_factor("ms", "requests")
    with pytest.raises(BadInputError, match=r"no resource 'gpu'; known: cpu, memory"):
        conversion_factor("vCPU", "gpu")
