"""A gated recurrent network that reads a series day by day and answers quantiles of every step ahead at once, in JAX.

Encoder: the recent steps are folded into frames f_1 ... f_n (a day each at hourly steps), and a GRU (Cho et al. 2014) reads them,

    r = sigmoid(U_r e + V_r h),  z = sigmoid(U_z e + V_z h),  g = tanh(U_g e + r (V_g h)),  h' = (1 - z) g + z h,  e = relu(A f).

Folding makes a step of the recurrence a day, so that four weeks cost 28 steps instead of 672. Decoder: one small network shared by all
horizons (as the local one of MQ-RNN, Wen et al. 2017) joins h with what is known of the step ahead and with how the last days and weeks at its
time departed from the anchor; a linear path from those departures keeps the median close to a weighted seasonal average. Quantiles are
the median plus and minus running sums of softplus, so they cannot cross. Trained on the mean pinball loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from headroom.vocabulary import QUANTILES
from models.hourly_grid import Array
from models.lag_features import Index, anchor_lag
from models.recurrent_windows import Single, Windows
from models.rhythm import Rhythm

__all__ = ["Parameters", "Shape", "new_parameters", "quantiles_of", "train"]

Parameters = Mapping[str, Any]
_LEVELS: Final = np.array(QUANTILES, dtype=np.float32)
_MEDIAN: Final = QUANTILES.index(0.5)
_WIDTH: Final = 64
_DROPPED: Final = 0.2
_LEARNING_RATE: Final = 3e-3
_WEIGHT_DECAY: Final = 1e-4
# Frames of at most this many steps, and at most so many of them.
_LONGEST_FRAME: Final = 48
_MOST_FRAMES: Final = 42
_DAYS: Final = 7
_WEEKS: Final = 4
# Values beyond this many swings, and departures beyond this many scales, are outliers.
_FARTHEST_SWING: Final = 8.0
_FARTHEST: Final = 20.0
# Windows that are forecast at once: always as many, so that one compilation serves any number, and a series alone gets the same numbers.
_AT_ONCE: Final = 128
# One thread: shards share the cores, and the sums are added up in one order.
_COMPILER: Final = {"xla_cpu_multi_thread_eigen": False}


@dataclass(frozen=True)
class Shape:
    """What decides the sizes of the network.

    Attributes:
        context: steps of a window.
        horizon: steps ahead.
        day: steps in a day.
        columns: numbers known of every step ahead.
    """

    context: int
    horizon: int
    day: int
    columns: int

    @classmethod
    def of(cls, rhythm: Rhythm, columns: int) -> Shape:
        """The shape for series of this rhythm."""
        return cls(rhythm.context, rhythm.horizon, rhythm.day, columns)

    @property
    def frame(self) -> int:
        """Steps of a frame: a day, a week where a day is few steps, a part of a day where it is many."""
        if self.day < _DAYS:
            return _DAYS * self.day
        return next(size for size in range(min(self.day, _LONGEST_FRAME), 0, -1) if self.day % size == 0)

    @property
    def frames(self) -> int:
        """How many frames the encoder reads."""
        return min(self.context // self.frame, _MOST_FRAMES)

    def lags(self) -> Index:
        """Places in the window that a step ahead is compared with, shape (horizon, lags): same time of last days and weeks, and beside it."""
        steps, week = np.arange(1, self.horizon + 1), _DAYS * self.day
        first = self.context + steps - 1
        day, weekly = first - anchor_lag(steps, self.day), first - anchor_lag(steps, week)
        places = [day - self.day * back for back in range(_DAYS)] + [weekly - week * back for back in range(_WEEKS)] + [day - 1, day + 1]
        kept = [place for place in places if place.min() >= 0] or [day]
        found: Index = np.clip(np.stack(kept, axis=1), 0, self.context - 1)
        return found


def new_parameters(shape: Shape, seed: int) -> dict[str, Single]:
    """Where training starts: uniform within 1 / sqrt(inputs) (Glorot-like), and a linear path that adds nothing yet."""
    random = np.random.default_rng(seed)
    departures = shape.lags().shape[1] + 4

    def linear(name: str, inputs: int, outputs: int) -> dict[str, Single]:
        bound = 1 / np.sqrt(inputs)
        weight = random.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
        return {f"{name}.weight": weight, f"{name}.bias": np.zeros(outputs, dtype=np.float32)}

    parameters = {
        **linear("frame", shape.frame, _WIDTH),
        **linear("gate_in", _WIDTH, 3 * _WIDTH),
        **linear("gate_state", _WIDTH, 3 * _WIDTH),
        **linear("state", _WIDTH + 1, _WIDTH),
        **linear("step", departures + 2 + shape.columns + 2, _WIDTH),
        **linear("hidden", _WIDTH, _WIDTH),
        **linear("quantiles", _WIDTH, len(QUANTILES)),
        "path": np.zeros(departures, dtype=np.float32),
    }
    parameters["quantiles.weight"] *= 0.1
    parameters["quantiles.bias"] = np.where(np.arange(len(QUANTILES)) == _MEDIAN, 0.0, -0.5).astype(np.float32)
    return parameters


def train(shape: Shape, inputs: Windows, target: Single, *, steps: int, batch: int, seed: int) -> Parameters:
    """Parameters after `steps` steps of AdamW (Loshchilov and Hutter 2019) with warm-up and cosine decay, on random windows.

    The cost does not depend on the number of windows.

    Args:
        target: shape (windows, horizon), in scales from the anchor; NaN where it does not count. At least one window.
    """
    import jax

    optimiser, step = _training(shape, steps)
    random, key = np.random.default_rng(seed), jax.random.PRNGKey(seed)
    parameters: Parameters = jax.device_put(new_parameters(shape, seed))
    state = optimiser.init(parameters)
    counts = np.isfinite(target).astype(np.float32)
    clipped = np.clip(np.nan_to_num(target), -_FARTHEST, _FARTHEST)
    order = np.empty(0, dtype=np.int64)
    for number in range(steps):
        while order.size < batch:
            order = np.concatenate([order, random.permutation(len(target))])
        rows, order = order[:batch], order[batch:]
        parameters, state = step(parameters, state, inputs.some(rows), clipped[rows], counts[rows], jax.random.fold_in(key, number))
    return parameters


def quantiles_of(shape: Shape, parameters: Parameters, inputs: Windows) -> Array:
    """Quantiles of shape (windows, horizon, quantiles), in scales from the anchor."""
    run, count = _forecasting(shape), len(inputs.ratio)
    padding = -count % _AT_ONCE
    padded = Windows(*(np.pad(part, [(0, padding)] + [(0, 0)] * (part.ndim - 1)) for part in inputs))
    parts = [run(parameters, padded.some(np.arange(at, at + _AT_ONCE))) for at in range(0, count, _AT_ONCE)]
    return np.concatenate([np.asarray(part, dtype=float) for part in parts])[:count]


@cache
def _training(shape: Shape, steps: int) -> tuple[Any, Any]:
    """(optimiser, compiled step); compiled once per process, shape and number of steps."""
    import jax
    import jax.numpy as jnp
    import optax

    warm = max(steps // 20, 1)
    rate = optax.warmup_cosine_decay_schedule(_LEARNING_RATE / 10, _LEARNING_RATE, warm, max(steps, warm + 1), _LEARNING_RATE / 100)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=_WEIGHT_DECAY))

    def loss(parameters: Parameters, inputs: Windows, target: Any, counts: Any, key: Any) -> Any:
        error = target[..., None] - _forward(shape, parameters, inputs, key)
        pinball = jnp.maximum(_LEVELS * error, (_LEVELS - 1.0) * error).mean(axis=-1)
        return (pinball * counts).sum() / jnp.maximum(counts.sum(), 1.0)

    def step(parameters: Parameters, state: Any, inputs: Windows, target: Any, counts: Any, key: Any) -> tuple[Any, Any]:
        change, after = optimiser.update(jax.grad(loss)(parameters, inputs, target, counts, key), state, parameters)
        return optax.apply_updates(parameters, change), after

    return optimiser, jax.jit(step, compiler_options=_COMPILER, donate_argnums=(0, 1))


@cache
def _forecasting(shape: Shape) -> Any:
    import jax

    return jax.jit(lambda parameters, inputs: _forward(shape, parameters, inputs, None), compiler_options=_COMPILER)


def _forward(shape: Shape, parameters: Parameters, inputs: Windows, key: Any) -> Any:
    """Quantiles in scales from the anchor; with a key, parts are dropped at random (Srivastava et al. 2014)."""
    import jax
    import jax.numpy as jnp

    def linear(name: str, values: Any) -> Any:
        return values @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"]

    def dropped(values: Any, number: int) -> Any:
        if key is None:
            return values
        # The same parts at every step ahead, so that a window is seen by one network.
        some = (values.shape[0], *(1,) * (values.ndim - 2), values.shape[-1])
        kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - _DROPPED, some)
        return jnp.where(kept, values / (1 - _DROPPED), 0.0)

    ratio, days = inputs.ratio[:, None], inputs.recent[:, -shape.frame * shape.frames :]
    state = dropped(_encoded(shape, linear, jnp.clip(days, -_FARTHEST_SWING, _FARTHEST_SWING)), 0)
    departures, spread = _departures(shape, inputs)
    position = np.stack([np.arange(1, shape.horizon + 1) / shape.horizon, np.log(np.arange(1, shape.horizon + 1)) / 4], axis=1)
    position = jnp.broadcast_to(position.astype(np.float32), (*inputs.anchor.shape, 2))
    seen = jnp.concatenate([jnp.arcsinh(departures), spread, inputs.ahead, position], axis=-1)
    joined = linear("step", seen) + linear("state", jnp.concatenate([state, jnp.log(ratio + 1e-3)], axis=-1))[:, None]
    hidden = dropped(jax.nn.relu(joined), 1)
    hidden = dropped(hidden + jax.nn.relu(linear("hidden", hidden)), 2)
    told = linear("quantiles", hidden)
    median = told[..., _MEDIAN, None] + (jnp.clip(departures, -_FARTHEST, _FARTHEST) @ parameters["path"])[..., None]
    gaps = jax.nn.softplus(told)
    above = jnp.cumsum(gaps[..., _MEDIAN + 1 :], axis=-1)
    below = jnp.cumsum(gaps[..., :_MEDIAN][..., ::-1], axis=-1)[..., ::-1]
    return jnp.concatenate([median - below, median, median + above], axis=-1)


def _encoded(shape: Shape, linear: Any, days: Any) -> Any:
    """The state of the GRU after the last frame, shape (windows, width)."""
    import jax
    import jax.numpy as jnp

    frames = days.reshape(days.shape[0], shape.frames, shape.frame).swapaxes(0, 1)
    given = linear("gate_in", jax.nn.relu(linear("frame", frames)))

    def read(state: Any, frame: Any) -> tuple[Any, None]:
        own = linear("gate_state", state)
        reset, keep = (jax.nn.sigmoid(frame[:, part] + own[:, part]) for part in (slice(_WIDTH), slice(_WIDTH, 2 * _WIDTH)))
        new = jnp.tanh(frame[:, 2 * _WIDTH :] + reset * own[:, 2 * _WIDTH :])
        return (1 - keep) * new + keep * state, None

    state, _ = jax.lax.scan(read, jnp.zeros((days.shape[0], _WIDTH), days.dtype), given)
    return state


def _departures(shape: Shape, inputs: Windows) -> tuple[Any, Any]:
    """How far the places of `Shape.lags` and the last means lie from the anchor, in scales, and two measures of how much they vary."""
    import jax.numpy as jnp

    recent, ratio = inputs.recent, inputs.ratio[:, None, None]
    lags = recent[:, shape.lags()]
    means = jnp.stack([recent[:, -steps:].mean(axis=1) for steps in (1, 3, shape.day, _DAYS * shape.day)], axis=-1)
    seen = jnp.concatenate([lags, jnp.broadcast_to(means[:, None], (*lags.shape[:2], 4))], axis=-1)
    departures = (seen - inputs.anchor[..., None]) * ratio
    from_anchor = jnp.abs(departures[..., : lags.shape[-1]]).mean(axis=-1)
    from_usual = (jnp.abs(lags - lags.mean(axis=-1, keepdims=True)) * ratio).mean(axis=-1)
    return departures, jnp.log1p(jnp.stack([from_anchor, from_usual], axis=-1))
