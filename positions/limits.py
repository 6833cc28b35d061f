"""The limits a person has set, from their rows to what the checks judge with. Read by the worker and by the signals' cards alike."""

from __future__ import annotations

from typing import Any

from events.symbols import canonical_symbol, symbols_in
from positions.domain.risk import RiskLimits, Scope, ScopedLimit
from positions.models import RiskLimits as RiskLimitsRecord
from positions.models import ScopedLimitRecord


def limits_row(limits: RiskLimitsRecord) -> dict[str, Any]:
    """The general limits with the limits of single names ("scoped") and a "version" that changes with every edit."""
    names = [f.name for f in RiskLimitsRecord._meta.concrete_fields if f.name not in ("id", "updated_at")]
    scoped = list(ScopedLimitRecord.objects.values())
    edited = max(str(at) for at in [limits.updated_at, *(record["updated_at"] for record in scoped)])
    return {name: getattr(limits, name) for name in names} | {"scoped": scoped, "version": f"{edited} {len(scoped)}"}


def limits_from(row: dict[str, Any]) -> RiskLimits:
    """The domain's limits from the rows a person edits."""
    plain = {"restricted_symbols", "require_margin", "scoped", "version"}
    numbers = {name: int(value) if isinstance(value, int) else float(value) for name, value in row.items() if name not in plain}
    return RiskLimits(
        restricted_symbols=frozenset(symbols_in(row["restricted_symbols"])),
        require_margin=bool(row["require_margin"]),
        scoped=tuple(_scoped(record) for record in row["scoped"]),
        **numbers,  # type: ignore[arg-type]
    )


def _scoped(record: dict[str, Any]) -> ScopedLimit:
    numbers = {name: None if value is None else float(value) for name, value in record.items() if name.startswith("max_")}
    name = canonical_symbol(record["name"]) if record["scope"] == Scope.SYMBOL else record["name"]
    return ScopedLimit(scope=Scope(record["scope"]), name=name, **numbers)  # type: ignore[arg-type]
