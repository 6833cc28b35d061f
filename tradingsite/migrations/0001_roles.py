"""The three roles: viewer looks, trader trades, admin also runs the desk (watch list, limits, users).

What a role may do on pages is decided by events.roles from the group's name; the permissions here are for the admin site.
No role may change or delete what the worker wrote or what the journal remembers.
"""

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

ADMIN_MAY_ALSO = {
    "signals": {"watchlistentry": ("add", "change", "delete"), "signalsettings": ("change",)},
    "positions": {"risklimits": ("change",), "tradingstate": ("change",), "positionrecord": ("change",)},
    "auth": {"user": ("add", "change")},
}
EVERYONE_SEES = ("events", "positions", "signals")


def make_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for label in (*EVERYONE_SEES, "auth"):
        # Permissions are normally made after all migrations; the roles need them now.
        config = apps.get_app_config(label)
        config.models_module = True  # a stub of the migration state; create_permissions skips apps without models
        create_permissions(config, apps=apps, verbosity=0, using=schema_editor.connection.alias)
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    seen = list(permission_model.objects.filter(content_type__app_label__in=EVERYONE_SEES, codename__startswith="view_"))
    wanted = {(label, f"{verb}_{model}") for label, models in ADMIN_MAY_ALSO.items() for model, verbs in models.items() for verb in verbs}
    wanted |= {("auth", "view_user"), ("auth", "view_group")}
    extra = [
        permission
        for permission in permission_model.objects.filter(content_type__app_label__in=(*ADMIN_MAY_ALSO,)).select_related("content_type")
        if (permission.content_type.app_label, permission.codename) in wanted
    ]
    for name, permissions in (("viewer", seen), ("trader", seen), ("admin", [*seen, *extra])):
        group, _ = group_model.objects.get_or_create(name=name)
        group.permissions.set(permissions)


def remove_roles(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("auth", "Group").objects.filter(name__in=("viewer", "trader", "admin")).delete()


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("events", "0001_initial"),
        ("positions", "0001_initial"),
        ("signals", "0001_initial"),
    ]
    operations = [migrations.RunPython(make_roles, remove_roles)]
