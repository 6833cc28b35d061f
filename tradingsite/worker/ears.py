"""What the broker says, handed to whoever it is for, in the order of arrival. Called on the loop; nothing here waits."""

from __future__ import annotations

from collections.abc import Callable

from positions.domain.order_manager import OrderManager
from positions.domain.ports import CommissionReport, ErrorReport, ExecutionReport, LinkState, OrderReport, RecoveryHint, Tick
from tradingsite.worker.equity import Equity
from tradingsite.worker.marks import Marks

LinkHeard = Callable[[LinkState, str, RecoveryHint], None]


class Ears:
    """Implements `BrokerListener`. The parts are attached after the broker is made, because they need it themselves."""

    def __init__(self) -> None:
        self.manager: OrderManager | None = None
        self.marks: Marks | None = None
        self.equity: Equity | None = None
        self.link_heard: LinkHeard | None = None
        self.fill_heard: Callable[[], None] | None = None

    def on_link(self, state: LinkState, detail: str, hint: RecoveryHint) -> None:
        if self.link_heard is not None:
            self.link_heard(state, detail, hint)

    def on_order(self, report: OrderReport) -> None:
        if self.manager is not None:
            self.manager.on_order(report)

    def on_execution(self, report: ExecutionReport) -> None:
        if self.equity is not None:
            self.equity.on_execution(report)
        if self.manager is not None:
            self.manager.on_execution(report)
        if self.fill_heard is not None:
            self.fill_heard()

    def on_commission(self, report: CommissionReport) -> None:
        if self.equity is not None:
            self.equity.on_commission(report)
        if self.manager is not None:
            self.manager.on_commission(report)
        if self.fill_heard is not None:
            self.fill_heard()

    def on_error(self, report: ErrorReport) -> None:
        if self.manager is not None:
            self.manager.on_error(report)

    def on_tick(self, tick: Tick) -> None:
        if self.manager is not None:
            self.manager.on_tick(tick)
        if self.marks is not None:
            self.marks.on_tick(tick)

    def on_account(self, key: str, value: float) -> None:
        if self.equity is not None:
            self.equity.on_account(key, value)
