"""Reports for people and for build servers: one HTML file that needs nothing else, and JUnit XML.

The HTML has no script and asks for nothing: its content-security policy allows pictures that are
written into the page and the one style sheet in it, known by its hash. Every text in it is a
stranger's until proven otherwise: it is escaped, and what could not be seen (control characters,
marks that turn the direction of writing) is made visible. A picture gets into the page only as a
data URI that holds one.
"""

from __future__ import annotations

from faithful_decide._report.html import render_html, write_html
from faithful_decide._report.junit import junit_xml, write_junit
from faithful_decide._report.picture import thumbnail
from faithful_decide._report.types import BatchSummary
from faithful_decide._report.words import findings, is_clean

__all__ = [
    "BatchSummary",
    "findings",
    "is_clean",
    "junit_xml",
    "render_html",
    "thumbnail",
    "write_html",
    "write_junit",
]
