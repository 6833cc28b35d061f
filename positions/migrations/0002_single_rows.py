"""The one row of risk limits and the one row of trading state."""

from django.db import migrations
from django.utils import timezone


def make_rows(apps, schema_editor):
    apps.get_model("positions", "RiskLimits").objects.get_or_create(pk=1)
    state = {"state": "active", "reason": "first start", "changed_at": timezone.now()}
    apps.get_model("positions", "TradingState").objects.get_or_create(pk=1, defaults=state)


class Migration(migrations.Migration):
    dependencies = [("positions", "0001_initial")]

    operations = [migrations.RunPython(make_rows, migrations.RunPython.noop)]
