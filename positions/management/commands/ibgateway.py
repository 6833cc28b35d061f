"""`manage.py ibgateway`: runs the simulated IB Gateway until SIGTERM or Ctrl-C. Loopback only; it trades no real money."""

from __future__ import annotations

import asyncio
import logging
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from positions.gateway.gateway import Gateway
from positions.gateway.server import Server

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Runs the simulated IB Gateway: the TWS protocol on --port, scripted faults on --control-port."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, required=True, help="TWS protocol port on 127.0.0.1")
        parser.add_argument("--control-port", type=int, required=True, help="control port on 127.0.0.1")
        parser.add_argument("--seed", type=int, required=True, help="same seed, same prices")
        parser.add_argument("--state-dir", type=Path, required=True, help="folder of the book, account and ledger")
        parser.add_argument("--speed", type=float, default=1.0, help="how fast the market clock runs (default 1)")
        parser.add_argument(
            "--market-data-lines",
            type=int,
            default=settings.IB_MARKET_DATA_LINES,
            help="streams of one client (default: the setting IB_MARKET_DATA_LINES)",
        )
        parser.add_argument("--calendar", default="", help="exchange calendar such as XNYS; without it always open")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["speed"] <= 1000:
            raise CommandError("--speed must be above 0 and at most 1000")
        try:
            asyncio.run(self._run(options))
        except OSError as error:
            raise CommandError(f"the simulated gateway can not start: {error}") from error

    async def _run(self, options: dict[str, Any]) -> None:
        gateway = Gateway(
            seed=options["seed"],
            state_dir=options["state_dir"],
            speed=options["speed"],
            calendar=options["calendar"],
            line_limit=options["market_data_lines"],
        )
        server = Server(gateway, port=options["port"], control_port=options["control_port"])
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        await server.start()
        self.stdout.write(f"Simulated IB Gateway on 127.0.0.1:{server.port}, control on 127.0.0.1:{server.control_port}")
        self.stdout.flush()
        await stop.wait()
        await server.close()
