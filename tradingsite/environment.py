"""Reads the desk's settings from the environment; a broken one is named in one sentence, never a traceback."""

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured

MODES = ("simulated", "paper", "live")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
LEAST_KEY = 32  # characters of a SECRET_KEY that signs sessions of an account with real money
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class Environment:
    """Typed access to a mapping of variables; every getter raises ImproperlyConfigured naming the variable."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def given(self, name: str) -> bool:
        return bool(self.text(name))

    def flag(self, name: str, *, default: bool = False) -> bool:
        word = self.text(name, str(default)).lower()
        if word not in _TRUE + _FALSE:
            raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}.")
        return word in _TRUE

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        word = self.text(name, str(default))
        if not word.isascii() or not word.isdigit() or not low <= int(word) <= high:
            raise ImproperlyConfigured(f"{name} must be a whole number from {low} to {high}, not {word!r}.")
        return int(word)

    def port(self, name: str, default: int) -> int:
        return self.whole(name, default, low=1, high=65535)

    def choice(self, name: str, default: str, options: tuple[str, ...]) -> str:
        word = self.text(name, default).lower()
        if word not in options:
            raise ImproperlyConfigured(f"{name} must be one of {', '.join(options)}, not {word!r}.")
        return word

    def time_zone(self, name: str, default: str) -> str:
        word = self.text(name, default)
        try:
            return ZoneInfo(word).key
        except (KeyError, ValueError, OSError):
            raise ImproperlyConfigured(f"{name} must be a time zone like America/New_York, not {word[:40]!r}.") from None

    def names(self, name: str, default: list[str]) -> list[str]:
        return [part.strip() for part in self.text(name).split(",") if part.strip()] or default

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        """An address with a host and one of the schemes. Its text may hold a password, so the message never shows it."""
        address = self.text(name, default)
        try:
            parts = urlsplit(address)
            valid = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            valid = False
        if not valid:
            raise ImproperlyConfigured(f"{name} must be an address like {schemes[0]}://host:port.")
        return address

    def private_folder(self, name: str, default: Path) -> Path:
        """A folder of ours alone: what it allows to others is taken away. A folder that is shared is refused."""
        path = self.folder(name, default)
        status = path.stat()
        if status.st_mode & stat.S_ISVTX:
            raise ImproperlyConfigured(f"{name}: {path} is a folder that everybody uses; give one of its own, such as {path / 'desk'}.")
        if status.st_mode & 0o077:
            try:
                path.chmod(0o700)
            except OSError as error:
                raise ImproperlyConfigured(f"{name}: others can read {path}; its owner must say: chmod 700 {path}") from error
        return path

    def folder(self, name: str, default: Path) -> Path:
        """A folder of ours, made when missing and readable by its owner only."""
        path = Path(self.text(name, str(default))).expanduser().resolve()
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ImproperlyConfigured(f"{name}: {path} cannot be used as a folder ({error.strerror}).") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise ImproperlyConfigured(f"{name}: {path} is not writable.")
        return path


def database_url_problem(address: str) -> str:
    """What is wrong with a DATABASE_URL, or an empty text."""
    scheme = address.partition(":")[0]
    if scheme in ("sqlite", "postgres", "postgresql"):
        return ""
    return "DATABASE_URL must begin with sqlite:/// or postgres://."


def check_trading(mode: str, *, account: str, confirmed: str, flow_given: bool, ib_given: bool) -> None:
    """Live money needs two switches that agree, a real account and a real signal source. Raises ImproperlyConfigured."""
    if mode == "simulated":
        return
    if mode == "paper":
        if account and not account.upper().startswith("D"):
            raise ImproperlyConfigured("IB_ACCOUNT must be a paper account (it begins with D) when TRADING_MODE=paper.")
        return
    if not account or account.upper().startswith("D"):
        raise ImproperlyConfigured("IB_ACCOUNT must be the live account's id (not one beginning with D) when TRADING_MODE=live.")
    if confirmed != account:
        raise ImproperlyConfigured("LIVE_TRADING_CONFIRMED must repeat IB_ACCOUNT when TRADING_MODE=live.")
    if not ib_given:
        raise ImproperlyConfigured("IB_PORT must be given when TRADING_MODE=live.")
    if not flow_given:
        raise ImproperlyConfigured("FLOW_API_URL must be given when TRADING_MODE=live: the demo API knows only the simulated market.")


def check_live_surroundings(*, debug: bool, hosts: Sequence[str], secret_key: str, https: bool, redis_url: str, database_url: str) -> None:
    """Real money is not traded behind an open door. Raises ImproperlyConfigured with what to change."""
    if debug:
        raise ImproperlyConfigured("DEBUG must be false when TRADING_MODE=live: its error pages show the inside of the desk.")
    if any("*" in host or host.startswith(".") for host in hosts):
        raise ImproperlyConfigured("ALLOWED_HOSTS must name each host when TRADING_MODE=live, without * and without a leading dot.")
    if len(secret_key) < LEAST_KEY or len(set(secret_key)) < 10:
        raise ImproperlyConfigured(
            f"SECRET_KEY must have at least {LEAST_KEY} random characters when TRADING_MODE=live; leave it out and one is made."
        )
    if not https:
        raise ImproperlyConfigured("HTTPS must be true when TRADING_MODE=live: serve the desk through TLS (README, several hosts).")
    redis = urlsplit(redis_url)
    if redis.scheme != "rediss" and _is_remote(redis.hostname):
        raise ImproperlyConfigured("REDIS_URL must begin with rediss:// when TRADING_MODE=live and Redis is on another host.")
    database = urlsplit(database_url)
    ssl = parse_qs(database.query).get("sslmode", [""])[-1]
    if database.scheme != "sqlite" and _is_remote(database.hostname) and ssl not in ("require", "verify-ca", "verify-full"):
        raise ImproperlyConfigured(
            "DATABASE_URL must end with ?sslmode=verify-full (or require) when TRADING_MODE=live and PostgreSQL is on another host."
        )


def _is_remote(host: str | None) -> bool:
    """A host without a name, or a path, is a socket of this machine."""
    return bool(host) and host not in LOOPBACK and not str(host).lower().startswith(("%2f", "/"))


def kept_text(path: Path) -> str:
    """What a file of ours says, or an empty text."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def kept_secret(path: Path, *, length: int = 50) -> str:
    """A secret made once for this installation and readable by its owner only; two processes starting at once agree."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return kept_text(path) or _rewritten(path, length)
    with os.fdopen(handle, "w") as file:
        secret = secrets.token_urlsafe(length)
        file.write(secret)
    return secret


def _rewritten(path: Path, length: int) -> str:
    """An empty file is a start that was cut short."""
    secret = secrets.token_urlsafe(length)
    write_private(path, secret)
    return secret


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    draft.replace(path)
