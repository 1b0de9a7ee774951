"""`capacity.yaml`: what the owner of the services decides. Secrets never live here.

Services and policy are described in `headroom.settings_services`, regions and the cloud in `headroom.settings_cloud`, sources and calendars
in `headroom.settings_sources`, forecasting in `headroom.settings_forecasting`; this module puts them together, checks what spans them, and words the errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Self

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from headroom.errors import SettingsError
from headroom.settings_cloud import Cloud, Region, RegionName
from headroom.settings_forecasting import Forecasting
from headroom.settings_services import Policy, Service, ServiceName, Strict
from headroom.settings_sources import EventSource, MetricSource
from headroom.strict_yaml import read_yaml
from headroom.vocabulary import SeriesId

__all__ = ["Settings", "load_settings", "parse_settings"]


class Settings(Strict):
    """The whole of `capacity.yaml`."""

    regions: dict[RegionName, Region] = Field(min_length=1, description="Google Cloud region name -> what we may use there")
    services: dict[ServiceName, Service] = Field(min_length=1, description="service name -> where it runs and what it needs")
    metrics: list[MetricSource] = Field(min_length=1, description="where measurements come from")
    calendars: list[EventSource] = Field(default=[], description="where events come from")
    policy: Policy = Policy()
    forecasting: Forecasting = Forecasting()
    cloud: Cloud

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        problems = [*_doubles("metrics", [s.name for s in self.metrics]), *_doubles("calendars", [c.name for c in self.calendars])]
        for name, service in self.services.items():
            problems += _doubles(f"services.{name}.regions", service.regions)
            for region in service.regions:
                if region not in self.regions:
                    problems.append(f"services.{name}.regions: {region!r} is not under regions; known: {', '.join(sorted(self.regions))}")
            for resource, metric in service.measured.items():
                if not any(metric in source.metrics for source in self.metrics):
                    known = sorted({m for source in self.metrics for m in source.metrics})
                    key = f"demand.{resource}" if resource in service.demand else f"trouble.{resource}.metric"
                    problems.append(f"services.{name}.{key}: no source gives metric {metric!r}; known: {', '.join(known)}")
        for name, settings in self.regions.items():
            problems += _region_problems(name, settings, sorted(set(self.regions) - {name}))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def metric_source(self, name: str) -> MetricSource:
        """The source of this name.

        Raises:
            SettingsError: when there is none.
        """
        for source in self.metrics:
            if source.name == name:
                return source
        raise SettingsError(f"metrics: no source {name!r}; there are {', '.join(source.name for source in self.metrics)}")

    @cached_property
    def series(self) -> list[SeriesId]:
        """Every series that is forecast, in a stable order."""
        return sorted(
            SeriesId(region, name, resource)
            for name, service in self.services.items()
            for region in service.regions
            for resource in service.demand
        )


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        SettingsError: with one line per problem: file, key, value, what is allowed.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; set HEADROOM_CAPACITY to your capacity.yaml or run from the repository root")
    return parse_settings(path.read_text(encoding="utf-8"), name=path.name)


def parse_settings(text: str, name: str = "capacity.yaml") -> Settings:
    """Like `load_settings`, from text; `name` stands for the file in messages."""
    try:
        raw = read_yaml(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{name}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise SettingsError(f"{name}: expected keys {', '.join(Settings.model_fields)} at the top level, got {type(raw).__name__}")
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        lines = [f"{name}: {line}" for problem in error.errors() for line in _lines(problem)]
        raise SettingsError("\n".join(lines)) from error


def _region_problems(name: str, region: Region, others: Sequence[str]) -> list[str]:
    """What does not fit in a region, beside the `others`."""
    key = f"regions.{name}"
    problems = [*_doubles(f"{key}.zones", region.zones), *_doubles(f"{key}.peers", region.peers)]
    for zone in region.zones:
        if zone.rpartition("-")[0] != name:
            problems.append(f"{key}.zones: {zone!r} is not a zone of the region, whose zones are called {name}-a and so on")
    for quota in region.quotas:
        if quota != quota.upper():
            problems.append(f"{key}.quotas: {quota!r} is not written as Google does; did you mean {quota.upper()!r}?")
    for peer in region.peers:
        if peer not in others:
            problems.append(f"{key}.peers: {peer!r} is not another region; known: {', '.join(others)}")
    for peer in sorted(set(region.links) - set(region.peers)):
        problems.append(f"{key}.links: {peer!r} is not a peer, from which it leases; add it to peers, or remove the link")
    return problems


def _doubles(key: str, names: Sequence[str]) -> list[str]:
    return [f"{key}: {name!r} is given twice; every name must be another" for name, count in Counter(names).items() if count > 1]


def _lines(problem: ErrorDetails) -> list[str]:
    loc, kind, context = problem["loc"], problem["type"], problem.get("ctx", {})
    key = ".".join(str(part) for part in _without_tags(loc))
    if kind == "missing":
        return [f"{key}: missing; add it{_meaning(loc)}"]
    if kind == "too_short":
        return [f"{key}: empty; it needs at least {context['min_length']}{_meaning(loc)}"]
    if kind == "union_tag_not_found":
        return [f"{key}.kind: missing; add it, for example kind: {'file' if loc[0] == 'metrics' else 'ical'}"]
    if kind == "union_tag_invalid":
        return [f"{key}.kind: {context['tag']!r}: must be one of {context['expected_tags']}"]
    if kind == "extra_forbidden":
        model = _model_of(loc)
        allowed = sorted(model.model_fields) if model else []
        close = get_close_matches(str(loc[-1]), allowed, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return [f"{key}: unknown key{hint} (allowed: {', '.join(allowed)})" if allowed else f"{key}: unknown key; remove it{hint}"]
    if kind == "value_error":
        words = problem["msg"].removeprefix("Value error, ").splitlines()
        return [f"{key}: {line}" if key else line for line in words]
    return [f"{key}: {shorten(repr(problem['input']), 80)}: {problem['msg'][0].lower()}{problem['msg'][1:]}"]


def _without_tags(loc: tuple[int | str, ...]) -> list[int | str]:
    """Pydantic names the kind of a source and marks the key of a mapping; the file has neither at that place."""
    tagged = len(loc) > 2 and isinstance(loc[1], int)
    return [part for place, part in enumerate(loc) if part != "[key]" and not (tagged and place == 2)]


def _meaning(loc: tuple[int | str, ...]) -> str:
    model = _model_of(loc)
    field = model.model_fields.get(str(loc[-1])) if model else None
    return f" ({field.description})" if field is not None and field.description else ""


def _model_of(loc: tuple[int | str, ...]) -> type[Strict] | None:
    """The model whose key `loc` names, found by walking down; None when the path meets a union without a tag."""
    model: type[Strict] = Settings
    for part in loc[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # a key of a mapping, an index of a list, or the tag of a union
        found = _models_in(field.annotation)
        if len(found) > 1:
            found = [m for m in found if "kind" in m.model_fields and m.model_fields["kind"].default in loc]
        if len(found) != 1:
            return None
        model = found[0]
    return model


def _models_in(annotation: object) -> list[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
