"""The report as a JSON document: the fields of ``policy.report.model`` as they are."""

from __future__ import annotations

import dataclasses

from policy.report.model import Report
from profiler.documents import Document
from profiler.documents import document as new_document


def document(report: Report) -> Document:
    """Return the document; bytes of names that are not UTF-8 are lone surrogates in it, as in a profile."""
    return new_document(**dataclasses.asdict(report))
