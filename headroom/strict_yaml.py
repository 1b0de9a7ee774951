"""YAML that a person wrote: a key that stands twice in a mapping is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

import yaml

__all__ = ["read_yaml"]


def read_yaml(text: str) -> Any:
    """What the text says, as plain values; None for an empty one.

    Raises:
        yaml.YAMLError: when it is not YAML, or a mapping has a key twice.
    """
    return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a safe loader that also refuses doubled keys


class _UniqueKeys(yaml.SafeLoader):
    """YAML takes the last of two equal keys in silence, which would lose what the first one said."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge")]
        for name, count in Counter(names).items():
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is given twice; keep one of them", node.start_mark)
        return super().construct_mapping(node, deep)
