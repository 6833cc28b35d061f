"""The desk's settings for a test run: everything it writes goes to a temporary folder, Redis to a port of its own.

TEST_DB=postgres runs the suite on a throwaway PostgreSQL instead of SQLite.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tradingsite.testing.network import LOOPBACK, free_port
from tradingsite.testing.patience import PATIENCE
from tradingsite.testing.postgres_server import postgres_server_url

_folder = Path(tempfile.mkdtemp(prefix="desk-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

for _name in (
    "LIVE_TRADING_CONFIRMED",
    "IB_ACCOUNT",
    "IB_HOST",
    "IB_PORT",
    "IB_CLIENT_ID",
    "IB_TIME_ZONE",
    "FLOW_API_URL",
    "FLOW_REQUESTS_PER_MINUTE",
    "FLOW_HEAVY_REQUESTS_PER_MINUTE",
    "LOCK_DATABASE_URL",
    "ALLOWED_HOSTS",
    "DEBUG",
    "PORT",
):
    os.environ.pop(_name, None)  # a developer's own settings must not steer a test

TEST_REDIS_PORT = free_port()
TEST_REDIS_PASSWORD = "tests-only"
os.environ |= {
    "DATA_DIR": str(_folder / "var"),
    "SECRET_KEY": "tests-only-" + "x" * 50,
    "TRADING_MODE": "simulated",
    "FLOW_API_KEY": "tests-only-key",
    "REDIS_URL": f"redis://:{TEST_REDIS_PASSWORD}@{LOOPBACK}:{TEST_REDIS_PORT}/0",
}
if os.environ.get("TEST_DB", "sqlite") == "postgres":
    os.environ["DATABASE_URL"] = postgres_server_url()
else:
    os.environ.pop("DATABASE_URL", None)

from tradingsite.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",  # the real one is slow on purpose
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # for people whom a real web process lets in
]
STORAGES = {  # pages are rendered without collecting static files first
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":  # noqa: F405
    # A test that is one transaction from beginning to end idles in it while it talks to a real server.
    DATABASES["default"]["OPTIONS"] = {"options": f"-c statement_timeout={PATIENCE * 1000:.0f}"}  # noqa: F405
