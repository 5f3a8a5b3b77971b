"""A picture that shows nothing: are the claims that it made asserted of it?

That the verdict is the same proves nothing, since there is no dog in a grey picture. A claim is
another matter. The control is as many claims that it denies of the picture in question: a model
that says "true" to much that it does not see says it of those, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from faithful_decide._audit.checks.base import LARGE, Check
from faithful_decide._audit.checks.claims import (
    affirmed,
    asking,
    carrying,
    denied_statements,
    said_of,
    shuffled,
)
from faithful_decide._audit.checks.resample import EVERY_SECOND
from faithful_decide._audit.types import Trial
from faithful_decide._core.types import CANNOT_TELL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from faithful_decide._audit.case import Case
    from faithful_decide._audit.checks.claims import Said
    from faithful_decide._audit.evidence import Evidence, Wave
    from faithful_decide._images.prepare import PreparedImage
    from faithful_decide.backends.base import Kind

__all__ = ["FEW", "Elsewhere", "NoImage"]

FEW = 4
_ASKED = "asked"


class Elsewhere(Check):
    """What `no_image` and `other_image` share: claims asked of another picture."""

    tiers = LARGE
    kind: ClassVar[Kind]
    where: ClassVar[str]
    control = "as many claims that it denies of the picture in question"

    def image(self, evidence: Evidence) -> PreparedImage | None:
        """The other picture, if there is one."""
        raise NotImplementedError

    def own(self, evidence: Evidence) -> list[str]:
        """The claims that are asked of it: those that it stands by when asked blind."""
        full = evidence.case.tier == "full"
        free = [content for _, content in evidence.free] if full else [evidence.content]
        rows = [o for content in free for o in carrying(content)[: FEW * (1 + full)]]
        return affirmed(evidence, rows)[: FEW * (1 + 2 * full)]

    def _denied(self, evidence: Evidence) -> list[str]:
        own = self.own(evidence)
        return [text for text in denied_statements(evidence) if text not in own][: len(own)]

    def follow_up(self, evidence: Evidence) -> Wave:
        image = self.image(evidence)
        if image is None or not said_of(evidence) or evidence.own == CANNOT_TELL:
            return {}
        own, denied = self.own(evidence), self._denied(evidence)
        texts = shuffled([*own, *denied], evidence.case.base_seed)
        if not texts:
            return {}
        request = asking(evidence.case, texts, image, self.kind)
        return {(self.name, (_ASKED, 0)): (request,)}

    def trials(self, evidence: Evidence) -> Iterable[Trial]:
        said = said_of(evidence, check=self.name)
        for texts, control in ((self.own(evidence), False), (self._denied(evidence), True)):
            yield from self._of(said, texts, control=control)

    def _of(
        self, said: Mapping[str, list[Said]], texts: list[str], *, control: bool
    ) -> Iterator[Trial]:
        for text in texts:
            for answer, value, _ in said.get(text, ()):
                what = "denied of this picture" if control else "said of this picture"
                yield Trial(
                    hit=value == "true",
                    control=control,
                    prompt=text,
                    what=f"{what}: {text}; {self.where}: {value.replace('_', ' ')}",
                    raw=answer.raw,
                )

    def dead(self, evidence: Evidence) -> str:
        if not self._denied(evidence):
            return "it denied nothing of this picture that could be asked beside its own claims"
        return ""

    def missing(self, evidence: Evidence) -> str:
        if evidence.own == CANNOT_TELL:
            return "the verdict is cannot_tell, which asserts nothing"
        if not said_of(evidence):
            return "what it says of claims is not known"
        if not self.own(evidence):
            return "of what carried the verdict it affirms nothing when it is asked blind"
        return self.dead(evidence)


class NoImage(Elsewhere):
    """A hit: it asserts a claim of a picture that shows nothing."""

    name = "no_image"
    asks = "Does it assert its claims of a picture that shows nothing?"
    kind = "no_image"
    where = "of a grey picture"

    def unable(self, case: Case) -> str:
        if case.tier == "full" or case.of_many:
            return "" if case.takes_turn(0, 2) else EVERY_SECOND
        return "at this tier it is asked in data sets"

    def image(self, evidence: Evidence) -> PreparedImage | None:
        return evidence.case.blank
