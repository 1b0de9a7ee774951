"""Bands of demand cut where a bid's worth falls, so that a plan can end exactly there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["split_at_bids"]

Array = npt.NDArray[np.float64]


def split_at_bids(width: Array, reach: Array, resource: Mapping[int, int], kinks: Mapping[int, Sequence[float]]) -> tuple[Array, Array]:
    """`width` (D, T, K + S, R) and `reach` (D, T, K + S) with S cuts more, S the most kinks of a place.

    A band that is cut keeps its chance in both parts, and its resources are cut at the same share. What a place does not need of the S
    are bands without width at its end.

    Args:
        width, reach: of `infra.program.bands_from_quantiles`.
        resource: place -> the resource that its kinks are amounts of.
        kinks: place -> rising amounts.
    """
    most = max((len(found) for found in kinks.values()), default=0)
    if not most:
        return width, reach
    end = [(0, 0), (0, 0), (0, most)]
    wider, further = np.pad(width, [*end, (0, 0)]), np.pad(reach, end, mode="edge")
    for place, amounts in kinks.items():
        edges = np.cumsum(width[place], axis=1)  # (T, K, R)
        own = edges[:, :, resource[place]]
        cuts = np.clip(np.array(amounts), 0.0, own[:, -1:])
        at = np.sort(np.concatenate([own, cuts], axis=1), axis=1)  # (T, K + cuts)
        band = np.minimum((own[:, None, :] < at[:, :, None] - 1e-9).sum(axis=2), own.shape[1] - 1)
        upto = np.stack([_along(own, edges[:, :, r], at) for r in range(edges.shape[2])], axis=2)
        count = at.shape[1]
        wider[place] = 0.0
        wider[place, :, :count] = np.clip(np.diff(upto, axis=1, prepend=0.0), 0.0, None)
        further[place, :, :count] = np.take_along_axis(reach[place], band, axis=1)
        further[place, :, count:] = further[place, :, count - 1 : count]
    return wider, further


def _along(own: Array, other: Array, at: Array) -> Array:
    """Amounts of another resource at the same load, linear within a band; shape of `at`."""
    return np.stack([np.interp(at[t], np.append(0.0, own[t]), np.append(0.0, other[t])) for t in range(len(own))])
