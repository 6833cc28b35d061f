"""One client connection: hello, startApi, then requests until it ends. Answers live in the `answers_*` modules.

Nothing a client sends can end more than its own connection. After startApi only a length that no frame has ends it: a request
that cannot be read is answered with error 320 on its id, one that is not served with 321.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from events.accounts import SIMULATED_ACCOUNT
from positions.gateway import messages_out as out
from positions.gateway import times, wire
from positions.gateway.messages_in import NotServed, Request, message_kind, parse_request, request_id
from positions.gateway.order_codec import PlacedOrder, parse_place_order
from positions.gateway.pacing import MessageRate
from positions.gateway.streams import Streams
from positions.gateway.transport import Transport
from positions.gateway.wire import Incoming, WireError

if TYPE_CHECKING:
    from positions.gateway.gateway import Gateway

log = logging.getLogger(__name__)

KNOCK = "closed before the hello"  # somebody who only wanted to know whether the port is open
HELLO_SECONDS = 10.0
NOT_STARTED = -1
FARMS = (
    (2104, 2103, "Market data farm connection is {}:usfarm"),
    (2106, 2105, "HMDS data farm connection is {}:ushmds"),
    (2158, 2157, "Sec-def data farm connection is {}:secdefil"),
)

Handler = Callable[["Session", Request], None]


class Session:
    """A connected client. `client_id` is NOT_STARTED until startApi; `version` is the negotiated server version."""

    def __init__(self, gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gateway = gateway
        self.client_id = NOT_STARTED
        self.version = 0
        self.market_data_type = 1
        self.streams = Streams(self)
        self.transport = Transport(writer, gateway.transport_mode)
        self.account_requests: dict[tuple[str, int], str] = {}  # (kind, request id) → what it asked for
        self._reader = reader
        self._rate = MessageRate()
        self._paced = False

    def send(self, frame: bytes) -> None:
        self.transport.write(frame)

    def moment(self, at: float) -> str:
        """Epoch seconds as this client reads them."""
        return times.written(at, self.version, self.gateway.time_form)

    def error(self, request_id: int, code: int, text: str) -> None:
        self.send(out.error(self.version, request_id, code, text))

    def close(self) -> None:
        """Closes in order: what was written before still arrives."""
        self.transport.close()

    def abort(self) -> None:
        """Cuts the connection; what was not yet sent is lost."""
        self.transport.abort()

    async def run(self) -> None:
        """Serves the connection to its end."""
        reason = "client closed"
        try:
            if await self._hello():
                await self._serve()
        except WireError as error:
            reason = str(error)
        except (ConnectionError, TimeoutError) as error:
            reason = f"connection lost: {type(error).__name__}"
        finally:
            if reason != KNOCK:
                log.info("client %s gone: %s", self.client_id, reason)
            self.gateway.leave(self)
            self.close()

    async def _hello(self) -> bool:
        """Negotiates the version. Official clients lose anything sent together with the greeting."""
        async with asyncio.timeout(HELLO_SECONDS):
            try:
                prefix = await self._reader.readexactly(len(wire.PREFIX))
            except asyncio.IncompleteReadError as error:
                raise WireError(KNOCK) from error
            if prefix != wire.PREFIX:
                raise WireError("no API hello")
            hello = await wire.read_prefixed(self._reader, 4096)
        greeting = (hello or b"").decode("ascii", errors="replace")
        version = wire.choose_version(greeting)
        self._paced = wire.PACED in greeting.split(" ")
        if version is None:
            log.info("no common version with %r", hello)
            return False
        self.version = version
        if self.gateway.faults.take_hello() is not None:
            await self._reader.read()  # deaf until the client gives up
            return False
        started = datetime.fromtimestamp(self.gateway.now(), UTC)
        self.send(out.greeting(version, f"{started:%Y%m%d %H:%M:%S} UTC"))
        return True

    async def _serve(self) -> None:
        while (payload := await wire.read_prefixed(self._reader)) is not None:
            while self._paced and (seconds := self._rate.wait(time.monotonic())) > 0:
                await asyncio.sleep(seconds)
            if self._rate.exceeded(time.monotonic()):
                self.error(out.SYSTEM, 100, "Max rate of messages per second has been exceeded")
                raise WireError("more than 50 messages in a second")
            if self.client_id == NOT_STARTED:
                self._start(wire.decode_payload(payload))
            else:
                self._answer(payload)
            if self.transport.closed:
                return
            with contextlib.suppress(ConnectionError):
                await self.transport.drain()

    def _start(self, fields: list[str]) -> None:
        request = parse_request(fields, self.version)
        if request.kind is not Incoming.START_API:
            raise WireError("the first request must be startApi")
        client_id = int(request["clientId"])
        if not self.gateway.join(self, client_id):
            self.error(out.SYSTEM, 326, "Unable connect as the client id is already in use. Retry with a unique client id.")
            self.close()
            return
        self.client_id = client_id
        log.info("client %d connected, server version %d", client_id, self.version)
        self.send(out.message("managedAccounts", SIMULATED_ACCOUNT))
        self.send(out.message("nextValidId", self.gateway.broker.next_order_id(client_id)))
        self.farms(broken=self.gateway.farms_broken)

    def farms(self, *, broken: bool) -> None:
        """The data farm notices: at connecting, and when a farm comes or goes."""
        for ok, lost, text in FARMS:
            self.error(out.SYSTEM, lost if broken else ok, text.format("broken" if broken else "OK"))

    def _answer(self, payload: bytes) -> None:
        """One request; one that cannot be read, or is not served here, is an error on its own id and ends nothing."""
        fields: list[str] = []
        try:
            fields = wire.decode_payload(payload)
            self._handle(fields)
        except NotServed as error:
            log.warning("client %s: %s", self.client_id, error)
            self.error(request_id(fields), 321, f"Error validating request.-'bW' : cause - {error}")
        except WireError as error:
            log.warning("client %s sent a request that cannot be read: %s", self.client_id, error)
            self.error(request_id(fields), 320, f"Error reading request. {error}")
        except Exception:
            log.exception("request %s of client %s failed", fields[:3], self.client_id)
            self.error(request_id(fields), 320, "Error reading request.")

    def _handle(self, fields: list[str]) -> None:
        kind = message_kind(fields)
        if kind is Incoming.PLACE_ORDER:
            placed = parse_place_order(fields, self.version)
            self.gateway.saw(self.client_id, kind, {"orderId": placed.order_id, **_short(placed)})
            self.gateway.answer_place(self, placed)
            return
        request = parse_request(fields, self.version)
        self.gateway.saw(self.client_id, kind, request.values)
        self.gateway.handlers[kind](self, request)


def _short(placed: PlacedOrder) -> Mapping[str, str]:
    names = ("action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "orderRef", "parentId", "transmit", "ocaGroup", "whatIf")
    return {"symbol": placed.contract["symbol"], **{name: placed.fields[name] for name in names}}
