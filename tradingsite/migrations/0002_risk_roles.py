"""The admin role also edits the limits of single names, and sees locks, limit changes and margin answers."""

from importlib import import_module

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

ROLES = import_module("tradingsite.migrations.0001_roles")  # a module whose name begins with a digit
EDITS = ("add", "change", "delete")


def extend_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    ROLES.make_roles(apps, schema_editor)
    permission_model = apps.get_model("auth", "Permission")
    names = [f"{verb}_scopedlimitrecord" for verb in EDITS]
    found = permission_model.objects.filter(content_type__app_label="positions", codename__in=names)
    apps.get_model("auth", "Group").objects.get(name="admin").permissions.add(*found)


class Migration(migrations.Migration):
    dependencies = [("tradingsite", "0001_roles"), ("positions", "0004_risk_controls")]
    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
