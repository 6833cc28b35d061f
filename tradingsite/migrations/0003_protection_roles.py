"""The admin role also edits the rule and the defaults of protection; everybody may look at those and at the tasks."""

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SEEN = ("view_protectionsettings", "view_operatortask")
EDITED = ("add_protectionsettings", "change_protectionsettings")


def extend_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Adds only: what the roles may do already stays."""
    config = apps.get_app_config("positions")
    config.models_module = True  # a stub of the migration state; create_permissions skips apps without models
    create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    found = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="positions")
    for group in apps.get_model("auth", "Group").objects.filter(name__in=("viewer", "trader", "admin")):
        group.permissions.add(*found.filter(codename__in=(*SEEN, *EDITED) if group.name == "admin" else SEEN))


class Migration(migrations.Migration):
    dependencies = [("tradingsite", "0002_risk_roles"), ("positions", "0005_protection")]
    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
