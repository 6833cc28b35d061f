"""The queue of the watch list: claims, gaps to be filled, and since when a ticker is watched."""

from django.db import migrations, models

import events.clock


class Migration(migrations.Migration):
    dependencies = [
        ("signals", "0003_pages_of_years"),
    ]

    operations = [
        migrations.AddField(
            model_name="sourcehealth",
            name="claimed_at",
            field=models.DateTimeField(blank=True, help_text="A poll was handed out then and has not ended.", null=True),
        ),
        migrations.AddField(
            model_name="sourcehealth",
            name="gap_since",
            field=models.BigIntegerField(blank=True, help_text="Predictions after this (epoch milliseconds) are to be fetched.", null=True),
        ),
        migrations.AddField(
            model_name="watchlistentry",
            name="added_at",
            field=models.DateTimeField(default=events.clock.utc_now, editable=False),
        ),
    ]
