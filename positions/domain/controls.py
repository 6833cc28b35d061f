"""The table of risk controls: what each one is, what implements it, which test proves it, or why it does not apply.

A test checks that every function and every test named here exists, and that no check of the gate is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class When(StrEnum):
    """Before an order leaves, while it works, after it has ended."""

    PRE = "pre-trade"
    AT = "at-trade"
    POST = "post-trade"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """`by` are dotted names (module:attribute), `tests` are "file::function"; `not_applicable` is the reason when nothing does it."""

    when: When
    name: str
    by: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    not_applicable: str = ""


_RISK = "positions.domain.risk:"
_PACE = "positions.domain.risk_pace:"
_MARKET = "positions.domain.risk_market:"
_GATE = "positions/tests/domain/test_risk.py::test_each_refusal_has_its_code_and_says_what_to_do"
_MANAGER = "positions/tests/domain/test_order_manager.py::"
_LAST_LOOK = "positions/tests/domain/test_last_look_of_an_exit.py::"
_STORY = "tradingsite/tests/test_worker_story.py::"
_LOCKS = "positions/tests/domain/test_locks.py::"
_LIMITS = "positions/tests/test_limits_admin.py::"
_STEP_UP = "tradingsite/tests/test_step_up.py::"
_CARD = "signals/tests/pages/test_gate_on_the_card.py::"
_ALARMS = "tradingsite/tests/test_worker_alarms.py::"
_SWITCHES = "tradingsite/tests/test_risk_switches.py::"


def _pre(name: str, *by: str, tests: tuple[str, ...] = (_GATE,)) -> Control:
    return Control(when=When.PRE, name=name, by=by, tests=tests)


def _at(name: str, *by: str, tests: tuple[str, ...]) -> Control:
    return Control(when=When.AT, name=name, by=by, tests=tests)


def _post(name: str, *by: str, tests: tuple[str, ...]) -> Control:
    return Control(when=When.POST, name=name, by=by, tests=tests)


CONTROLS: tuple[Control, ...] = (
    _pre(
        "Authorised approver with the right role",
        "events.roles:requires",
        tests=(f"{_SWITCHES}test_a_trader_sees_the_lock_and_cannot_clear_it",),
    ),
    _pre(
        "Password again before approving, adding, flattening, releasing and editing limits",
        "events.step_up:step_up",
        tests=(
            f"{_STEP_UP}test_live_mode_cannot_do_without_it",
            f"{_STEP_UP}test_an_approval_asks_scripts_with_a_403_that_says_where_to_go",
            f"{_STEP_UP}test_limits_and_locks_ask_and_the_limit_form_comes_through_whole",
            f"{_STEP_UP}test_what_lowers_risk_never_asks",
        ),
    ),
    _pre(
        "The whole gate on the card, before anybody approves",
        "signals.gate:refusals_of",
        tests=(
            f"{_CARD}test_what_the_worker_would_refuse_the_card_and_the_decision_refuse",
            f"{_CARD}test_every_check_of_the_gate_but_the_approvals_own_age_is_asked",
        ),
    ),
    _pre(
        "Signal readable, of a known shape and not contradicting itself",
        "signals.domain.predictions:parse_prediction",
        tests=("signals/tests/domain/test_predictions.py", "signals/tests/test_answers_fuzzed.py"),
    ),
    Control(
        when=When.PRE,
        name="Signature of a signal",
        not_applicable="The options-flow API signs nothing; it is asked by us over TLS with a key, and nobody can push a signal in.",
    ),
    _pre(
        "Confidence floor and age of a signal",
        "signals.domain.judgement:judge",
        "signals.objections:data_is_recent",
        tests=(
            "signals/tests/domain/test_judgement.py::test_a_confidence_equal_to_the_threshold_counts",
            "signals/tests/domain/test_judgement.py::test_data_older_than_the_limit_is_stale",
        ),
    ),
    _pre(
        "Worst loss of the entry in money, and the gain in multiples of it, on the card and in the approval",
        "signals.proposal:propose",
        tests=(f"{_CARD}test_the_approval_keeps_what_was_shown",),
    ),
    _pre(
        "Trading state, in the web",
        "signals.objections:trading_allows_it",
        tests=("signals/tests/pages/test_approval.py::test_whatever_stands_against_it_is_refused_and_the_card_says_the_same",),
    ),
    _pre("Trading state, in the worker", f"{_RISK}trading_is_active"),
    _pre(
        "Trading state, between the commit and the socket",
        "positions.domain.order_core:OrderCore.send",
        "tradingsite.worker.worker:Worker.before_send",
        "tradingsite.worker.guard:Guard.last_look",
        tests=(
            f"{_MANAGER}test_a_halt_between_the_approval_and_the_socket_sends_nothing",
            f"{_MANAGER}test_the_last_look_may_still_refuse_and_is_not_asked_about_exits",
        ),
    ),
    _pre(
        "An exit is no larger than what is held, between the commit and the socket",
        "positions.domain.order_fitting:OrderFitting.fit",
        "tradingsite.worker.worker:Worker.before_send",
        tests=(
            f"{_LAST_LOOK}test_an_exit_whose_stop_filled_while_it_was_written_never_leaves",
            f"{_LAST_LOOK}test_a_fill_heard_while_the_exit_waits_for_its_turn_to_be_sent_counts_too",
            "tradingsite/tests/test_before_send.py::test_an_exit_is_looked_at_again_when_more_was_heard",
        ),
    ),
    _pre("Numbers finite, positive and whole", f"{_RISK}numbers_make_sense"),
    _pre("Instrument known, contract pinned", f"{_RISK}symbol_is_known"),
    _pre("Restricted list", f"{_RISK}symbol_is_allowed"),
    _pre("Clock within two seconds of the broker's and the database's", f"{_RISK}clocks_agree"),
    _pre("Session open, halted symbol", f"{_RISK}session_is_open", f"{_RISK}quote_is_fresh"),
    _pre("No new entry near the close", f"{_MARKET}close_is_not_near"),
    _pre("Largest quantity of one order", f"{_RISK}quantity_is_within"),
    _pre("Largest value of one order", f"{_RISK}notional_is_within"),
    Control(when=When.PRE, name="Limits per asset class", not_applicable="The desk trades US stocks only."),
    _pre("Exposure of one symbol, working entries counted as filled", f"{_RISK}position_notional_is_within"),
    _pre("Open risk of one symbol", f"{_MARKET}symbol_risk_is_within"),
    _pre("Open risk of the book", f"{_RISK}risk_is_within"),
    _pre("Limits of one symbol, source, strategy or account", f"{_MARKET}scopes_are_within"),
    _pre("Most positions", f"{_RISK}positions_are_not_too_many"),
    _pre(
        "Capital threshold from the broker's what-if; no what-if, no send",
        "positions.domain.margin:margin_is_within",
        tests=(_GATE, "positions/tests/domain/test_risk.py::test_margin_of_working_entries_counts_as_taken"),
    ),
    _pre("Price collar", f"{_RISK}price_is_in_the_collar"),
    _pre("Stop and target on their sides", f"{_RISK}levels_are_on_their_sides"),
    _pre("Quote fresh, live and not crossed", f"{_RISK}quote_is_fresh"),
    _pre(
        "Reduce-only never increases",
        f"{_RISK}reduces_only",
        tests=("positions/tests/domain/test_risk.py::test_an_exit_leaves_whatever_the_trading_state_and_the_quote",),
    ),
    _pre("No entry against what is held", f"{_RISK}not_opposite_to_what_we_hold"),
    _pre("No entry that trades away shares held outside the desk", f"{_MARKET}does_not_trade_away_what_others_hold"),
    _pre("Same signal or same intent once", f"{_RISK}not_a_duplicate"),
    _pre("Same shape within moments", f"{_PACE}not_the_same_shape_again"),
    _pre(
        "Repeats per symbol and source lock until cleared",
        f"{_PACE}repeats_are_within",
        "positions.domain.locks:lock_after",
        tests=(_GATE, f"{_LOCKS}test_too_many_repeats_lock_their_symbol_until_cleared"),
    ),
    _pre("Entries and money of one day", f"{_PACE}day_is_within"),
    _pre("Working orders per contract and side", f"{_MARKET}working_orders_are_within"),
    _pre("Message rate", "positions.broker.pacer:Pacer", tests=("positions/tests/broker/test_pacer.py",)),
    _pre("Approval still valid", f"{_RISK}not_expired"),
    _pre("Price drift since the prediction", "signals.objections:drift_is_within", tests=("signals/tests/pages/test_approval.py",)),
    _pre(
        "What the card showed still holds when the order is written: price, position, session, limits, risk",
        "positions.domain.shown:is_still_as_shown",
        "signals.approval:shown_at_approval",
        tests=(
            "positions/tests/domain/test_shown.py::test_what_moved_is_named_from_what_to_what",
            "tradingsite/tests/test_worker_approvals.py::test_a_position_that_moved_since_the_card_refuses_the_entry",
        ),
    ),
    _pre(
        "Losing streaks and drawdown pause entries",
        "positions.domain.locks:due_locks",
        f"{_MARKET}nothing_is_locked",
        tests=(
            f"{_LOCKS}test_a_losing_streak_locks_its_symbol_first_and_then_the_book",
            f"{_LOCKS}test_a_drawdown_locks_until_a_person_clears_it",
        ),
    ),
    _pre(
        "Daily and weekly loss lock",
        f"{_RISK}daily_loss_is_within",
        "positions.domain.locks:due_locks",
        tests=(
            f"{_LOCKS}test_a_days_loss_locks_until_the_next_session_and_each_further_step_anew",
            f"{_LOCKS}test_a_weeks_loss_locks_until_the_next_week",
        ),
    ),
    _pre("An entry carries a stop", f"{_RISK}entry_has_a_stop"),
    _pre(
        "Account pinned, mode matches it",
        f"{_MARKET}account_is_the_pinned_one",
        "tradingsite.worker.mode:mode_refusal",
        tests=(_GATE, "tradingsite/tests/test_worker_mode.py"),
    ),
    _pre("Link up", f"{_RISK}link_is_up"),
    _pre("Books reconciled", f"{_RISK}books_are_reconciled"),
    _at(
        "Intent committed before it is sent",
        "positions.domain.order_core:OrderCore.send",
        tests=(f"{_STORY}test_a_worker_killed_between_claim_and_answer_makes_exactly_one_order",),
    ),
    _at(
        "Silence becomes doubt, never a resend by time",
        "positions.domain.order_manager:OrderManager.tick",
        f"{_RISK}symbol_is_not_in_doubt",
        tests=(f"{_MANAGER}test_silence_is_doubt_and_doubt_is_never_resent_by_time",),
    ),
    _at(
        "No submit or modify on a degraded link",
        "positions.broker.ib:IbBroker.send",
        tests=(f"{_STORY}test_while_ib_is_away_entries_wait_and_data_comes_back_after_it",),
    ),
    _at(
        "No crossing of our own orders",
        f"{_MARKET}does_not_cross_our_own",
        tests=(_GATE, "positions/tests/domain/test_risk.py::test_a_resting_target_above_the_entry_does_not_cross_it"),
    ),
    _at(
        "Stops cover what is held",
        "positions.domain.exit_keeper:ExitKeeper",
        tests=(f"{_MANAGER}test_a_filled_entry_is_an_open_position_with_a_resting_stop",),
    ),
    _at(
        "A halt takes working entries back and keeps protection",
        "tradingsite.worker.guard:Guard.enforce_halt",
        "positions.domain.order_manager:OrderManager.cancel_entries",
        tests=(f"{_MANAGER}test_cancelling_entries_leaves_the_protection_of_what_is_held",),
    ),
    _at(
        "Flatten cancels entries first and keeps protection until the exit fills",
        "positions.domain.order_manager:OrderManager.flatten_all",
        tests=(f"{_MANAGER}test_flatten_cancels_entries_and_sells_positions",),
    ),
    _at(
        "Halt and release without Redis and Celery",
        "tradingsite.switching:switch_to",
        tests=(f"{_SWITCHES}test_halt_and_resume_at_the_console_are_written_with_reason_and_name",),
    ),
    _at("One worker only", "positions.lease:WorkerLock", tests=("positions/tests/test_lease.py",)),
    _at(
        "In-flight timer: no answer, then query, then an alarm",
        "positions.domain.order_manager:OrderManager.tick",
        "tradingsite.worker.alarms:Alarms.look",
        tests=(
            f"{_MANAGER}test_filled_without_executions_becomes_doubt_and_the_query_settles_it",
            f"{_ALARMS}test_a_doubt_that_reconciling_does_not_settle_needs_a_person",
        ),
    ),
    _at(
        "A trailing stop only ratchets, and says why it moved",
        "positions.domain.exit_rules:evaluate",
        tests=(
            "positions/tests/domain/test_exit_rules.py::test_on_any_path_the_stop_only_tightens_stays_off_the_market_and_keeps_its_pace",
            "positions/tests/domain/test_exit_runner.py::test_a_trailing_stop_modifies_the_one_order_and_says_why",
        ),
    ),
    _at(
        "Without a fresh, sane price no entry leaves and no price rule runs",
        f"{_RISK}quote_is_fresh",
        "positions.domain.exit_runner:ExitRunner.run_once",
        tests=(_GATE, "positions/tests/domain/test_exit_runner.py::test_a_time_stop_closes_at_its_minute_even_without_a_price"),
    ),
    Control(
        when=When.AT,
        name="Pause after a jump of the price",
        not_applicable="Nothing enters by itself: a jump moves the price out of the drift limit or the collar of a card that a person "
        "still has to approve, and a stop at the broker must not be paused.",
    ),
    _at(
        "While the link is away: entries end by their own life, stops and targets stay at the broker until cancelled",
        "positions.domain.order_entries:OrderEntries.cancel_stale",
        tests=(f"{_MANAGER}test_an_entry_that_rests_too_long_is_cancelled",),
    ),
    _at(
        "Alarm that needs an acknowledgement, with escalation",
        "tradingsite.worker.alarms:Alarms.look",
        "positions.alarms:acknowledge",
        tests=(
            "positions/tests/test_alarms.py::test_an_alarm_that_ended_waits_until_somebody_has_acknowledged_it",
            "positions/tests/test_alarms.py::test_nobody_acknowledging_makes_it_urgent",
            f"{_ALARMS}test_a_lost_link_is_an_alarm_after_half_a_minute_and_survives_a_restart",
        ),
    ),
    _post("Executions recorded at once and once", "positions.store:project", tests=("positions/tests/test_store.py",)),
    _post(
        "Reconcile at start, reconnect and every thirty seconds",
        "positions.domain.order_manager:OrderManager.reconcile",
        tests=(f"{_STORY}test_a_fill_learned_after_a_restart_is_recorded_once",),
    ),
    _post(
        "Exposure beyond its limits makes trading reduce-only",
        "tradingsite.worker.guard:Guard.look",
        tests=("tradingsite/tests/test_worker_guard.py::test_a_book_beyond_its_limits_makes_trading_reduce_only",),
    ),
    _post(
        "Commissions and corrections are new events", "positions.domain.ledger:FillLedger", tests=("positions/tests/domain/test_order.py",)
    ),
    _post(
        "Limit edits kept with before and after",
        "positions.limit_changes:note",
        tests=(f"{_LIMITS}test_an_edit_is_kept_with_before_after_who_and_why",),
    ),
    _post(
        "Statement of the broker compared to the cent",
        "positions.statement_check:check_statement",
        tests=("positions/tests/test_views_broker.py::test_a_statement_that_says_the_same_agrees_to_the_cent",),
    ),
    _post(
        "Splits, assignments and new symbols overnight become tasks",
        "positions.domain.overnight:changes",
        tests=("positions/tests/domain/test_overnight.py",),
    ),
    _post(
        "Error trades: marked, source and symbol frozen, listed with what they cost",
        "positions.error_trades:mark",
        "positions.error_trades:settle",
        tests=("positions/tests/test_error_trades.py::test_marking_freezes_symbol_and_source_and_settling_opens_them",),
    ),
    _post(
        "Weekly review of limit changes, overrides, refusals, rejects, halts, locks, error trades and alarms",
        "tradingsite.review:lines_of",
        tests=("tradingsite/tests/test_review.py::test_a_week_lists_every_kind_and_only_its_own",),
    ),
    _post(
        "The journal rebuilds the tables, every night and before a change is deployed",
        "tradingsite.replay:verify",
        tests=("tradingsite/tests/test_replay.py::test_a_week_of_trading_folds_to_the_live_rows",),
    ),
    _post(
        "A copy of the database each hour, and its restore",
        "tradingsite.backup:keep",
        tests=("tradingsite/tests/test_worker_story.py::test_a_backup_taken_while_it_trades_replays_to_the_same_books",),
    ),
    Control(
        when=When.POST,
        name="Records sealed daily",
        not_applicable="A key on the same machine seals nothing against its owner; the nightly replay notices a changed row or event.",
    ),
)
