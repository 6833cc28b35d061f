"""The desk's Celery with a visibility timeout of one second and two tasks that last as long as a test wants."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Event

import django
from celery import shared_task

from tradingsite.celery import app

django.setup()  # this module is imported before Celery does it

from events.long_tasks import long_task  # noqa: E402
from events.long_work import Work  # noqa: E402

app.conf.broker_transport_options = app.conf.broker_transport_options | {"visibility_timeout": 1, "unacked_restore_interval": 1}
app.conf.visibility_timeout = 1
_never = Event()


def _last(started: str, until: str) -> None:
    with Path(started).open("a") as file:
        file.write("started\n")
    while not Path(until).exists():
        _never.wait(0.05)


@shared_task
def acknowledged_late(started: str, until: str) -> None:
    _last(started, until)


@long_task(name="of-a-test", limit=timedelta(minutes=5))
def long_lasting(work: Work, started: str, until: str) -> None:
    _last(started, until)
