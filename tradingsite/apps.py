"""The wiring of the web side: tells the page frame what only upper floors know."""

from typing import Any

from django.apps import AppConfig


class TradingSiteConfig(AppConfig):
    name = "tradingsite"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import tradingsite.celery  # noqa: F401  the app that shared tasks belong to
        from events import context, health  # models are loaded only now

        context.provide("trading_state", trading_state)
        context.provide("pending_count", pending_count)
        context.provide("alarms", alarms)
        context.provide("session_clock", session_clock)
        health.contribute("alarms", alarms)
        health.contribute("celery", celery_part)


def trading_state() -> dict[str, Any]:
    """The switch as the worker last wrote it; a row never written means active."""
    from positions.models import TradingState

    row = TradingState.objects.values("state", "reason", "changed_by", "changed_at").first()
    if row is not None:
        return dict(row)
    return {"state": TradingState.State.ACTIVE.value, "reason": "", "changed_by": "", "changed_at": None}


def pending_count() -> int:
    """Signals a person can still decide."""
    from signals.pending import pending_count as count

    return count()


def alarms() -> list[dict[str, object]]:
    """What nobody has acknowledged, also when no worker lives to say so."""
    from positions.alarms import waiting_rows

    return waiting_rows()


def celery_part() -> dict[str, object]:
    """Whether Celery's beat and workers live, by the age of their last sign of life; the worse of the two."""
    from events.clock import utc_now
    from tradingsite import pulses
    from tradingsite.health import check_pulse

    seen, now = pulses.last_seen(), utc_now()
    checks = [check_pulse(seen, name, now) for name in (pulses.BEAT, pulses.WORKERS)]
    worst = next((check for check in checks if not check.fit), checks[-1])
    return {"state": worst.state, "detail": f"{worst.label}: {worst.detail}", "at": worst.at.isoformat() if worst.at else None}


def session_clock() -> dict[str, Any]:
    """What the exchange is doing and what an approval meets now."""
    from signals.session import session_row

    return session_row()
