"""The ASGI application: HTTP by Django, the one WebSocket by Channels."""

import logging
import os
import sys
from threading import Thread
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # loads the apps; what is imported next needs their models

from events.routing import websocket_application  # noqa: E402
from signals.session import load_calendar  # noqa: E402

os.umask(0o077)  # what the web process writes is for its owner alone

application = ProtocolTypeRouter({"http": django_application, "websocket": websocket_application})

Thread(target=load_calendar, name="calendar", daemon=True).start()  # every page shows the session; the first one need not wait


def _end_with_the_server() -> None:
    """Let daphne's process end when its loop has ended.

    A request that was in a thread at that moment waits there for a loop that will never turn again, and Python waits for its
    threads before it ends: the process would hold on for ever, without a port. Its transaction rolls back with its connection.
    """
    from twisted.internet import reactor

    def end() -> None:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    cast(Any, reactor).addSystemEventTrigger("after", "shutdown", end)  # its typed interface is not what it takes


if "daphne.server" in sys.modules:
    from tradingsite.body_cap import cap_bodies

    cap_bodies()
    _end_with_the_server()
