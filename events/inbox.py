"""Wishes on their way to the worker: the web files a command as a row, the worker's `Inbox` claims and answers it.

The row is the queue. Filing is idempotent by key, claiming is a conditional UPDATE that must change exactly one row, and
the outcome is written back to the same row. The channel layer only wakes the worker early; it polls anyway.

A worker that dies (or stops itself, `failstop.py`) between claiming and answering leaves a CLAIMED row. The next one
(higher epoch) first asks `settled` whether that command already had its effect, and only otherwise hands it out again, if
it has not expired by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from channels.layers import get_channel_layer
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import Case, F, Q, Value, When

from events.clock import Clock, SystemClock, utc_now
from events.commands import BadCommand, Command, parse_command
from events.failpoints import failpoint
from events.feed import WORKER_GROUP, publish, wake_worker
from events.models import CommandRecord
from events.rows import command_row
from events.wording import age_words

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0
CLOCKS_APART = 10.0  # seconds; a wish that lapses must not live longer because its clock was ahead
CLOCKS_DIFFER = (
    "By the worker's clock the wish was made {ahead} from now, so nobody can say when it lapses. Set the clocks right and try again."
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a command: `state` is done or refused; `code` and `reason` say why it was refused."""

    state: str
    code: str = ""
    reason: str = ""

    @classmethod
    def done(cls, reason: str = "") -> Outcome:
        return cls(state=CommandRecord.State.DONE, reason=reason)

    @classmethod
    def refused(cls, code: str, reason: str) -> Outcome:
        return cls(state=CommandRecord.State.REFUSED, code=code, reason=reason)


Handler = Callable[[Command, CommandRecord], Awaitable[Outcome]]
# Says what a command that may have been carried out before a crash led to; None if it had no effect.
Settled = Callable[[Command, CommandRecord], Awaitable["Outcome | None"]]


def file_command(
    command: Command, *, account: str, user: Any, key: str, expires_in: float | None = None, now: datetime | None = None
) -> tuple[CommandRecord, bool]:
    """Store a wish in the caller's transaction; returns the row and whether it is new.

    The same key is the same wish: the row that is there already is returned and nothing is stored.
    `account` is the one it is decided for: a worker that trades another refuses it. `expires_in` is in seconds.
    Raises BadCommand if the key was used for another kind of command.
    """
    now = now or utc_now()
    if not key or len(key) > 80:
        raise BadCommand("the idempotency key must have 1 to 80 characters", field="key")
    payload = command.to_payload()
    try:
        with transaction.atomic():
            record = CommandRecord.objects.create(
                key=key,
                name=command.name,
                payload=payload,
                account=account,
                signal_id=payload.get("signal_id", ""),
                order_id=payload.get("order_id", ""),
                position_id=payload.get("position_id", ""),
                created_by=user if user is not None and user.pk else None,
                created_at=now,
                expires_at=now + timedelta(seconds=expires_in) if expires_in is not None else None,
            )
    except IntegrityError:
        record = CommandRecord.objects.select_related("created_by").get(key=key)
        if record.name != command.name:
            raise BadCommand(f"this key was already used for {record.name}", field="key") from None
        return record, False
    transaction.on_commit(lambda: _announce(record), robust=True)
    return record, True


def _announce(record: CommandRecord) -> None:
    wake_worker()
    publish("commands", [command_row(record)])


def amend_outcome(key: int, outcome: Outcome) -> CommandRecord | None:
    """A later part of a command that was carried out has come to something else: its row says so. None while the row is not finished,
    or when there is none any more. In the caller's transaction."""
    finished = CommandRecord.objects.filter(pk=key).exclude(state__in=(CommandRecord.State.PENDING, CommandRecord.State.CLAIMED))
    if not finished.update(state=outcome.state, code=outcome.code[:40], reason=outcome.reason[:500]):
        return None
    return CommandRecord.objects.select_related("created_by").get(pk=key)


class Inbox:
    """The worker's end. `run()` until `stop()`; commands are handled one at a time, oldest first, those named in `first` before all
    others: what stops trading must not stand in line behind what it is to stop."""

    def __init__(
        self,
        handler: Handler,
        *,
        epoch: int = 0,
        settled: Settled | None = None,
        on_row: Callable[[dict[str, Any]], None] | None = None,
        fence: Callable[[], None] | None = None,
        not_now: Callable[[], Collection[str]] = tuple,
        first: Collection[str] = (),
        clock: Clock | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._handler = handler
        self._epoch = epoch
        self._settled = settled
        self._on_row = on_row  # gets each changed command as a feed row, on the loop
        self._fence = fence  # called inside each claim's transaction; raises when another worker took over
        self._not_now = not_now  # names of commands that must wait for now; one that expires meanwhile is answered
        self._first = tuple(first)
        self._clock = clock or SystemClock()
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._stopping = False
        self._in_hand: int | None = None  # the row last claimed, until its outcome is written
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inbox")

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def stop(self) -> None:
        """End `run()` after the command in hand."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        listener = asyncio.create_task(self._listen())
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    await self.work_off()
                except Exception:
                    log.exception("the inbox could not be read; trying again")
                    await asyncio.sleep(RETRY_SECONDS)
                await self._nap()
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
            self._thread.shutdown()

    async def work_off(self) -> int:
        """Handle everything that waits; returns how many commands that was."""
        count = 0
        while not self._stopping:
            record = await self._in_thread(self._claim_next)
            if record is None:
                break
            await self._handle(record)
            count += 1
        return count

    async def _nap(self) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _handle(self, record: CommandRecord) -> None:
        outcome = await self._outcome_of(record)
        await self._finish_for_sure(record, outcome)
        self._in_hand = None
        failpoint("finish.committed")
        self._show(record)

    async def _finish_for_sure(self, record: CommandRecord, outcome: Outcome) -> None:
        """Until it is written: nobody else may answer a command that this worker has claimed and carried out."""
        while True:
            try:
                failpoint("finish.begin")
                await self._in_thread(self._finish, record, outcome)
                return
            except Exception:
                log.exception("the outcome of %s could not be written; trying again", record)
                if self._stopping:
                    return  # the next worker asks what became of it
                await asyncio.sleep(RETRY_SECONDS)

    async def _outcome_of(self, record: CommandRecord) -> Outcome:
        try:
            command = parse_command(record.name, record.payload)
        except BadCommand as error:
            return Outcome.refused("bad_command", str(error))
        except Exception as error:  # a row that nobody can read must not hold up those behind it
            log.exception("command %s cannot be read", record)
            return Outcome.refused("bad_command", f"The command cannot be read: {type(error).__name__}.")
        try:
            if record.attempts > 1 and self._settled is not None:
                before = await self._settled(command, record)
                if before is not None:
                    return before
            if record.expires_at is not None and record.expires_at <= self._clock.now():
                return Outcome(
                    state=CommandRecord.State.EXPIRED, code="expired", reason="Too late: the wish had expired before it could be acted on."
                )
            if record.expires_at is not None and (ahead := (record.created_at - self._clock.now()).total_seconds()) > CLOCKS_APART:
                return Outcome.refused("clocks_differ", CLOCKS_DIFFER.format(ahead=age_words(ahead)))
            self._show(record)
            return await self._handler(command, record)
        except Exception as error:
            log.exception("command %s failed", record)
            if self._settled is not None:  # it may have had its effect before it failed
                before = await self._settled(command, record)
                if before is not None:
                    return before
            return Outcome.refused("error", f"The worker could not carry this out: {type(error).__name__}: {error}")

    def _show(self, record: CommandRecord) -> None:
        if self._on_row is not None:
            self._on_row(command_row(record))

    def _claim_next(self) -> CommandRecord | None:
        """In the database thread: take the oldest command that is nobody's, or that a dead worker left."""
        if not self._anything_open():
            return None
        with transaction.atomic():
            failpoint("claim.begin")
            if self._fence is not None:
                self._fence()
            State = CommandRecord.State
            held_back = Q(name__in=list(self._not_now()))
            waiting = CommandRecord.objects.filter(~held_back | Q(expires_at__lte=self._clock.now()), state=State.PENDING)
            dropped = Q(pk=self._in_hand, epoch=self._epoch)  # claimed by us, and lost on the way to the handler
            left = CommandRecord.objects.filter(~held_back, Q(epoch__lt=self._epoch) | dropped, state=State.CLAIMED)
            turn = Case(When(name__in=self._first, then=Value(0)), default=Value(1))
            record = (left | waiting).order_by(turn, "id").defer("payload").first()
            if record is None:
                return None
            claimed = CommandRecord.objects.filter(pk=record.pk, state=record.state, epoch=record.epoch).update(
                state=State.CLAIMED, epoch=self._epoch, claimed_at=self._clock.now(), attempts=F("attempts") + 1
            )
            if claimed != 1:
                return None
            self._in_hand = record.pk
            failpoint("claim.update")
        failpoint("claim.committed")
        return self._read(record.pk)

    @staticmethod
    def _anything_open() -> bool:
        """A plain read: looking into an empty inbox, four times a second, must not take SQLite's one write lock."""
        State = CommandRecord.State
        return CommandRecord.objects.filter(state__in=(State.PENDING, State.CLAIMED)).exists()

    @staticmethod
    def _read(key: int) -> CommandRecord:
        """The claimed row; a payload that is JSON for the database but not for us becomes None, which is no command."""
        rows = CommandRecord.objects.select_related("created_by")
        try:
            return rows.get(pk=key)
        except (ValueError, RecursionError):
            record = rows.defer("payload").get(pk=key)
            record.payload = None
            return record

    def _finish(self, record: CommandRecord, outcome: Outcome) -> None:
        changed = {
            "state": outcome.state,
            "code": outcome.code[:40],
            "reason": outcome.reason[:500],
            "finished_at": self._clock.now(),
        }
        count = CommandRecord.objects.filter(pk=record.pk, state=CommandRecord.State.CLAIMED, epoch=self._epoch).update(**changed)
        if count != 1:
            log.error("command %s is no longer ours; its outcome %s was not written", record, outcome)
        for name, value in changed.items():
            setattr(record, name, value)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_fresh_connection, function, args)

    @staticmethod
    def _with_fresh_connection(function: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            return function(*args)
        except Exception:
            connection.close()  # it may be the connection that is broken; the next call opens a new one
            raise

    async def _listen(self) -> None:
        """Wake on a nudge through the channel layer. Redis may come and go; polling goes on meanwhile."""
        layer = get_channel_layer()
        while True:
            try:
                channel = await layer.new_channel("inbox.")
                await layer.group_add(WORKER_GROUP, channel)
                while True:
                    await layer.receive(channel)
                    self._wake.set()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("no nudges from the channel layer (%s); polling every %s s", error, self._poll_seconds)
                await asyncio.sleep(RETRY_SECONDS)
