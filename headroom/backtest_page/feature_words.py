"""Features of the gradient-boosted model, as people say them."""

from __future__ import annotations

from typing import Final

__all__ = ["feature_words"]

_WORDS: Final = {
    "series": "which series it is",
    "horizon": "how far ahead",
    "hour": "hour of the day",
    "weekday": "day of the week",
    "anchor_weekday": "day of the week of the last known day",
    "step_in_day": "steps ahead beyond whole days",
    "last_vs_day": "newest value against a day before",
    "last_vs_week": "newest value against a week before",
    "last3_vs_day": "last 3 steps against a day before",
    "last3_vs_week": "last 3 steps against a week before",
    "last6_vs_day": "last 6 steps against a day before",
    "day_vs_day": "last day against the day before",
    "day_vs_week": "last day against the same day a week before",
    "last3_vs_level": "last 3 steps against the last week",
    "day_vs_level": "last day against the last week",
    "spread_day": "how much the last day varied",
    "spread_week": "how much the last week varied",
    "change_of_day": "how much the last day changed from the day before",
    "day_1": "same time on the last known day",
    "day_2": "same time a day before that",
    "day_3": "same time two days before that",
    "same_hour_mean": "mean at this time of the last 7 days",
    "same_hour_spread": "how much this time of day varied in 7 days",
    "hour_before": "a step earlier on the last known day",
    "hour_after": "a step later on the last known day",
    "week_1": "same time a week before",
    "week_2": "same time two weeks before",
    "same_week_hour_mean": "mean at this time of the last 4 weeks",
    "week_vs_week": "a week before against two weeks before",
    "from_level": "smoothing's forecast against the last week",
    "from_last": "smoothing's forecast against the newest value",
    "from_last_day": "smoothing's forecast against the last day",
    "naive_blend": "blend of last day and last week",
}
_PARTS: Final = {"during": "under way", "lead": "time until the next", "lag": "time since the last"}
_PLACES: Final = {"": "", "@anchor": ", at this time on the last known day", "@week": ", a week before"}
_BESIDE: Final = {"others": "the other series", "region": "the others of the region"}
_AGAINST: Final = {"-anchor": " against the last known day", "-week": " against a week before"}


def feature_words(feature: str) -> str:
    """What a column of `models.direct_features.Layout` tells: `last day against the last week`, `match: time until the next, a week before`.

    A name that is none of them, such as that of a reading, stays as it is.
    """
    kind, colon, part = feature.rpartition(":")
    part, at, place = part.partition("@")
    if colon and part in _PARTS and at + place in _PLACES:
        return f"{kind}: {_PARTS[part]}{_PLACES[at + place]}"
    column, _, scope = feature.partition("@")
    if scope in _BESIDE and column in _WORDS:
        return f"{_BESIDE[scope]}: {_WORDS[column]}"
    if kind == "name":
        return f"{part} in its name"
    for ending, words in _AGAINST.items():
        if feature.endswith(ending):
            return feature.removesuffix(ending) + words
    return _WORDS.get(feature, feature)
