"""Errors of this package. Each message is a sentence for a person."""

from __future__ import annotations

from collections.abc import Sequence


class CrossLensError(Exception):
    """Any error of a server or of a run."""


class Unreachable(CrossLensError):
    """No server answers at the address."""


class Problem(CrossLensError):
    """A server refused a request: problem details as RFC 9457 has them."""

    def __init__(self, status: int, kind: str, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        #: HTTP status.
        self.status = status
        #: Name of the kind of problem, such as ``run-not-found``; the server describes it at ``/problems/NAME``.
        self.kind = kind
        #: What is wrong, in a sentence that names the value.
        self.detail = detail
        #: Wrong fields and what is wrong with each.
        self.errors = tuple(errors)
        super().__init__(detail)


class RunFailed(CrossLensError):
    """A run that was waited for has failed or was canceled."""
