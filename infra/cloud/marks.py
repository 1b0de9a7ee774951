"""Headroom's mark on what it makes, with the name of the installation that made it.

It is in the description of what has no labels (groups, reservations) and in the labels of the rest. An installation without a name leaves its
name out, so that the mark of one that works alone in its project is what it always was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["LABEL", "SERVICE_LABEL", "Owner", "described", "installation_of", "labels", "maker", "plain"]

LABEL: Final = "headroom-managed"
# On what says whose it is; `_` in place of the colon of `service:client`.
SERVICE_LABEL: Final = "headroom-service"
_INSTALLATION_LABEL: Final = "headroom-installation"
_NAMED: Final = re.compile(r"; installation ([a-z0-9-]+)$")


class Owner(NamedTuple):
    """Whose a resource is: the installation's name, "" for none, in its project."""

    project: str
    installation: str


def described(text: str, installation: str) -> str:
    """The description `text`, which begins with `LABEL`, as an installation writes it."""
    return f"{text}; installation {installation}" if installation else text


def plain(description: str) -> str:
    """A description without the installation."""
    return _NAMED.sub("", description)


def maker(description: str) -> str | None:
    """The installation that a description names; "" when it is one without a name, None when the mark is not there."""
    if not description.startswith(LABEL):
        return None
    named = _NAMED.search(description)
    return named.group(1) if named else ""


def labels(service: str, installation: str) -> dict[str, str]:
    """The labels of what an installation makes for a service."""
    named = {_INSTALLATION_LABEL: installation} if installation else {}
    return {LABEL: "true", SERVICE_LABEL: service.replace(":", "_"), **named}


def installation_of(labelled: Mapping[str, str]) -> str | None:
    """Like `maker`, from labels."""
    return labelled.get(_INSTALLATION_LABEL, "") if labelled.get(LABEL) == "true" else None
