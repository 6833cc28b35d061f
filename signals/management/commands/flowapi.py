"""manage.py flowapi: the demo options-flow API, in step with the simulated market of the same seed."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from threading import Event, Thread
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from signals.demo.faults import Fault
from signals.demo.provider import Provider
from signals.demo.server import DemoServer
from signals.demo.world import World

# Strong views are minutes apart, most of all at night: whoever starts a demo shall not have to wait for one.
GREETING, GREETINGS = {"signal": "BUY", "numeric": 1, "confidence": 0.85}, 2


class Command(BaseCommand):
    help = "Serve the demo options-flow API on a loopback port; its key is FLOW_API_KEY."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=4010)
        parser.add_argument("--seed", type=int, default=7, help="the seed of the simulated market")
        parser.add_argument("--speed", type=float, default=1.0, help="how fast the market's clock runs")
        parser.add_argument("--greet", default="", metavar="TICKER", help=f"the first {GREETINGS} predictions of it are a confident buy")

    def handle(self, *args: Any, port: int, seed: int, speed: float, greet: str, **options: Any) -> None:
        if not settings.FLOW_API_KEY:
            raise CommandError("FLOW_API_KEY is not set: the demo API needs a key to ask for.")
        if speed <= 0:
            raise CommandError("--speed must be more than 0.")
        try:
            provider = Provider(
                World(seed, speed=speed),
                settings.FLOW_API_KEY,
                standard_per_minute=settings.FLOW_REQUESTS_PER_MINUTE,
                heavy_per_minute=settings.FLOW_HEAVY_REQUESTS_PER_MINUTE,
            )
            server = DemoServer(provider, port=port)
        except (OSError, OverflowError) as error:
            raise CommandError(f"Port {port} cannot be used: {error}") from None
        if greet:
            provider.faults.set(Fault.VIEW, GREETING, tickers=(greet,), count=GREETINGS)
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        serving = Thread(target=server.serve, name="demo-flow-api", daemon=True)
        serving.start()
        self.stdout.write(f"Demo options-flow API at {server.base_url} (seed {seed}, speed {speed:g})")
        self.stdout.flush()
        stop.wait()
        server.stop()
