"""The bandit finds the best arm, shares what it learns between like segments, and follows when the best arm changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.tuning.arms import ARMS, DEFAULT_ARM
from models.tuning.bandit import EXPLORERS, MEMORY, SegmentThompson
from models.tuning.context import FEATURES
from models.tuning.tuner import decide

START = pd.Timestamp("2026-07-01", tz="UTC")
DAY = pd.Timedelta(days=1)
NAMES = list(ARMS)
CALM = dict.fromkeys(FEATURES, 0.1)
WILD = dict.fromkeys(FEATURES, 0.9)


def rewards(
    best: dict[str, str],
    *,
    contexts: dict[str, dict[str, float]] | None = None,
    days: int = 20,
    start: pd.Timestamp = START,
    gap: float = 0.3,
) -> pd.DataFrame:
    """Rewards of arms tried in turn: of each segment's best arm `gap` above the others', with noise."""
    chance = np.random.default_rng(3)
    rows = [
        {
            "segment": segment,
            "issue_time": start + day * DAY,
            "arm": arm,
            **(contexts or {}).get(segment, CALM),
            "reward": -0.8 + gap * (arm == good) + chance.normal(0, 0.1),
        }
        for place, (segment, good) in enumerate(best.items())
        for day in range(days)
        for arm in [NAMES[(day + place) % len(NAMES)]]
    ]
    return pd.DataFrame(rows).sort_values(["issue_time", "segment"], ignore_index=True)


def exploited(log: pd.DataFrame, segment: str, context: dict[str, float] = CALM) -> str:
    policy = SegmentThompson(explore=False)
    policy.learn(log)
    return str(policy.pull([*NAMES], {"segment": segment, **context}))


def test_before_any_reward_it_explores_every_arm_and_exploits_the_default() -> None:
    contexts = pd.DataFrame([CALM] * 200, index=[f"s{i}" for i in range(200)])
    nothing = rewards({"s0": "fading"}).head(0)
    explored = [choice.arm for choice in decide(nothing, contexts, issue_time=START)]
    assert set(explored) == set(ARMS)
    assert {choice.arm for choice in decide(nothing, contexts, issue_time=START, frozen=True)} == {DEFAULT_ARM}


def test_while_nothing_is_known_half_of_the_segments_keep_the_default() -> None:
    contexts = pd.DataFrame([CALM] * 400, index=[f"s{i}" for i in range(400)])
    chosen = [choice.arm for choice in decide(rewards({"s0": "fading"}).head(0), contexts, issue_time=START)]
    # Of those that draw, one in five draws the default.
    assert chosen.count(DEFAULT_ARM) / len(chosen) == pytest.approx(1 - EXPLORERS + EXPLORERS / len(ARMS), abs=0.08)


def test_it_finds_the_best_arm_of_a_segment() -> None:
    log = rewards(dict.fromkeys(["a", "b", "c"], "recent"))
    assert exploited(log, "a") == "recent"


def test_a_segment_may_differ_from_those_that_look_like_it() -> None:
    best = {**{f"s{i}": "recent" for i in range(10)}, "odd": "settled"}
    log = rewards(best, days=60)
    assert exploited(log, "s3") == "recent"
    assert exploited(log, "odd") == "settled"


def test_a_new_segment_takes_what_was_best_for_like_ones() -> None:
    best = {**{f"calm{i}": "settled" for i in range(8)}, **{f"wild{i}": "fading" for i in range(8)}}
    log = rewards(best, contexts={name: WILD if name.startswith("wild") else CALM for name in best})
    assert exploited(log, "new", CALM) == "settled"
    assert exploited(log, "new", WILD) == "fading"


def test_a_hard_segment_says_nothing_against_its_arm() -> None:
    log = rewards({"a": "recent", "b": "recent"})
    hard = log["arm"].eq("recent") & log["segment"].eq("b")
    only = log.assign(reward=log["reward"].where(~log["segment"].eq("b"), -1.9))[hard | log["segment"].eq("a")]
    assert exploited(only, "a") == "recent"


def test_it_follows_when_the_best_arm_changes() -> None:
    before = rewards({"a": "settled", "b": "settled"}, days=80)
    after = rewards({"a": "fading", "b": "fading"}, days=45, start=START + 80 * DAY)
    assert exploited(before, "a") == "settled"
    assert exploited(pd.concat([before, after], ignore_index=True), "a") == "fading"


def test_rewards_older_than_its_memory_change_nothing() -> None:
    recent = rewards({"a": "fading"})
    ancient = rewards({"a": "settled"}, start=START - MEMORY - 60 * DAY)
    policies = [SegmentThompson(), SegmentThompson()]
    for policy, log in zip(policies, (recent, pd.concat([ancient, recent], ignore_index=True)), strict=True):
        policy.learn(log)
    context = {"segment": "a", **CALM}
    assert [policies[0].belief(arm, context) for arm in NAMES] == [policies[1].belief(arm, context) for arm in NAMES]


def test_an_arm_that_was_tried_often_is_believed_more_firmly() -> None:
    log = rewards({"a": "recent"}, days=40)
    policy = SegmentThompson()
    policy.learn(log[log["arm"] != "fading"])
    context = {"segment": "a", **CALM}
    assert policy.belief("fading", context).sd > 1.5 * policy.belief("recent", context).sd


def test_a_choice_depends_on_neither_the_company_nor_the_order_of_segments() -> None:
    log = rewards({"a": "recent", "b": "fading"}, gap=0.02)
    contexts = pd.DataFrame([CALM] * 30, index=[f"s{i}" for i in range(30)])

    def arms(of: pd.DataFrame) -> dict[str, str]:
        return {choice.segment: choice.arm for choice in decide(log, of, issue_time=START + 30 * DAY)}

    every = arms(contexts)
    assert len(set(every.values())) > 1
    assert arms(contexts.iloc[::-1]) == every
    assert arms(contexts.iloc[:3]) == {name: every[name] for name in contexts.index[:3]}


def test_the_seed_and_the_issue_time_decide_what_is_drawn() -> None:
    log = rewards({"a": "recent"}).head(0)
    contexts = pd.DataFrame([CALM] * 40, index=[f"s{i}" for i in range(40)])

    def arms(seed: int, day: int) -> list[str]:
        return [choice.arm for choice in decide(log, contexts, issue_time=START + day * DAY, seed=seed)]

    assert arms(0, 0) == arms(0, 0)
    assert arms(0, 0) != arms(1, 0)
    assert arms(0, 0) != arms(0, 1)


def test_the_reason_says_whether_it_explores() -> None:
    log = rewards({"a": "recent"}, gap=0.1)
    contexts = pd.DataFrame([CALM], index=["a"])
    reasons = {c.arm: c.reason for seed in range(25) for c in decide(log, contexts, issue_time=START, seed=seed)}
    assert len(reasons) > 1
    assert reasons["recent"].startswith("recent is expected to be best")
    assert all(reason.startswith(f"explores {arm}") for arm, reason in reasons.items() if arm != "recent")


@pytest.mark.slow
def test_regret_falls_in_a_world_that_stays_as_it_is() -> None:
    """Forty segments of two kinds, rewards three days late, noise as large as the gap: regret per step ends below a third of chance."""
    chance = np.random.default_rng(5)
    contexts = pd.DataFrame([CALM] * 20 + [WILD] * 20, index=[f"s{i}" for i in range(40)])
    expected = np.full((40, len(NAMES)), -0.8)
    expected[:20, NAMES.index("settled")] += 0.2
    expected[20:, NAMES.index("fading")] += 0.2
    log, regret = [rewards({"a": "fading"}).head(0)], []
    for day in range(30):
        now = START + day * DAY
        choices = decide(pd.concat(log[: max(1, day - 2)]), contexts, issue_time=now)
        picks = [NAMES.index(choice.arm) for choice in choices]
        own = expected[np.arange(40), picks]
        regret.append(float((expected.max(axis=1) - own).mean()))
        rows = contexts.reset_index(names="segment").assign(issue_time=now, arm=[c.arm for c in choices])
        log.append(rows.assign(reward=own + chance.normal(0, 0.2, 40)))
    by_chance = 0.2 * (len(NAMES) - 1) / len(NAMES)
    assert np.mean(regret[:3]) == pytest.approx(by_chance, abs=0.04)
    assert np.mean(regret[-8:]) < by_chance / 3
