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
from django.contrib.auth.password_validation import validate_password
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import transaction

from tradingsite.environment import LOOPBACK, kept_text, write_private
from tradingsite.first_person import FIRST_USER, first_link
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
    if mode == "simulated" and set(settings.ALLOWED_HOSTS) <= LOOPBACK:
        step("checking the demo user")
        if password := _demo_user(data_dir, demo_password):
            return f"Log in at {web_url} as {DEMO_USER} with password {password}"
    else:
        get_user_model().objects.filter(username=DEMO_USER, is_active=True).update(is_active=False)
    if link := first_link(web_url):
        return f"Choose the password of the user {FIRST_USER} at {link} (works once, for an hour; a new start makes a new one)"
    return f"Log in at {web_url}"


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
    """The person of the simulated desk, with all of the admin role's rights. Returns the password while it is still the first one.

    Made once: one that was switched off, or has another password by now, is left as it is.
    """
    path, users = data_dir / "demo_password", get_user_model().objects
    user = users.filter(username=DEMO_USER).first()
    if user is not None:
        password = given or kept_text(path)
        return password if user.is_active and user.check_password(password) else ""
    password = given or kept_text(path) or secrets.token_urlsafe(12)
    if given:
        try:
            validate_password(password, get_user_model()(username=DEMO_USER))
        except ValidationError as error:
            raise CommandError(f"DEMO_PASSWORD is refused: {' '.join(error.messages)}") from error
    else:
        write_private(path, password)
    with transaction.atomic():
        user = users.create_user(DEMO_USER, password=password, is_staff=True)
        user.groups.add(Group.objects.get(name="admin"))
    return password
