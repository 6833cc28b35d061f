from django.apps import AppConfig


class SignalsConfig(AppConfig):
    name = "signals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from signals import breakdowns, live  # need the models, which exist only now

        live.register()
        breakdowns.register()
