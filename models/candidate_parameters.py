"""What a candidate was run with: the constants of its module and what its constructor was given. Beside these it has what a series was told by the
tuner, which is the same for all candidates and a table of the training (`tuning.csv`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from models.candidates import bare

__all__ = ["candidate_parameters"]


def candidate_parameters(name: str, seed: int = 0) -> dict[str, Any]:
    """Parameter -> value, in lower case and without the leading underscore: `rounds`, `levels`, `parameters.learning_rate`, `seed`.

    Raises:
        BadInputError: when no candidate has this name.
    """
    forecaster = bare(name, seed=seed)
    module = sys.modules[type(forecaster).__module__]
    constants = {key.strip("_").lower(): value for key, value in vars(module).items() if key.isupper() and not key.startswith("__")}
    given = {key: value for key, value in vars(forecaster).items() if not key.startswith("_")}
    flat: dict[str, Any] = {}
    for key, value in {**constants, **given}.items():
        if key == "name" or not _is_plain(value):
            continue
        if isinstance(value, dict):
            flat |= {f"{key}.{part}": inner for part, inner in value.items()}
        else:
            flat[key] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def _is_plain(value: object) -> bool:
    """Whether a value reads as a parameter: a number, a text, or some of them."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and isinstance(inner, str | int | float) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(isinstance(inner, str | int | float) for inner in value)
    return isinstance(value, str | int | float)
