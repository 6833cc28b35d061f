"""The steps of a round: what people do at the pages, and what fails. The seed decides which, the round's `Random` how long."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from tradingsite.chaos.desk_breaking import LINK_MODES, Breaker
from tradingsite.chaos.desk_lane import CHILDREN
from tradingsite.chaos.desk_trader import Trader

WORKER_CLIENT = 17  # the desk's one fixed client id


class Stage(Protocol):
    """What a step needs of the desk it happens to."""

    trader: Trader

    @property
    def breaker(self) -> Breaker: ...
    def symbol(self) -> str: ...
    def held(self) -> list[tuple[str, float, float, float]]: ...
    def working(self) -> list[str]: ...
    def refused(self, *, patience: float = 0) -> list[str]: ...


Step = Callable[[Stage, Random], str]


def told_by(seed: int, number: int) -> list[str]:
    """Three to six steps, at least one approval and one failure."""
    random = Random(f"{seed}|{number}|steps")  # noqa: S311 - a story, not a secret
    names, weights = list(STEPS), [weight for _, weight in STEPS.values()]
    failures = [name for name in names if is_failure(name)]
    steps = ["approve", *random.choices(names, weights=weights, k=random.randint(1, 4))]
    steps.insert(random.randint(0, len(steps)), random.choices(failures, [STEPS[name][1] for name in failures])[0])
    return steps


def is_failure(step: str) -> bool:
    return step.split()[0] in ("kill", "stop", "restart", "gateway", "flow", "redis")


# --- people ---


def _approve(stage: Stage, random: Random) -> str:
    return stage.trader.approve(stage.symbol(), random)


def _approve_passive(stage: Stage, random: Random) -> str:
    return stage.trader.approve(stage.symbol(), random, passive=True)


def _two_tabs(stage: Stage, random: Random) -> str:
    return stage.trader.approve_twice(stage.symbol(), random, tabs=True)


def _double_click(stage: Stage, random: Random) -> str:
    return stage.trader.approve_twice(stage.symbol(), random, tabs=False)


def _reject(stage: Stage, random: Random) -> str:
    return stage.trader.reject(stage.symbol())


def _close(stage: Stage, random: Random) -> str:
    held = stage.held()
    return stage.trader.close(random.choice(held)[0]) if held else "nothing held"


def _cancel(stage: Stage, random: Random) -> str:
    working = stage.working()
    return stage.trader.cancel(random.choice(working)) if working else "nothing works"


def _move_stop(stage: Stage, random: Random) -> str:
    held = stage.held()
    if not held:
        return "nothing held"
    position, _, stop, price = random.choice(held)
    return stage.trader.move_stop(position, stop + 0.2 * (price - stop))


def _decide_again(stage: Stage, random: Random) -> str:
    """About the signal that was refused last. If none was, one is: it stands in line with a halt, which overtakes it."""
    refused, came = stage.refused(), ""
    if not refused:
        stage.breaker.pause("ibworker", 1.5)
        came = f"{_approve(stage, random)}, {stage.trader.halt()}, "
        refused = stage.refused(patience=6)
        came += f"{stage.trader.resume()}, "
    return came + (stage.trader.decide_again(refused[0], random) if refused else "nothing refused")


def _halt_and_resume(stage: Stage, random: Random) -> str:
    return f"{stage.trader.halt()}, {stage.trader.resume()}"


def _flatten_and_resume(stage: Stage, random: Random) -> str:
    return f"{stage.trader.flatten()}, {stage.trader.resume()}"


# --- processes ---


def _kill(child: str) -> Step:
    return lambda stage, random: "" if stage.breaker.kill(child) else "dead already"


def _restart(child: str) -> Step:
    return lambda stage, random: "" if stage.breaker.restart(child) else "dead already"


def _stop(child: str) -> Step:
    """For 1 to 15 s, mostly short: the mean is 4.5 s, one in three is longer than a page's patience."""

    def step(stage: Stage, random: Random) -> str:
        seconds = 1 + 14 * random.random() ** 3
        return f"{seconds:.1f} s" if stage.breaker.pause(child, seconds) else "dead or stopped already"

    return step


# --- links ---


def _gateway(make: Callable[[Random], dict[str, Any]]) -> Step:
    return lambda stage, random: _said(stage.breaker.gateway(**make(random)))


def _flow(name: str, make: Callable[[Random], Any]) -> Step:
    return lambda stage, random: _said(stage.breaker.flow(name, make(random), count=random.randint(1, 6)))


def _empty_redis(stage: Stage, random: Random) -> str:
    return "" if stage.breaker.empty_redis() else "not heard"


def _said(answer: dict[str, Any]) -> str:
    return "" if answer.get("ok") else "not heard"


def _upstream(random: Random) -> dict[str, Any]:
    return {"fault": "upstream_lost", "seconds": random.uniform(0.5, 4), "data_kept": random.random() < 0.5}


def _slow(random: Random) -> dict[str, Any]:
    """Trickling, silent, in pieces or in heaps until the round ends or the link is made anew."""
    return {"fault": "transport", "client_id": WORKER_CLIENT, "mode": random.choice(LINK_MODES)}


def _silent(random: Random) -> dict[str, Any]:
    return {"fault": "ack_lost", "match": {"kind": random.choice(("LMT", "STP"))}, "times": 1}


def _disorder(random: Random) -> dict[str, Any]:
    modes = ("status_first", "exec_only", "commission_first", "duplicate", "stale_submitted", "no_commission")
    return {"fault": "disorder", "mode": random.choice(modes), "times": 2}


# step → (what it does, how often); "stop CHILD" is SIGSTOP, "restart CHILD" is SIGTERM
STEPS: dict[str, tuple[Step, float]] = {
    "approve": (_approve, 6), "approve-passive": (_approve_passive, 2), "two-tabs": (_two_tabs, 2), "double-click": (_double_click, 1.5),
    "reject": (_reject, 1), "close": (_close, 5), "cancel": (_cancel, 1.5), "move-stop": (_move_stop, 3),
    "halt+resume": (_halt_and_resume, 1), "flatten+resume": (_flatten_and_resume, 0.7), "decide-again": (_decide_again, 2),
    **{f"kill {child}": (_kill(child), 0.5) for child in CHILDREN},
    **{f"stop {child}": (_stop(child), 0.5) for child in CHILDREN},
    **{f"restart {child}": (_restart(child), 0.3) for child in CHILDREN},
    "kill ibworker": (_kill("ibworker"), 1.2), "stop ibworker": (_stop("ibworker"), 1.2), "stop web": (_stop("web"), 0.8),
    "redis emptied": (_empty_redis, 0.5),
    "gateway cut": (_gateway(lambda random: {"fault": "drop_socket"}), 0.8), "gateway upstream": (_gateway(_upstream), 0.6),
    "gateway slow": (_gateway(_slow), 0.8), "gateway silent": (_gateway(_silent), 0.6), "gateway disorder": (_gateway(_disorder), 0.6),
    "gateway repeats": (_gateway(lambda random: {"fault": "repeat_executions"}), 0.4),
    "flow slow": (_flow("latency", lambda random: random.uniform(1, 12)), 0.3),
    "flow error": (_flow("server_error", lambda random: True), 0.3), "flow garbage": (_flow("not_json", lambda random: True), 0.3),
    "flow lies": (_flow("view", lambda random: {"confidence": random.choice((7, "NaN", None))}), 0.2),
}  # fmt: skip
