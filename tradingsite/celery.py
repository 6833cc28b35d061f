"""The Celery application: polling and housekeeping. It never talks to the broker of orders. When what runs: `schedule.py`."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging

from tradingsite import broker_link
from tradingsite.schedule import SCHEDULE

broker_link.use()
app = Celery("desk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["signals", "tradingsite"])
app.conf.beat_schedule = SCHEDULE


@celeryd_init.connect
@beat_init.connect
def _write_for_the_owner_alone(**_: Any) -> None:
    os.umask(0o077)


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone when someone listens here; Django's LOGGING stays in force."""
