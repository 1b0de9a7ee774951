"""What a reviewer finds on a run and its version: the guards' verdicts and the decision as tags, the model card as file and description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headroom.home import Home
from models.gate import Decision
from models.gate_guards import Verdict
from models.mlflow_session import mlflow_session
from models.registry import MODEL_NAME, ModelVersion

__all__ = ["record_review"]

# MLflow's database keeps this many characters of a description, and of a version's tag.
_LONGEST: Final = 5000
_REST: Final = "\n\nThe whole card is `model_card.md` among the run's artifacts.\n"


def record_review(home: Home, version: ModelVersion, *, card: str, decision: Decision, verdicts: Sequence[Verdict]) -> None:
    """Set the tags `gate.<name>` and `gate.decision` on run and version, and the card; repeating it changes nothing.

    Raises:
        UnavailableError: when MLflow does not answer.
    """
    tags = {**{f"gate.{verdict.name}": str(verdict) for verdict in verdicts}, "gate.decision": decision.reason}
    with mlflow_session(home) as client:
        client.log_text(version.run_id, card, "model_card.md")
        client.update_model_version(MODEL_NAME, version.version, description=_shortened(card))
        for name, value in tags.items():
            client.set_tag(version.run_id, name, value[:_LONGEST])
            client.set_model_version_tag(MODEL_NAME, version.version, name, value[:_LONGEST])


def _shortened(card: str) -> str:
    """The card, cut at the end of a line when it is longer than MLflow keeps."""
    if len(card) <= _LONGEST:
        return card
    return card[: _LONGEST - len(_REST)].rpartition("\n")[0] + _REST
