from django.apps import AppConfig


class PositionsConfig(AppConfig):
    name = "positions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from positions import live  # needs the models, which exist only now

        live.register()
