"""Event classes: what they refuse, what they fill in, and that JSON brings them back whole."""

import copy
import dataclasses
import json
import math
import pickle
import threading
import typing
import uuid
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import api, order, position, system  # noqa: F401 - imported for the classes they declare
from events.base import BadField, BaseEvent, EventError, MissingField, UnknownEventType, UnknownField, event_class, event_classes, new_id
from events.bus import EventBus
from events.clock import unix_milliseconds
from events.encoding import to_json
from events.market import PriceEvent
from events.order import FillEvent, OrderSide, OrderState, OrderType

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
times = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=4)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value a field of the declared type may hold."""
    parts = [part for part in typing.get_args(hint) if part is not type(None)] if type(None) in typing.get_args(hint) else [hint]
    kind = typing.get_origin(parts[0]) or parts[0]
    strategies: dict[Any, st.SearchStrategy[Any]] = {
        str: texts,
        int: st.integers(-(2**53), 2**53),
        bool: st.booleans(),
        float: numbers,
        datetime: times,
        dict: objects,
    }
    if kind is list:
        item = typing.get_args(parts[0])[0]
        found = st.lists(texts if item is str else objects, max_size=3)
    elif issubclass(kind, Enum):
        found = st.sampled_from(list(kind))
    else:
        found = strategies[kind]
    return found if parts[0] is hint else st.none() | found


@st.composite
def any_event(draw: st.DrawFn) -> BaseEvent:
    kind = draw(st.sampled_from(event_classes()))
    hints = typing.get_type_hints(kind)
    names = draw(st.sets(st.sampled_from(kind.field_names())))
    return kind(**{name: draw(values_of(hints[name])) for name in sorted(names)})


@given(any_event())
def test_every_event_comes_back_from_json_as_it_was(event: BaseEvent) -> None:
    row = event.to_dict()
    assert BaseEvent.from_dict(json.loads(json.dumps(row, allow_nan=False))) == event
    assert row["event_type"] == event.event_type


@given(any_event())
def test_the_journals_json_says_the_same_as_to_dict(event: BaseEvent) -> None:
    assert json.loads(to_json(event)) == event.to_dict()


def test_every_class_of_the_five_modules_is_in_the_registry() -> None:
    assert len(event_classes()) >= 27
    assert event_class("FillEvent") is FillEvent
    with pytest.raises(UnknownEventType):
        event_class("NoSuchEvent")


@pytest.mark.parametrize("kind", event_classes(), ids=lambda kind: kind.__name__)
def test_an_event_made_with_nothing_reads_its_defaults(kind: type[BaseEvent]) -> None:
    event = kind()
    assert len(event.event_id) == 36
    assert event.timestamp.tzinfo is UTC
    assert event.metadata == {}
    assert kind.from_dict(event.to_dict()) == event
    assert event_class(kind.__name__) is kind


def test_two_events_share_neither_id_nor_metadata() -> None:
    one, two = PriceEvent(symbol="A"), PriceEvent(symbol="A")
    assert one.event_id != two.event_id
    one.metadata["seen"] = True
    assert two.metadata == {}


def test_ids_and_metadata_stay_the_same_once_read() -> None:
    event = PriceEvent()
    assert event.event_id == event.event_id
    assert event.metadata is event.metadata
    assert hash(event) == hash(copy.copy(event))
    assert pickle.loads(pickle.dumps(event)) == event


def test_threads_that_read_an_id_first_at_the_same_moment_agree() -> None:
    for _ in range(50):
        event, seen, gate = PriceEvent(), [], threading.Barrier(4)

        def read(event: PriceEvent = event, seen: list[str] = seen, gate: threading.Barrier = gate) -> None:
            gate.wait()
            seen.append(event.event_id)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(seen)) == 1


def test_the_time_of_an_event_is_when_it_was_made_not_when_it_was_read() -> None:
    before = datetime.now(UTC)
    event = PriceEvent()
    after = datetime.now(UTC)
    assert before <= event.timestamp <= after


def test_an_event_cannot_be_changed() -> None:
    event = PriceEvent(symbol="A", price=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.price = 2.0  # type: ignore[misc]
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        event.colour = "red"  # type: ignore[attr-defined]
    assert dataclasses.replace(event, price=2.0).event_id == event.event_id


def test_positional_and_undeclared_fields_are_refused() -> None:
    with pytest.raises(TypeError):
        PriceEvent("AAPL")  # type: ignore[misc]
    with pytest.raises(UnknownField, match="colour"):
        PriceEvent(colour="red")
    with pytest.raises(UnknownField, match="colour"):
        PriceEvent.from_dict({"event_type": "PriceEvent", "colour": "red"})
    with pytest.raises(AttributeError):
        _ = PriceEvent().colour


def test_naive_times_are_refused_and_others_are_kept_in_utc() -> None:
    with pytest.raises(BadField, match="time zone"):
        PriceEvent(timestamp=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(BadField):
        PriceEvent(price_time=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(BadField):
        PriceEvent.from_dict({"timestamp": "2026-01-01T00:00:00"})
    eastern = datetime(2026, 1, 1, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert PriceEvent(price_time=eastern).price_time == eastern
    assert PriceEvent(price_time=eastern).to_dict()["price_time"] == "2026-01-01T14:30:00+00:00"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_in_a_field_and_becomes_null_in_free_data(value: float) -> None:
    with pytest.raises(BadField):
        PriceEvent(price=value)
    with pytest.raises(BadField):
        PriceEvent.from_dict({"price": value})
    event = PriceEvent(metadata={"feature": value, "list": [value]})
    assert event.to_dict()["metadata"] == {"feature": None, "list": [None]}
    assert json.loads(to_json(event))["metadata"] == {"feature": None, "list": [None]}


@pytest.mark.parametrize(
    "row",
    [
        {"price": "150"},
        {"price": True},
        {"symbol": 5},
        {"symbol": None},
        {"metadata": []},
        {"price_time": 5},
        {"price_time": "yesterday"},
        {"event_type": "FillEvent"},
        {"event_type": "Nothing"},
    ],
)
def test_a_row_that_does_not_fit_the_class_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(EventError):
        PriceEvent.from_dict(row)


def test_enums_come_back_as_enums_and_unknown_words_are_refused() -> None:
    fill = FillEvent(status=OrderState.FILLED, order_type=OrderType.LIMIT, side=OrderSide.SELL, fill_quantity=100, fill_price=150.25)
    back = BaseEvent.from_dict(fill.to_dict())
    assert isinstance(back, FillEvent)
    assert back.side is OrderSide.SELL
    with pytest.raises(BadField):
        FillEvent.from_dict(fill.to_dict() | {"status": "nonsense"})


def test_garbage_text_and_huge_numbers_are_stored_in_a_form_every_database_takes() -> None:
    event = PriceEvent(metadata={"nul": "a\x00b", "surrogate": "x\ud800y", "huge": 2**80, "backslash": "\\u0000"})
    metadata = json.loads(to_json(event))["metadata"]
    assert metadata == {"nul": "a\ufffdb", "surrogate": "x\ufffdy", "huge": 2**80, "backslash": "\\u0000"}


def test_ids_are_proper_uuids_that_begin_with_the_time() -> None:
    before = unix_milliseconds()
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    for text in ids:
        found = uuid.UUID(text)
        assert (str(found), found.version, found.variant) == (text, 7, uuid.RFC_4122)
        assert before <= found.int >> 80 <= unix_milliseconds()
    moments = [text[:13] for text in ids]
    assert moments == sorted(moments)


def test_a_key_that_is_no_text_becomes_text() -> None:
    event = PriceEvent(metadata={1: "one", None: "none"})
    assert json.loads(to_json(event))["metadata"] == event.to_dict()["metadata"] == {"1": "one", "None": "none"}


@dataclasses.dataclass
class PlainEvent(BaseEvent):  # type: ignore[misc]
    ticker: str = ""
    value: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(kw_only=True)
class PlainNeedyEvent(PlainEvent):  # type: ignore[misc]
    needed: str

    def __post_init__(self) -> None:
        self.tags.append(f"made of {self.needed}")


def test_a_plain_dataclass_below_an_event_is_an_event() -> None:
    event = PlainEvent(ticker="AAPL", value=1.5)
    assert (event.ticker, event.value, event.tags, event.source, event.event_type) == ("AAPL", 1.5, [], None, "PlainEvent")
    assert event.timestamp.tzinfo is not None
    assert len(event.event_id) == 36
    assert PlainEvent.from_dict(event.to_dict()) == event
    assert BaseEvent.from_dict(json.loads(json.dumps(event.to_dict()))).to_dict() == event.to_dict()
    assert {event: "hashable"}[event]
    assert "AAPL" in repr(event)
    assert copy.deepcopy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event
    for refused in (lambda: PlainEvent(colour="red"), lambda: PlainEvent(value=float("nan")), lambda: setattr(event, "value", 2.0)):
        with pytest.raises((UnknownField, BadField, dataclasses.FrozenInstanceError)):
            refused()
    needy = PlainNeedyEvent(needed="wood", ticker="X")
    assert needy.tags == ["made of wood"]
    assert BaseEvent.from_dict(needy.to_dict()).event_id == needy.event_id
    with pytest.raises(MissingField, match="needed"):
        PlainNeedyEvent(ticker="X")


async def test_the_bus_delivers_a_plain_dataclass_by_inheritance() -> None:
    bus, heard = EventBus(), []
    await bus.subscribe(PlainEvent, heard.append)
    await bus.subscribe(BaseEvent, heard.append)
    needy = PlainNeedyEvent(needed="wood")
    await bus.emit(needy)
    assert heard == [needy, needy]


@pytest.mark.parametrize("kind", [PriceEvent, FillEvent])
def test_an_event_can_be_copied_and_pickled(kind: type[BaseEvent]) -> None:
    event = kind(symbol="AAPL")
    assert copy.copy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event


def test_an_event_has_no_source_until_somebody_names_one() -> None:
    assert BaseEvent().source is None
    assert PlainEvent().to_dict()["source"] is None
    assert PriceEvent(symbol="A").source == "market"
