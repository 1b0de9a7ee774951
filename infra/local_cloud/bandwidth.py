"""The steps in which the bandwidth of an interconnect attachment is sold."""

from __future__ import annotations

from typing import Final

__all__ = ["MEGABITS"]

# Step -> Mbit/s, in the order of size.
MEGABITS: Final = {
    "BPS_50M": 50,
    "BPS_100M": 100,
    "BPS_200M": 200,
    "BPS_300M": 300,
    "BPS_400M": 400,
    "BPS_500M": 500,
    "BPS_1G": 1_000,
    "BPS_2G": 2_000,
    "BPS_5G": 5_000,
    "BPS_10G": 10_000,
    "BPS_20G": 20_000,
    "BPS_50G": 50_000,
    "BPS_100G": 100_000,
    "BPS_400G": 400_000,
}
