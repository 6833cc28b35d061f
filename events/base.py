"""What every event is: a frozen, keyword-only record that knows when it happened and what it belongs to.

An event class is declared with `@event`, which makes it a frozen slotted dataclass and puts it in the registry that
`event_class()` and `from_dict()` look names up in. A journaled event has every field from the start, because it is written
whole. A tick fills in only its time: an id, a dict or a default nobody passed is put there when somebody reads it.

A subclass under a plain `@dataclass` is an event too, with keyword-only fields: its name is known from its
first instance on, it has a `__dict__`, and may leave out defaults under `@dataclass(kw_only=True)`.

    EventError
    ├── UnknownField       a field the class does not declare
    ├── MissingField       a field without a default that nobody passed
    ├── UnknownEventType   a name no class has
    ├── BadField           a value of the wrong type, a naive datetime, NaN or an infinity
    └── WrongLoop          a bus used outside the event loop it belongs to (`bus.py`)
"""

from __future__ import annotations

import dataclasses
import os
import threading
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from events.clock import unix_milliseconds, utc_now
from events.fields import BadField, EventError, Reader, aware, finite, plain, reader_for

__all__ = [
    "BadField",
    "BaseEvent",
    "EventError",
    "MissingField",
    "UnknownEventType",
    "UnknownField",
    "event",
    "event_class",
    "event_classes",
    "new_id",
]


class UnknownField(EventError, TypeError):
    """A field the event class does not declare."""


class MissingField(EventError, TypeError):
    """A field without a default that nobody passed."""


class UnknownEventType(EventError, LookupError):
    """A name that belongs to no event class."""


E = TypeVar("E", bound="BaseEvent")

# Class name → class, for every class declared with @event.
_registry: dict[str, type[BaseEvent]] = {}
# The same for plain dataclasses, from their first instance on.
_plain_classes: dict[str, type[BaseEvent]] = {}
# Held for the first read of a generated field, so that two threads agree on one event_id.
_first_read = threading.Lock()


def new_id() -> str:
    """A UUID (version 7, RFC 9562) as text: it begins with the time, so that new rows go to the end of their index."""
    time, chance = f"{unix_milliseconds():012x}", os.urandom(10).hex()
    return f"{time[:8]}-{time[8:]}-7{chance[:3]}-a{chance[3:6]}-{chance[6:18]}"


def event_class(name: str) -> type[BaseEvent]:
    """The event class called `name`; raises UnknownEventType."""
    found = _registry.get(name) or _plain_classes.get(name)
    if found is None:
        raise UnknownEventType(f"no event is called {name!r}")
    return found


def event_classes() -> tuple[type[BaseEvent], ...]:
    """Every class declared with @event, in order of declaration."""
    return tuple(_registry.values())


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def event(cls: type[E]) -> type[E]:
    """Declare an event class: `@event` over `class PriceEvent(MarketEvent)`. Every field needs a default."""
    made: type[E] = dataclasses.dataclass(init=False, slots=True, kw_only=True)(cls)
    for field in dataclasses.fields(made):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeError(f"{made.__name__}.{field.name} needs a default")
    if made.__dict__.get("__init__") is _init_plain:
        del made.__init__
    _declare(made)
    _registry[made.__name__] = made
    return made


def _declare(made: type[BaseEvent]) -> None:
    """Fill in the tables of an event class, which `__init__` and the journal work with."""
    made.__hash__ = _hash_by_id  # type: ignore[assignment]  # metadata is a dict and cannot be hashed
    hints = typing.get_type_hints(made)
    made._defaults, made._makers, made._readers = {}, {}, {}
    made._slots, made._floats, made._setters = {}, {}, {}
    for field in dataclasses.fields(made):
        if field.default is not dataclasses.MISSING:
            made._defaults[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            made._makers[field.name] = field.default_factory
        made._slots[field.name] = getattr(getattr(made, field.name, None), "__set__", None) or _into_dict(field.name)
        if float in (typing.get_args(hints[field.name]) or (hints[field.name],)):
            made._floats[field.name] = made._slots[field.name]
        made._setters[field.name] = _setter(made._slots[field.name], hints[field.name])
        made._readers[field.name] = reader_for(hints[field.name])
    made._at_once = tuple((made._slots[name], value) for name, value in made._defaults.items()) if made.journaled else ()
    # A tick makes only its time: that is the moment of the event, not of its first reader.
    at_once = made._makers if made.journaled else ("timestamp",)
    made._made_at_once = tuple((name, made._slots[name], made._makers[name]) for name in at_once)


def _into_dict(name: str) -> Callable[[Any, Any], None]:
    """Puts a value where a class without slots keeps it."""
    return lambda self, value: object.__setattr__(self, name, value)


def _rebuilt(cls: type[BaseEvent], fields: dict[str, Any]) -> BaseEvent:
    """What `copy` and `pickle` make of an event."""
    return cls(**fields)


def _init_plain(self: BaseEvent, **fields: Any) -> None:
    """`__init__` of a subclass that was not declared with @event."""
    cls = type(self)
    if "_setters" not in cls.__dict__:
        _declare(cls)
        _plain_classes[cls.__name__] = cls
    if missing := [name for name in cls._setters if name not in fields and name not in cls._defaults and name not in cls._makers]:
        raise MissingField(f"{cls.__name__} needs {', '.join(missing)}")
    BaseEvent.__init__(self, **fields)
    if hasattr(cls, "__post_init__"):
        cls.__post_init__(self)


def _hash_by_id(self: BaseEvent) -> int:
    return hash(self.event_id)


def _setter(store: Callable[[Any, Any], None], hint: Any) -> Callable[[Any, Any], None]:
    """How a passed value gets into its slot: times and numbers are checked on the way, the rest goes straight in."""
    kinds = typing.get_args(hint) or (hint,)
    if datetime in kinds:
        return lambda self, value: store(self, None if value is None else aware(value))
    if float in kinds:
        return lambda self, value: store(self, finite(value))
    return store


@event
class BaseEvent:
    """The root. `signal_id`, `order_id`, `position_id` and `cause` (the event_id or command that led here) tie the chain."""

    event_id: str = dataclasses.field(default_factory=new_id)
    timestamp: datetime = dataclasses.field(default_factory=utc_now)
    source: str | None = None  # market, order, position, api, …
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    signal_id: str = ""
    order_id: str = ""
    position_id: str = ""
    cause: str = ""

    journaled: ClassVar[bool] = True  # False for what comes by the thousand and is stored as bars instead
    _defaults: ClassVar[dict[str, Any]]  # field → its constant default
    _at_once: ClassVar[tuple[tuple[Callable[[Any, Any], None], Any], ...]]  # constant defaults of what is read whole anyway
    _made_at_once: ClassVar[tuple[tuple[str, Callable[[Any, Any], None], Callable[[], Any]], ...]]  # the same, of those that are made
    _makers: ClassVar[dict[str, Callable[[], Any]]]  # field → what makes its default
    _slots: ClassVar[dict[str, Callable[[Any, Any], None]]]  # field → puts any value in its slot
    _floats: ClassVar[dict[str, Callable[[Any, Any], None]]]  # the same, for the fields that are numbers
    _setters: ClassVar[dict[str, Callable[[Any, Any], None]]]  # field → puts a checked value in its slot
    _readers: ClassVar[dict[str, Reader]]  # field → reads its value back from JSON

    def __init_subclass__(cls) -> None:
        """A plain `@dataclass` leaves an `__init__` alone that is there already; `@event` takes this one away again."""
        cls.__init__ = _init_plain  # type: ignore[method-assign]

    def __init__(self, **fields: Any) -> None:
        for store, default in self._at_once:
            store(self, default)
        for name, store, make in self._made_at_once:
            if name not in fields:
                store(self, make())
        floats, setters = self._floats, self._setters
        try:
            for name, value in fields.items():
                # Most fields of a tick are floats: checked here rather than by a call each. NaN - NaN and inf - inf are NaN.
                if value.__class__ is float and name in floats and value - value == 0.0:
                    floats[name](self, value)
                else:
                    setters[name](self, value)
        except KeyError:
            raise UnknownField(f"{type(self).__name__} has no field {name!r}") from None

    def __getattr__(self, name: str) -> Any:
        """Called only for an empty slot: fill it with its default and return that."""
        if name in self._defaults:
            value = self._defaults[name]
            self._slots[name](self, value)
            return value
        if name not in self._makers:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        with _first_read:
            try:
                return object.__getattribute__(self, name)
            except AttributeError:
                value = self._makers[name]()
                self._slots[name](self, value)
                return value

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}: an event does not change")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}: an event does not change")

    def __reduce__(self) -> tuple[Callable[..., BaseEvent], tuple[type[BaseEvent], dict[str, Any]]]:
        return _rebuilt, (type(self), {name: getattr(self, name) for name in self._setters})

    @property
    def event_type(self) -> str:
        """The class name."""
        return type(self).__name__

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The declared fields, parents' first."""
        return tuple(cls._setters)

    def to_dict(self) -> dict[str, Any]:
        """Every field and `event_type`, ready for JSON; `from_dict` is its inverse."""
        row = {"event_type": type(self).__name__}
        for name in self._setters:
            row[name] = plain(getattr(self, name))
        return row

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The event `to_dict` described; `event_type` picks the class, which must be this one or below it."""
        made = event_class(str(data.get("event_type", cls.__name__)))
        if not issubclass(made, cls):
            raise UnknownEventType(f"{made.__name__} is not a {cls.__name__}")
        fields = {}
        for name, value in data.items():
            if name == "event_type":
                continue
            reader = made._readers.get(name)
            if reader is None:
                raise UnknownField(f"{made.__name__} has no field {name!r}")
            try:
                fields[name] = reader(value)
            except BadField as error:
                raise BadField(f"{made.__name__}.{name}: {error}") from None
        return made(**fields)
