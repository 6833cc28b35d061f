"""The watch list and the settings a new installation starts with."""

from django.db import migrations

# symbol: may a SELL open a short?
WATCHED = {
    "AAPL": False, "MSFT": False, "NVDA": True, "TSLA": True, "AMZN": False, "META": False, "SPY": True, "QQQ": True,
}  # fmt: skip


def fill(apps, schema_editor):
    entries = apps.get_model("signals", "WatchListEntry")
    for symbol, allow_short in WATCHED.items():
        entries.objects.get_or_create(symbol=symbol, defaults={"allow_short": allow_short})
    apps.get_model("signals", "SignalSettings").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("signals", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
