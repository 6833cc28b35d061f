"""Every address of the desk: the overview, health, the trading state and log-in here; the rest in each app."""

from django.contrib import admin
from django.urls import include, path

from tradingsite import views, views_login, views_review

urlpatterns = [
    path("", views.overview, name="overview"),
    path("overview/equity", views.equity_today, name="equity_today"),
    path("overview/health", views.overview_health, name="overview_health"),
    path("session", views.session_clock, name="session_clock"),
    path("commands/<int:number>/words", views.command_words, name="command_words"),
    path("trading/", views.trading, name="trading"),
    path("trading/scope", views.trading_scope, name="trading_scope"),
    path("trading/halt", views.trading_halt, name="trading_halt"),
    path("trading/reduce-only", views.trading_reduce_only, name="trading_reduce_only"),
    path("trading/resume", views.trading_resume, name="trading_resume"),
    path("trading/locks/<int:lock_id>/clear", views.clear_lock, name="clear_lock"),
    path("trading/flatten", views.trading_flatten, name="trading_flatten"),
    path("login/", views_login.LogIn.as_view(), name="login"),
    path("welcome/<str:uidb64>/<str:token>/", views_login.FirstPassword.as_view(), name="first_password"),
    path("account/password/", views_login.ChangePassword.as_view(), name="password_change"),
    path("logout/", views_login.LogOut.as_view(), name="logout"),
    path("review/", views_review.review_now, name="review_now"),
    path("review/<slug:week>/", views_review.review, name="review"),
    path("review/<slug:week>.csv", views_review.review_csv, name="review_csv"),
    path("confirm/", views_login.confirm_person, name="confirm_person"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("", include("events.urls")),
    path("", include("positions.urls")),
    path("", include("signals.urls")),
]
