"""How long the server works on each page: the CPU of the request, and on PostgreSQL what its database takes besides.

Other programs on the machine do not count, as they would on a wall clock. Of a file that is streamed the time to its first row
counts. What pages share for a second (the facts that proposals are made of) is worked out anew for each.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from statistics import median
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client

from signals.pending import forget
from tradingsite.bench.table import Row, limit
from tradingsite.bench.visits import every_page, kind_of, leads_on, own_links
from tradingsite.bench.years import Size, make_years

BAR = 0.3  # seconds of server time a page may take
MOST_QUERIES = 30
LISTED = 25  # of the slowest pages
SCALE = "BENCH_SCALE"  # of the years; set by `manage.py bench`
REPEATS = 5
PATIENCE = 3.0  # a page this slow is not asked again
MANY_LINKS = 60  # of one page
NOT_READY = "readyz"  # no worker and no Redis run beside the measurement
BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(slots=True, kw_only=True)
class Visit:
    """One page as it was measured; `seconds` is the median."""

    name: str
    path: str
    status: int = 0
    queries: int = 0
    seconds: float = 0.0
    size: int = 0
    slowest: str = ""
    links: list[dict[str, str]] = field(default_factory=list)


class _Waiting:
    """An execute wrapper: how many statements, and how long the process stood still for the database."""

    def __init__(self) -> None:
        self.queries = 0
        self.seconds = 0.0
        self.slowest: tuple[float, str] = (0.0, "")

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        wall, worked = time.perf_counter(), time.thread_time()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - wall
            self.queries += 1
            self.seconds += max(0.0, took - (time.thread_time() - worked))
            self.slowest = max(self.slowest, (took, sql))


def a_superuser() -> Client:
    """Somebody logged in who may see everything, as a browser of this desk comes in."""
    user, _ = get_user_model().objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})
    client = Client(raise_request_exception=False, headers={"host": "localhost"})
    client.force_login(user, backend=BACKEND)
    return client


def every_visit(client: Client, repeats: int = REPEATS) -> Iterator[Visit]:
    """All pages and the links they give to themselves."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for name, path in every_page():
        yield from _with_links(client, name, path, repeats, seen)


def _with_links(client: Client, name: str, path: str, repeats: int, seen: set[tuple[str, tuple[str, ...]]]) -> Iterator[Visit]:
    base = path.partition("?")[0]
    waiting: list[tuple[str, dict[str, str]]] = [(path, {})]
    while waiting:
        at, here = waiting.pop(0)
        visit = measured(client, name, at, repeats)
        yield visit
        for query in visit.links[:MANY_LINKS]:
            kind = (base, kind_of(query))
            if query and kind not in seen and leads_on(query, here):
                seen.add(kind)
                waiting.append((f"{base}?{urlencode(query)}", query))


def measured(client: Client, name: str, path: str, repeats: int = REPEATS) -> Visit:
    """The page asked `repeats` times, after once that warms up."""
    visit = Visit(name=name, path=path)
    times = [_once(client, visit)]
    if times[0] < PATIENCE:
        times = [_once(client, visit) for _ in range(repeats)]
    visit.seconds = median(times)
    return visit


def _once(client: Client, visit: Visit) -> float:
    waiting = _Waiting()
    forget()
    began = time.thread_time()
    with connection.execute_wrapper(waiting):
        answer = client.get(visit.path)
        body = b"".join(islice(answer.streaming_content, 2)) if isinstance(answer, StreamingHttpResponse) else answer.content
    took = time.thread_time() - began
    answer.close()
    visit.status, visit.queries, visit.size = answer.status_code, waiting.queries, len(body)
    visit.slowest = f"{waiting.slowest[0] * 1000:.0f} ms {waiting.slowest[1][:300]}"
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        visit.links = own_links(body.decode())
    return took + (waiting.seconds if connection.vendor == "postgresql" else 0.0)


def rows() -> list[Row]:
    """Fill the database of the settings with years of data, and measure: the slowest pages, and one row for all the others."""
    logging.disable(logging.ERROR)
    make_years(Size.of(float(os.environ.get(SCALE, "1"))), say=_say)
    call_command("collectstatic", interactive=False, verbosity=0)
    visits = sorted(every_visit(a_superuser()), key=lambda visit: -visit.seconds)
    if broken := [
        f"{visit.path} ({visit.status})" for visit in visits if visit.status >= HTTPStatus.BAD_REQUEST and visit.name != NOT_READY
    ]:
        raise RuntimeError(f"pages that failed: {broken}")
    shown = max(LISTED, sum(visit.seconds > BAR for visit in visits))
    listed = [limit(f"page {visit.path[:70]}, {visit.queries} queries", "ms", visit.seconds * 1000, BAR * 1000) for visit in visits[:shown]]
    rest = visits[shown:]
    if rest:
        listed.append(limit(f"{len(rest)} more pages, the slowest of them", "ms", rest[0].seconds * 1000, BAR * 1000))
    return [*listed, limit("most queries of a page", "", max(visit.queries for visit in visits), MOST_QUERIES)]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
