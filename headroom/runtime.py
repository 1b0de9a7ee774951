"""Settings, locations and lake of this installation, opened together: what every task and command starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headroom.home import Home
from headroom.lake import Lake
from headroom.settings import Settings, load_settings

__all__ = ["Runtime"]


@dataclass(frozen=True)
class Runtime:
    """One installation, ready to use."""

    home: Home
    settings: Settings
    lake: Lake

    @classmethod
    def open(cls, home: Home | None = None) -> Runtime:
        """Read the environment and `capacity.yaml`.

        Raises:
            SettingsError: when `capacity.yaml` is missing or wrong.
        """
        home = home or Home.from_environment()
        return cls(home=home, settings=load_settings(home.capacity_file), lake=Lake(home.lake_uri))

    @property
    def base(self) -> Path:
        """The folder that relative paths in `capacity.yaml` start from."""
        return self.home.capacity_file.parent
