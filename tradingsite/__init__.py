"""The wiring: settings, addresses, processes. Imports every app; no app imports it."""

from tradingsite.celery import app as celery_app

__all__ = ["celery_app"]
