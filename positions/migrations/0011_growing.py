"""History and fills leave the positions' rows for rows of their own."""

from __future__ import annotations

from datetime import datetime

from django.db import migrations, models

AT_ONCE = 200
PART = 50


def move_out(apps, schema_editor):
    records = apps.get_model("positions", "PositionRecord")
    changes, entries = apps.get_model("positions", "PositionChange"), apps.get_model("positions", "PositionEntry")
    last = ""
    while found := list(records.objects.filter(pk__gt=last).order_by("pk").only("pk", "data", "epoch")[:AT_ONCE]):
        last = found[-1].pk
        lines, numbered = [], []
        for record in found:
            data, epoch = record.data, record.epoch
            for line in data.pop("history", None) or ():
                lines.append(
                    changes(
                        position_id=record.pk,
                        version=line["version"],
                        part=line["version"] // PART,
                        at=datetime.fromisoformat(line["time"]),
                        kind=str(line["type"])[:40],
                        changed=line.get("changed") or {},
                        reason=line.get("reason") or "",
                        by=str(line.get("by") or "")[:150],
                        epoch=epoch,
                    )
                )
            for number, entry in enumerate(data.pop("fills", None) or ()):
                numbered.append(entries(position_id=record.pk, number=number, part=number // PART, data=entry, epoch=epoch))
        changes.objects.bulk_create(lines, batch_size=500, ignore_conflicts=True)
        entries.objects.bulk_create(numbered, batch_size=500, ignore_conflicts=True)
        records.objects.bulk_update(found, ["data"], batch_size=100)
    # Its seals are of the rows as they were: the nights fold the journal afresh.
    apps.get_model("events", "JournalCheckpoint").objects.all().delete()
    apps.get_model("events", "JournalHead").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("positions", "0010_current_rows"), ("events", "0006_journal_checkpoint")]

    operations = [
        migrations.CreateModel(
            name="PositionChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position_id", models.CharField(max_length=36)),
                ("version", models.IntegerField(help_text="Of the position, after the change.")),
                ("part", models.IntegerField(help_text="version // 50: these are compared with the journal together.")),
                ("at", models.DateTimeField()),
                ("kind", models.CharField(max_length=40)),
                ("changed", models.JSONField(default=dict)),
                ("reason", models.TextField(blank=True)),
                ("by", models.CharField(blank=True, max_length=150)),
                ("epoch", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "change of a position",
                "ordering": ["position_id", "version"],
                "constraints": [
                    models.UniqueConstraint(fields=("position_id", "version"), name="position_change_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="PositionEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position_id", models.CharField(max_length=36)),
                ("number", models.IntegerField()),
                ("part", models.IntegerField(help_text="number // 50: these are compared with the journal together.")),
                ("data", models.JSONField(default=dict)),
                ("epoch", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "entry of a position",
                "verbose_name_plural": "entries of positions",
                "ordering": ["position_id", "number"],
                "constraints": [
                    models.UniqueConstraint(fields=("position_id", "number"), name="position_entry_once"),
                ],
            },
        ),
        migrations.AlterField(
            model_name="positionrecord",
            name="data",
            field=models.JSONField(default=dict, help_text="The position's state, without history and fills."),
        ),
        migrations.RunPython(move_out, migrations.RunPython.noop),
    ]
