"""Addresses of the signals pages."""

from django.urls import path

from signals import views

app_name = "signals"
urlpatterns = [
    path("signals/", views.signal_list, name="list"),
    path("signals/<str:signal_id>/", views.detail, name="detail"),
    path("signals/<str:signal_id>/approve", views.approve_signal, name="approve"),
    path("signals/<str:signal_id>/reject", views.reject_signal, name="reject"),
]
