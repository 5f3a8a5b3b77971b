"""Results that people look at: printed in a few lines, shown in a notebook, written as a page.

What that looks like is known to `faithful_decide._report`, which stands above everything that it
shows. It is loaded when somebody looks, so that a result knows how to show itself and a decision
loads none of it.
"""

import os
from collections.abc import Iterable
from typing import overload

from pydantic import BaseModel, ConfigDict

from faithful_decide._nearest import hinting

__all__ = ["Audited", "Displayable", "Frozen", "plain"]


def plain(name: str) -> str:
    """An identifier as people read it, such as the name of a check."""
    return name.replace("_", " ")


class Frozen(BaseModel):
    """Stored by users, read back later: no silent extras, no changes after the fact."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@hinting
class Displayable(Frozen):
    """A result that can be printed, shown and written as a page."""

    def __str__(self) -> str:
        """What the command line prints: no more than 25 lines of 100 columns."""
        from faithful_decide._report.lines import printed  # noqa: PLC0415 - on demand

        return printed(self)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style stays out of a notebook."""
        from faithful_decide._report.html import framed  # noqa: PLC0415 - on demand

        return framed(self)

    @overload
    def to_html(self) -> str: ...
    @overload
    def to_html(self, path: str | os.PathLike[str]) -> None: ...
    def to_html(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """Make one page of HTML that needs nothing else.

        Args:
            path: Where to write it. The file appears whole or not at all.

        Returns:
            The page, if no path was given.

        Raises:
            UsageError: It cannot be written there.
        """
        from faithful_decide._report.html import render, write_whole  # noqa: PLC0415 - on demand

        page = render(self)
        if path is None:
            return page
        write_whole(path, page)
        return None


@hinting
class Audited(Displayable):
    """An audit, which a build server can read too."""

    @overload
    def to_junit(self, *, gates: Iterable[str] = ...) -> str: ...
    @overload
    def to_junit(self, path: str | os.PathLike[str], *, gates: Iterable[str] = ...) -> None: ...
    def to_junit(
        self, path: str | os.PathLike[str] | None = None, *, gates: Iterable[str] = ()
    ) -> str | None:
        """Make JUnit XML, in which every flag and every item is a test case.

        Args:
            path: Where to write it. The file appears whole or not at all.
            gates: Conditions such as `flag!=*` or `no_image<0.3`. Where there are any, only they
                fail.

        Returns:
            The document, if no path was given.

        Raises:
            UsageError: A gate could never be checked, or the file cannot be written.
        """
        from faithful_decide._report.html import write_whole  # noqa: PLC0415 - on demand
        from faithful_decide._report.junit import junit_xml  # noqa: PLC0415 - on demand

        xml = junit_xml(self, gates)
        if path is None:
            return xml
        write_whole(path, xml)
        return None
