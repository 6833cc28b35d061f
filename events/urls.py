"""Addresses of the events pages and of the live snapshots."""

from django.urls import path

from events import live, views

app_name = "events"
urlpatterns = [
    path("events/", views.trace, name="trace"),
    path("events/journal/", views.journal, name="journal"),
    path("live/<str:topic>", live.snapshot, name="live"),
]
