"""The one place that names the IB library: `ib_insync`, or its maintained continuation `ib_async` where that is installed instead.

The two cannot share a virtual environment. Both read the event loop at import, so only the adapter imports this module,
in the main thread. Everything taken from the library is listed here.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from importlib.util import find_spec
from typing import Any

LIBRARY = "ib_insync" if find_spec("ib_insync") else "ib_async"

_import_loop: asyncio.AbstractEventLoop | None = None  # kept, so that it is never collected unclosed in the middle of the work

try:  # eventkit asks the policy for a loop while it is imported
    asyncio.get_running_loop()
except RuntimeError:
    policy = asyncio.get_event_loop_policy()
    if getattr(getattr(policy, "_local", None), "_loop", None) is None:
        _import_loop = policy.new_event_loop()
        policy.set_event_loop(_import_loop)

_library: Any = import_module(LIBRARY)
_wrapper: Any = import_module(f"{LIBRARY}.wrapper")
_client: Any = import_module(f"{LIBRARY}.client")

IB: Any = _library.IB
Client: Any = _client.Client
Wrapper: Any = _wrapper.Wrapper
IbContract: Any = _library.Contract
IbStock: Any = _library.Stock
IbOrder: Any = _library.Order

__all__ = ["IB", "LIBRARY", "Client", "IbContract", "IbOrder", "IbStock", "Wrapper"]
