"""What must be true before anything starts: tables, static files, the first user, a first history. Each step says itself.

Runs in a process of its own (`manage.py prepare_desk`): the libraries that make a history stay in memory as long as their process lives.
"""

import hashlib
import secrets
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.staticfiles.finders import get_finders
from django.core.management import CommandError, call_command

from tradingsite.environment import kept_text, write_private
from tradingsite.soundness import damage

DEMO_USER = "demo"
Step = Callable[[str], None]


def prepare(*, data_dir: Path, web_url: str, gateway_state: Path | None, mode: str, step: Step, demo_password: str) -> str:
    """Run all steps; returns the line that tells a person how to come in.

    `gateway_state` is the folder of our own simulated gateway, whose history an empty database is given; None beside any other.
    """
    step("checking the database file")
    if found := damage():
        raise CommandError(found)
    step("bringing the database up to date")
    call_command("migrate", interactive=False, verbosity=0)
    _collect_static_files(data_dir, step)
    if gateway_state and settings.DEMO_HISTORY:
        _fill_history(gateway_state, step)
    if mode == "live":
        get_user_model().objects.filter(username=DEMO_USER, is_active=True).update(is_active=False)
        return f"Log in at {web_url} (make the first user with: manage.py createsuperuser)"
    step("checking the demo user")
    password = _demo_user(data_dir, demo_password)
    return f"Log in at {web_url} as {DEMO_USER} with password {password}"


def _collect_static_files(data_dir: Path, step: Step) -> None:
    """Only when a file changed since the last time."""
    stamp, now = data_dir / "staticfiles.stamp", _fingerprint()
    if kept_text(stamp) == now and (Path(settings.STATIC_ROOT) / "staticfiles.json").exists():
        return
    step("collecting static files")
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    write_private(stamp, now)


def _fingerprint() -> str:
    """Changes when any static file is added, removed or written."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            file = Path(storage.path(path))
            status = file.stat()
            digest.update(f"{file} {status.st_mtime_ns} {status.st_size}\n".encode())
    return digest.hexdigest()


def _fill_history(gateway_state: Path, step: Step) -> None:
    """Once, on an empty database beside our own simulated gateway."""
    if find_spec("signals.demo.history") is None:
        return
    from positions.models import EquityPoint, OrderRecord

    if OrderRecord.objects.exists() or EquityPoint.objects.exists():
        return
    step("making a first history of simulated trading")
    call_command("demo_history", state_dir=str(gateway_state), verbosity=0)


def _demo_user(data_dir: Path, given: str) -> str:
    """The person of the simulated desk, with all of the admin role's rights. Returns the password."""
    path = data_dir / "demo_password"
    password = given or kept_text(path) or secrets.token_urlsafe(12)
    if not given:
        write_private(path, password)
    user, _ = get_user_model().objects.get_or_create(username=DEMO_USER)
    if not (user.is_active and user.is_staff and user.check_password(password)):
        user.is_active = user.is_staff = True
        user.set_password(password)
        user.save()
    group = Group.objects.filter(name="admin").first()
    if group is not None:
        user.groups.add(group)
    return password
