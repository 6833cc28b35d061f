"""Everything the options-flow API link can raise, in one tree.

FlowError
├── FlowConfigError          our own address or key cannot be used; nothing was sent
├── FlowUnreachable          no answer: refused, reset, timed out                          retried
├── FlowBadAnswer            an answer that is not what the contract says                  not retried
│   └── FlowTooLarge         more bytes than we are willing to hold
├── FlowCircuitOpen          too many failures in a row; nothing was sent
└── FlowRefused              the server said no, in its own words
    ├── FlowBadRequest       400  our parameters are wrong                                 not retried
    ├── FlowUnauthorized     401, 403  the key is wrong: stop polling                      not retried
    ├── FlowNotFound         404  unknown ticker or call                                   not retried
    ├── FlowRateLimited      429                                                           after `retry_after`
    │   └── FlowBudgetSpent  no token left in our own bucket: nothing was sent             after `retry_after`
    ├── FlowNotImplemented   501  the provider does not offer this call                    not retried
    └── FlowServerError      any other 5xx, or an error body                               retried
"""

from __future__ import annotations

from events.wording import left_words


class FlowError(Exception):
    """Root of all. `retryable` says whether the same request may be sent again soon."""

    retryable = False


class FlowConfigError(FlowError, ValueError):
    """The base URL or the key cannot be used."""


class FlowUnreachable(FlowError):
    """No complete answer came."""

    retryable = True


class FlowBadAnswer(FlowError):
    """The answer breaks the contract."""


class FlowTooLarge(FlowBadAnswer):
    """The answer is larger than our cap."""


class FlowCircuitOpen(FlowError):
    """The breaker is open. `retry_after` in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the options-flow API failed repeatedly; next try in {left_words(retry_after)}")
        self.retry_after = retry_after


class FlowRefused(FlowError):
    """The server's refusal. `code` is its HTTP or body code, `server_text` its own words (at most 500 characters)."""

    ours = "the options-flow API refused the request"

    def __init__(self, code: int, server_text: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{self.ours} ({code})" + (f": {server_text}" if server_text else ""))
        self.code = code
        self.server_text = server_text
        self.retry_after = retry_after


class FlowBadRequest(FlowRefused):
    ours = "the options-flow API did not accept our parameters"


class FlowUnauthorized(FlowRefused):
    ours = "the options-flow API did not accept our key"


class FlowNotFound(FlowRefused):
    ours = "the options-flow API does not know this ticker"


class FlowRateLimited(FlowRefused):
    ours = "the options-flow API's rate limit is reached"


class FlowBudgetSpent(FlowRateLimited):
    """Our own request budget is spent. Nothing was sent, nobody refused, and nothing is wrong with the source."""

    def __init__(self, retry_after: float) -> None:
        FlowError.__init__(self, f"waiting for our own request budget: next call in {left_words(retry_after)}")
        self.code, self.server_text, self.retry_after = 429, "", retry_after


class FlowNotImplemented(FlowRefused):
    ours = "the options-flow API does not offer this call"


class FlowServerError(FlowRefused):
    ours = "the options-flow API failed"
    retryable = True


def refusal(code: int, server_text: str, *, retry_after: float | None = None) -> FlowRefused:
    """The right exception for an error code."""
    by_code: dict[int, type[FlowRefused]] = {
        400: FlowBadRequest,
        401: FlowUnauthorized,
        403: FlowUnauthorized,
        404: FlowNotFound,
        429: FlowRateLimited,
        501: FlowNotImplemented,
    }
    kind = by_code.get(code, FlowServerError if code >= 500 else FlowRefused)
    return kind(code, server_text, retry_after=retry_after)
