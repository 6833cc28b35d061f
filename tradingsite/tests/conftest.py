"""What stories about the worker share."""

import pytest

from tradingsite.testing.live import LiveGateway
from tradingsite.tests.trading_story import GatewayTruth


@pytest.fixture
def truth(live_gateway: LiveGateway) -> GatewayTruth:
    """The gateway's own word on what happened."""
    return GatewayTruth(live_gateway)
