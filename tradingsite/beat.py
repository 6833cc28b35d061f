"""The schedule's own process: `celery -A tradingsite.beat beat`.

It knows the names of the tasks and when they are due; it neither runs them nor reads a table, so it loads neither tasks nor Django's
apps: 30 MB less for as long as it runs. `celery -A tradingsite beat` does the same work.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings
from django.utils.log import configure_logging

from tradingsite import broker_link
from tradingsite.schedule import SCHEDULE

broker_link.use()
app = Celery("desk-beat", fixups=[])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE


@setup_logging.connect
def _log_as_the_desk(**_: Any) -> None:
    """Without Django's apps nobody else sets logging up."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
