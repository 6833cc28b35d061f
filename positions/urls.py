"""Addresses of positions, orders and P&L. An id is our own or the broker's: short, and never HTML or NUL."""

from django.urls import path, register_converter

from positions import views_accounts, views_alarms, views_broker, views_exits, views_orders, views_pnl, views_positions, views_wishes


class IdConverter:
    """An id of a position or an order."""

    regex = r"[A-Za-z0-9_.:-]{1,40}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IdConverter, "id")

app_name = "positions"
urlpatterns = [
    path("account", views_accounts.account_choice, name="account"),
    path("positions/", views_positions.position_list, name="list"),
    path("positions/<id:position_id>/", views_positions.position_detail, name="detail"),
    path("positions/<id:position_id>/bars.json", views_positions.position_bars, name="bars"),
    path("positions/<id:position_id>/close", views_wishes.close, name="close"),
    path("positions/<id:position_id>/stop", views_wishes.stop, name="stop"),
    path("positions/<id:position_id>/target", views_wishes.target, name="target"),
    path("positions/<id:position_id>/exits/<slug:rule>", views_exits.exit_rule, name="exit_rule"),
    path("tasks/", views_exits.tasks, name="tasks"),
    path("tasks/<int:pk>/done", views_exits.task_done, name="task_done"),
    path("alarms/", views_alarms.alarms, name="alarms"),
    path("alarms/<int:pk>/acknowledge", views_alarms.alarm_acknowledge, name="alarm_acknowledge"),
    path("error-trades/", views_alarms.error_trade_list, name="error_trades"),
    path("positions/<id:position_id>/error", views_alarms.error_trade_mark, name="error_trade_mark"),
    path("positions/<id:position_id>/error/settle", views_alarms.error_trade_settle, name="error_trade_settle"),
    path("orders/", views_orders.order_list, name="orders"),
    path("orders/<id:order_id>/", views_orders.order_detail, name="order_detail"),
    path("orders/<id:order_id>/cancel", views_wishes.cancel, name="order_cancel"),
    path("broker/", views_broker.broker, name="broker"),
    path("broker/rows", views_broker.broker_rows, name="broker_rows"),
    path("broker/adopt", views_broker.adopt, name="broker_adopt"),
    path("broker/close", views_broker.close_holding, name="broker_close"),
    path("broker/release", views_broker.release, name="broker_release"),
    path("broker/acknowledge", views_broker.acknowledge, name="broker_acknowledge"),
    path("broker/doubt", views_broker.resolve_doubt, name="broker_doubt"),
    path("broker/statements/", views_broker.statement_check, name="broker_statement_check"),
    path("broker/statements/<int:pk>/", views_broker.statement, name="broker_statement"),
    path("pnl/", views_pnl.pnl, name="pnl"),
    path("pnl/equity.json", views_pnl.equity_json, name="pnl_equity"),
    path("pnl/export.csv", views_pnl.pnl_csv, name="pnl_csv"),
]
