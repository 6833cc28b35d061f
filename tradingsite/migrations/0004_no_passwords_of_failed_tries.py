"""Failed tries were written down with the password that was typed for a second time: the forms of those rows are emptied."""

from django.db import migrations


def empty(apps, schema_editor):
    for model in ("AccessAttempt", "AccessFailureLog", "AccessLog"):
        rows = apps.get_model("axes", model)
        if "post_data" in {field.name for field in rows._meta.get_fields()}:
            rows.objects.filter(post_data__contains="password").update(post_data="")


class Migration(migrations.Migration):
    dependencies = [("tradingsite", "0003_protection_roles"), ("axes", "0010_accessattemptexpiration")]
    operations = [migrations.RunPython(empty, migrations.RunPython.noop)]
