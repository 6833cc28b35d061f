"""The watch list in the one spelling of a share class: what was entered as `BRK B` or `BRK-B` becomes `BRK.B`."""

from typing import Any

from django.db import migrations

from events.symbols import canonical_symbol


def respell(apps: Any, schema_editor: Any) -> None:
    entries = apps.get_model("signals", "WatchListEntry").objects
    for entry in entries.all():
        one = canonical_symbol(entry.symbol)
        if one == entry.symbol:
            continue
        if entries.filter(symbol=one).exists():
            entry.delete()
        else:
            entries.filter(pk=entry.pk).update(symbol=one)


class Migration(migrations.Migration):
    dependencies = [("signals", "0006_slippage")]

    operations = [migrations.RunPython(respell, migrations.RunPython.noop)]
