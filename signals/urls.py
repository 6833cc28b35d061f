"""Addresses of the signals pages. An id that no signal can have is not found, before any database is asked."""

from django.urls import re_path

from signals import views, views_cards

ID = r"(?P<signal_id>[0-9A-Za-z_-]{1,36})"

app_name = "signals"
urlpatterns = [
    re_path(r"^signals/$", views.signal_list, name="list"),
    re_path(r"^signals/cards$", views_cards.cards, name="cards"),
    re_path(rf"^signals/{ID}/$", views.detail, name="detail"),
    re_path(rf"^signals/{ID}/judge$", views_cards.judge, name="judge"),
    re_path(rf"^signals/{ID}/flow$", views.flow, name="flow"),
    re_path(rf"^signals/{ID}/approve$", views.approve_signal, name="approve"),
    re_path(rf"^signals/{ID}/reject$", views.reject_signal, name="reject"),
    re_path(rf"^signals/{ID}/decide-again$", views.decide_signal_again, name="decide_again"),
]
