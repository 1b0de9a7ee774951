"""Split-conformal calibration: intervals widened or narrowed so that their coverage holds on windows nobody selected or trained on.

For the interval between the quantiles q and 1 - q, and a row with measurement y and width s (see `interval_scale`), the score is
e = max(f_q - y, y - f_(1-q)) / s. The offset o of a horizon bucket is the (1 - 2q)(1 + 1/n)-quantile of its n scores; then
[f_q - o s, f_(1-q) + o s] covers a share 1 - 2q of exchangeable rows (conformalised quantile regression: Romano, Patterson and Candes
2019). Scores are pooled over all series, which the width makes comparable. The median stays where it is: a pooled shift of all quantiles
carries the luck of one window over to the next, and cost 12 % of pinball loss on the demo traces, where this costs 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from headroom.vocabulary import MEDIAN, QUANTILE_COLUMNS, horizon_bucket
from models.hourly_grid import Array
from models.quantile_frame import proper

__all__ = ["ALL_SERIES", "OFFSET_COLUMNS", "Calibration", "apply_offsets", "fit_calibration", "interval_scale"]

ALL_SERIES: Final = "*"
# `offset` is in units of `interval_scale`; `unique_id` is ALL_SERIES when the offset holds for every series.
OFFSET_COLUMNS: Final = ("unique_id", "bucket", "quantile", "offset", "rows")
# Lower quantile -> the upper one of the same central interval.
_PAIRS: Final = dict(zip(QUANTILE_COLUMNS[: len(QUANTILE_COLUMNS) // 2], reversed(QUANTILE_COLUMNS), strict=False))
# The width of a forecast counts as at least this share of its median, so that a forecast without width can be mended.
_LEAST_WIDTH: Final = 0.001


@dataclass(frozen=True)
class Calibration:
    """Learnt offsets, a frame of `OFFSET_COLUMNS`; an empty frame changes nothing."""

    offsets: pd.DataFrame

    @classmethod
    def none(cls) -> Calibration:
        """A calibration that changes nothing."""
        return cls(pd.DataFrame(columns=list(OFFSET_COLUMNS)))

    def apply(self, forecast: pd.DataFrame) -> pd.DataFrame:
        """`forecast` (unique_id, horizon, *QUANTILE_COLUMNS, ...) with calibrated quantiles."""
        return apply_offsets(forecast, self.offsets)


def interval_scale(forecast: pd.DataFrame) -> pd.Series[float]:
    """Width of every row's 80 % interval, at least a thousandth of its median; the unit of offsets and of conformal scores."""
    return (forecast["0.9"] - forecast["0.1"]).clip(lower=_LEAST_WIDTH * forecast[MEDIAN].abs())


def fit_calibration(oof: pd.DataFrame) -> Calibration:
    """Offsets per horizon bucket and quantile from the rows (`unique_id, horizon, y, *QUANTILE_COLUMNS`) of the chosen candidates.

    The rows must come from windows after those that selected and before the issue time. Rows without width are left out.
    """
    scale = interval_scale(oof).to_numpy()
    usable = oof[scale > 0].assign(scale=scale[scale > 0])
    parts = [
        pd.DataFrame({"bucket": bucket, "quantile": list(_PAIRS), "offset": _offsets(rows), "rows": len(rows)})
        for bucket, rows in usable.groupby(horizon_bucket(usable["horizon"]), sort=True)
    ]
    if not parts:
        return Calibration.none()
    lower = pd.concat(parts, ignore_index=True)
    upper = lower.assign(quantile=lower["quantile"].map(_PAIRS))
    both = pd.concat([lower.assign(offset=-lower["offset"]), upper], ignore_index=True)
    return Calibration(both.assign(unique_id=ALL_SERIES)[list(OFFSET_COLUMNS)])


def _offsets(rows: pd.DataFrame) -> list[float]:
    """The offset of every interval in `_PAIRS`, outermost first."""
    found = []
    for low, high in _PAIRS.items():
        scores = np.maximum(rows[low] - rows["y"], rows["y"] - rows[high]) / rows["scale"]
        level = min(1.0, (1.0 - 2.0 * float(low)) * (1.0 + 1.0 / len(rows)))
        found.append(float(np.quantile(scores, level)))
    return found


def apply_offsets(forecast: pd.DataFrame, offsets: pd.DataFrame) -> pd.DataFrame:
    """`forecast` with offset x `interval_scale` added to every quantile, then sorted and not negative.

    A series' own offset is added to the one for `ALL_SERIES`; where there is none nothing is added. Other columns stay.
    """
    if forecast.empty or offsets.empty:
        return forecast
    wide = offsets.pivot_table(index=["unique_id", "bucket"], columns="quantile", values="offset", aggfunc="sum")
    wide = wide.reindex(columns=list(QUANTILE_COLUMNS)).fillna(0.0)
    bucket = horizon_bucket(forecast["horizon"])
    moves = sum(
        wide.reindex(pd.MultiIndex.from_arrays([who, bucket])).fillna(0.0).to_numpy()
        for who in (forecast["unique_id"], pd.Series(ALL_SERIES, index=forecast.index))
    )
    moved: Array = forecast[list(QUANTILE_COLUMNS)].to_numpy(dtype=float) + moves * interval_scale(forecast).to_numpy()[:, None]
    return forecast.assign(**dict(zip(QUANTILE_COLUMNS, proper(moved).T, strict=True)))
