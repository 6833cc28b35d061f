"""Settings: one place, all from the environment, safe defaults for one machine with nothing installed.

A broken value raises ImproperlyConfigured with one sentence that names the variable; manage.py prints just that.
"""

import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from tradingsite.environment import MODES, Environment, check_live_surroundings, check_trading, database_url_problem, kept_secret, kept_text
from tradingsite.logs import logging_settings, password_of
from tradingsite.static_headers import add_headers

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

DATA_DIR = env.private_folder("DATA_DIR", BASE_DIR / "var")
SECRET_KEY = env.text("SECRET_KEY") or kept_secret(DATA_DIR / "secret_key")
DEBUG = env.flag("DEBUG")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
PORT = env.port("PORT", 8000)

# --- trading -----------------------------------------------------------------------------------------------------
TRADING_MODE = env.choice("TRADING_MODE", "simulated", MODES)
LIVE_TRADING_CONFIRMED = env.text("LIVE_TRADING_CONFIRMED")  # the live account's own id
IB_HOST = env.text("IB_HOST", "127.0.0.1")
IB_ACCOUNT = env.text("IB_ACCOUNT")
IB_CLIENT_ID = env.whole("IB_CLIENT_ID", 17, low=0, high=999_999)
IB_TIME_ZONE = env.time_zone("IB_TIME_ZONE", "UTC")  # of times that the gateway sends without one
IB_MARKET_DATA_LINES = env.whole("IB_MARKET_DATA_LINES", 100, low=1, high=5_000)  # streams that IB serves this login
# Without IB_PORT the simulated gateway of `manage.py desk` is meant, on the port it keeps; else IB Gateway's usual paper port.
_own_gateway_port = kept_text(DATA_DIR / "gateway" / "port") if TRADING_MODE == "simulated" else ""
IB_PORT = env.port("IB_PORT", int(_own_gateway_port or 4002))
# The same for the options-flow API and its built-in demo.
FLOW_API_URL = env.url("FLOW_API_URL", kept_text(DATA_DIR / "flowapi" / "url") or "http://127.0.0.1:4010/api/v1", ("http", "https"))
FLOW_API_KEY = env.text("FLOW_API_KEY") or kept_text(DATA_DIR / "flowapi" / "key")
# What the provider allows this key; the desk keeps within it in any minute, all its processes together.
FLOW_REQUESTS_PER_MINUTE = env.whole("FLOW_REQUESTS_PER_MINUTE", 30, low=5, high=100_000)
FLOW_HEAVY_REQUESTS_PER_MINUTE = env.whole("FLOW_HEAVY_REQUESTS_PER_MINUTE", 15, low=5, high=100_000)
DEMO_HISTORY = env.flag("DEMO_HISTORY", default=True)  # a first history of simulated trading on an empty database
# Days that rows stay in the database before they move to DATA_DIR/archive.
KEEP_BARS_DAYS = env.whole("KEEP_BARS_DAYS", 1100, low=40, high=36_500)
KEEP_PREDICTIONS_DAYS = env.whole("KEEP_PREDICTIONS_DAYS", 400, low=40, high=36_500)
KEEP_COMMANDS_DAYS = env.whole("KEEP_COMMANDS_DAYS", 1100, low=40, high=36_500)
BACKUP_DISK_PERCENT = env.whole("BACKUP_DISK_PERCENT", 20, low=1, high=90)  # what all copies of the database may take of their disk
ALARM_ESCALATE_SECONDS = 60 * env.whole("ALARM_ESCALATE_MINUTES", 5, low=1, high=1440)
check_trading(
    TRADING_MODE,
    account=IB_ACCOUNT,
    confirmed=LIVE_TRADING_CONFIRMED,
    flow_given=env.given("FLOW_API_URL"),
    ib_given=env.given("IB_PORT"),
)

# --- Redis: channel layer and Celery broker; may die at any time ---------------------------------------------------
REDIS_URL = env.url("REDIS_URL", kept_text(DATA_DIR / "redis" / "url") or "redis://127.0.0.1:6379/0", ("redis", "rediss"))

INSTALLED_APPS = [
    # The app only teaches `runserver` ASGI; in every other process it would be Twisted in memory: 25 MB and 0.4 s at each start.
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "tradingsite.static_storage.CollectedFilesConfig",
    "django.contrib.humanize",
    "channels",
    "django_htmx",
    "axes",
    "csp",
    "events.apps.EventsConfig",
    "positions.apps.PositionsConfig",
    "signals.apps.SignalsConfig",
    "tradingsite",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # pads at random against BREACH; WhiteNoise before it has its files compressed
    "tradingsite.middleware.PrivatePages",  # after WhiteNoise: static files are for caches
    "csp.middleware.CSPMiddleware",
    "tradingsite.middleware.NoNulls",  # before the session is looked up
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "tradingsite.urls"
ASGI_APPLICATION = "tradingsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "events.context.desk",
                "positions.accounts.account_frame",  # after it: nothing can be traded on an account that is only looked at
            ],
        },
    },
]

# --- database ------------------------------------------------------------------------------------------------------
_database_url = env.text("DATABASE_URL", f"sqlite:///{DATA_DIR / 'desk.sqlite3'}")
if _problem := database_url_problem(_database_url):
    raise ImproperlyConfigured(_problem)
DATABASES = {"default": environ.Env.db_url_config(_database_url)}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE and WAL: writers queue instead of failing; FULL: a commit survives power loss (0.26 ms).
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["OPTIONS"] = {"options": "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=10000"}
# PostgreSQL's own address, for the worker's lock alone, where DATABASE_URL is that of a pooler such as PgBouncer.
_lock_url = env.text("LOCK_DATABASE_URL")
if _lock_url and not _lock_url.startswith(("postgres://", "postgresql://")):
    raise ImproperlyConfigured("LOCK_DATABASE_URL must begin with postgres://.")
LOCK_DATABASE = environ.Env.db_url_config(_lock_url) if _lock_url else None
if LOCK_DATABASE and DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # Behind a pooler no cursor outlives its transaction, and no option can be given with the greeting (README: ALTER ROLE).
    DATABASES["default"] |= {"DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # No socket timeout: a subscription waits for ever by nature.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None, "max_connections": 1000}], "prefix": "desk"},
    }
}

# --- Celery: polling and housekeeping only; a task may be lost or run twice, so none carries an order or a decision ------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,  # more than twice the hard limit
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "health_check_interval": 10,
}
CELERY_VISIBILITY_TIMEOUT = 120
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # a Redis that is full, or read-only after a failover, is waited for like one that is away
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SOFT_TIME_LIMIT = 20
CELERY_TASK_TIME_LIMIT = 30
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_ETA_TASK_LIMIT = 100
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "tradingsite.beat_pulse:PulsingScheduler"

# --- who may come in -----------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 15}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "tradingsite.passwords.GuessablePasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = 3600  # seconds that the link of a first start is good for
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
# The password once more before acts that raise risk: always with real money, elsewhere when asked for.
STEP_UP = env.flag("STEP_UP") or TRADING_MODE == "live"
# The question before an approval; only the simulated market may do without it.
CONFIRM_APPROVALS = env.flag("CONFIRM_APPROVALS", default=True) or TRADING_MODE != "simulated"
STEP_UP_APPROVE_MINUTES = env.whole("STEP_UP_APPROVE_MINUTES", 15, low=1, high=15)
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_VERBOSE = False
# A failed try is written down with its form: never with what is a secret in it.
AXES_SENSITIVE_PARAMETERS = ["step_up_password", "old_password", "new_password1", "new_password2", "password1", "password2"]
AXES_LOCKOUT_TEMPLATE = "429.html"

# --- the browser's rules --------------------------------------------------------------------------------------------
HTTPS = env.flag("HTTPS")  # set when the desk is served through TLS; the one-machine desk is plain HTTP on the loopback
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS", [])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # probes speak plain HTTP to the process itself
# The __Host- prefix pins a cookie to this host; browsers take it only with Secure.
SESSION_COOKIE_NAME = "__Host-desk-session" if HTTPS else "desk-session"
CSRF_COOKIE_NAME = "__Host-desk-csrf" if HTTPS else "desk-csrf"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        # The hash is the one fixed <style> that lightweight-charts adds for its attribution logo.
        "style-src": ["'self'", "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

if TRADING_MODE == "live":
    check_live_surroundings(
        debug=DEBUG, hosts=ALLOWED_HOSTS, secret_key=SECRET_KEY, https=HTTPS, redis_url=REDIS_URL, database_url=_database_url
    )

# --- language, time, files -----------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = "America/New_York"  # what pages show; everything stored is UTC
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = env.folder("STATIC_ROOT", DATA_DIR / "staticfiles")
STATICFILES_DIRS = [
    BASE_DIR / "static",
    # Front-end packages, by their lock file (`npm ci`); absent until then.
    *(
        (prefix, folder)
        for prefix, folder in (
            ("vendor/tabler/css", BASE_DIR / "node_modules/@tabler/core/dist/css"),
            ("vendor/tabler/js", BASE_DIR / "node_modules/@tabler/core/dist/js"),
            ("vendor/charts", BASE_DIR / "node_modules/lightweight-charts/dist"),
        )
        if folder.is_dir()
    ),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "tradingsite.static_storage.HashedStorage"},
}
WHITENOISE_ADD_HEADERS_FUNCTION = add_headers
WHITENOISE_MAX_AGE = 3600  # hashed names are served as immutable; this is for the rest

LOGGING = logging_settings(
    style=env.choice("LOG_FORMAT", "plain", ("plain", "json")),
    level=env.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")).upper(),
    secrets=[
        SECRET_KEY,
        FLOW_API_KEY,
        password_of(REDIS_URL),
        password_of(_database_url),
        password_of(_lock_url),
        env.text("DEMO_PASSWORD"),
    ],
)
