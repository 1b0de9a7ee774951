"""What `headroom learn` says in a terminal, from a report with everything in it."""

from headroom.learn_text import learnt_lines
from models.learning import LearnReport
from models.tuning.trainings import TuningReport


def test_every_figure_is_told_with_its_unit() -> None:
    bucket = {"rows": 540.0, "relative_error": 0.0812, "coverage_80": 0.79, "coverage_98": 0.97}
    learnt = LearnReport(
        judged=1200,
        hours=24,
        buckets={"1-6": bucket},
        coverage_80=0.801,
        coverage_98=0.975,
        unmet={"us-central1/edge/cpu": 3.25},
        planned_hours=48,
        cost_usd=1234.5,
        offsets=39,
        anomalies=2,
        retrain=True,
        reason="demand is higher than all that was learnt from",
    )
    told = list(learnt_lines(learnt, TuningReport(rewarded=3, waiting=4, frozen=True, mean_reward={"short": -0.9})))
    assert told == [
        "1,200 forecasts of 24 hours judged",
        "  last 7 days, 1-6 h ahead: 540 rows, error 8.1 % of demand; 80 % intervals held 79 %, 98 % ones 97 %",
        "  last 7 days, all: 80 % intervals held 80 %, 98 % ones 98 %",
        "48 series hours had a plan, which cost 1,234.50 USD",
        "  unmet: us-central1/edge/cpu asked for 3.25 unit hours more than was held",
        "39 calibration offsets written, 2 hours flagged as anomalies",
        "retrain: demand is higher than all that was learnt from",
        "tuning: 3 choices rewarded (frozen, so written down only), 4 still without a reward",
        "  short: mean reward -0.900 (-1: as good as untuned, 0: without error)",
    ]
