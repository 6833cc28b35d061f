"""What stories about the worker share."""

from pathlib import Path

import pytest

from positions.models import FillRecord
from signals.demo.history_rows import make_history
from tradingsite.testing.live import LiveGateway
from tradingsite.tests.trading_story import GatewayTruth


@pytest.fixture
def truth(live_gateway: LiveGateway) -> GatewayTruth:
    """The gateway's own word on what happened."""
    return GatewayTruth(live_gateway)


@pytest.fixture
def week(tmp_path: Path, db: None) -> None:
    """A week of trading by the real order manager and tracker."""
    make_history(seed=7, state_dir=tmp_path, days=6, client_id=17, say=lambda text: None)
    assert FillRecord.objects.count() > 10
