"""How often a judge is wrong, and what that does to a share it reports.

A judge that calls one harmless pair in ten a contradiction finds contradictions everywhere. So it
is measured on pairs whose relation is known, and what it reports is corrected for its errors.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from faithful_decide._api.opening import opened
from faithful_decide._asking.plans import TIMEOUT_S, run
from faithful_decide._audit.judge import corrected, judge_plan
from faithful_decide._audit.types import Judgement, Tally
from faithful_decide._audit.wordings import WORDINGS
from faithful_decide._nearest import hinting
from faithful_decide._public import public

if TYPE_CHECKING:
    import os

    from faithful_decide._batch.journal import Journal
    from faithful_decide.backends.base import Backend

__all__ = ["JudgeCheck", "check_judge"]


@public
@hinting
class JudgeCheck(BaseModel):
    """What a judge made of pairs whose relation is known.

    `found` counts the contradictions that it called one, `spared` the other pairs that it did not;
    an answer that cannot be used counts as neither found nor spared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    found: Tally
    spared: Tally
    judgements: tuple[Judgement, ...]

    @property
    def sensitivity(self) -> float:
        """The share of contradictions that it finds."""
        return self.found.hits / self.found.n

    @property
    def specificity(self) -> float:
        """The share of other pairs that it leaves alone."""
        return self.spared.hits / self.spared.n

    def corrected(self, share: float) -> float | None:
        """Correct a share of contradictions that this judge reported (Rogan and Gladen 1978).

        Args:
            share: From 0 to 1.

        Returns:
            (share + specificity - 1) / (sensitivity + specificity - 1), kept between 0 and 1; None
            for a judge that is no better than chance.
        """
        return corrected(share, sensitivity=self.sensitivity, specificity=self.specificity)


@public
@hinting
def check_judge(
    judge: Backend | str,
    *,
    timeout: float = TIMEOUT_S,
    journal: Journal | str | os.PathLike[str] | None = None,
    **options: Any,  # noqa: ANN401 - as in decide
) -> JudgeCheck:
    """Measure a judge on the pairs of wordings that come with this package, half contradictions.

    Args:
        judge: A model spec or a backend, as for `audit(judge=...)`.
        timeout: Seconds for all of it.
        journal: A journal or its path, which keeps the replies.
        **options: Options of the backend that `judge` names.

    Returns:
        How many contradictions it found and how many other pairs it left alone.

    Raises:
        UsageError: There is no such model.
        BackendError: The judge could not be run.
    """
    with ExitStack() as stack:
        backend = opened(stack, judge, options, journal)
        pairs = {(pair.first, pair.second): pair.about for pair in WORDINGS}
        judgements = run(judge_plan(pairs, backend.name), backend, timeout)
    judged = list(zip(WORDINGS, judgements, strict=True))
    found = [j.relation == "contradicts" for pair, j in judged if pair.contradicts]
    spared = [j.relation in {"same", "unrelated"} for pair, j in judged if not pair.contradicts]
    return JudgeCheck(
        judge=backend.name,
        found=Tally(hits=sum(found), n=len(found)),
        spared=Tally(hits=sum(spared), n=len(spared)),
        judgements=judgements,
    )
