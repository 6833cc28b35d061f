"""The ASGI application: HTTP by Django, the one WebSocket by Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # loads the apps; what is imported next needs their models

from events.routing import websocket_application  # noqa: E402

application = ProtocolTypeRouter({"http": django_application, "websocket": websocket_application})
