"""Which tickers' option flow is looked at, and when it was fetched: a page asks, Celery fetches, nobody asks for anybody else.

Asking never waits: it happens at most once in 30 s per ticker (whoever looks), and the message leaves from a thread of its own,
so a page loads as fast with Redis dead. A ticker that no page shows is not asked for, and so is not fetched.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import BoundedSemaphore

from celery import current_app
from kombu.exceptions import OperationalError

from events.clock import utc_now
from signals.models import JobLease

log = logging.getLogger(__name__)

TASK = "signals.tasks.refresh_flow_context"
ASK_EVERY = 30  # seconds, per ticker
FETCH_EVERY = 20  # seconds; a message that waited in the queue may come closer to the next one
ANSWER_WITHIN = 45  # seconds after which an unanswered wish is called late
_ASKED, _BEGUN, _DONE = "flow_asked", "flow_begun", "flow_done"
_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flow-ask")
_waiting = BoundedSemaphore(8)  # wishes that have not left yet; more are dropped, the next look asks again


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """When a ticker was last asked for, and last fetched."""

    asked: datetime | None
    fetched: datetime | None

    @property
    def waiting(self) -> bool:
        """Asked for, and nothing has come since."""
        return self.asked is not None and (self.fetched is None or self.fetched < self.asked)

    def late(self, now: datetime) -> bool:
        return self.waiting and self.asked is not None and (now - self.asked).total_seconds() > ANSWER_WITHIN


def ask(ticker: str) -> bool:
    """Wish for fresh rows of a ticker; False when somebody did so within the last 30 s."""
    if not _claim(_ASKED, ticker, ASK_EVERY):
        return False
    if _waiting.acquire(blocking=False):
        _sender.submit(_send, ticker)
    return True


def begin(ticker: str) -> bool:
    """Whether a fetch may start now; claims it."""
    return _claim(_BEGUN, ticker, FETCH_EVERY)


def finish(ticker: str) -> None:
    """Note that rows have come."""
    JobLease.objects.update_or_create(name=f"{_DONE} {ticker}", defaults={"slot": int(utc_now().timestamp())})


def look(ticker: str) -> Watch:
    slots = dict(JobLease.objects.filter(name__in=[f"{what} {ticker}" for what in (_ASKED, _DONE)]).values_list("name", "slot"))
    return Watch(asked=_moment(slots.get(f"{_ASKED} {ticker}")), fetched=_moment(slots.get(f"{_DONE} {ticker}")))


def _moment(slot: int | None) -> datetime | None:
    return datetime.fromtimestamp(slot, UTC) if slot is not None and slot >= 0 else None


def _claim(what: str, ticker: str, seconds: int) -> bool:
    name, now = f"{what} {ticker}", int(utc_now().timestamp())
    JobLease.objects.get_or_create(name=name)
    return bool(JobLease.objects.filter(name=name, slot__lte=now - seconds).update(slot=now))


def _send(ticker: str) -> None:
    """In the sending thread. Without Redis nothing leaves; what is stored is shown with its age."""
    try:
        current_app.send_task(TASK, (ticker,), expires=ASK_EVERY, retry=False)
    except (OperationalError, OSError) as error:
        log.info("no fresh option flow of %s: the queue is not reachable (%s)", ticker, type(error).__name__)
    except Exception:
        log.exception("option flow of %s could not be asked for", ticker)
    finally:
        _waiting.release()
