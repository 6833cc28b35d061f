"""What one change writes does not depend on how many changes went before."""

from __future__ import annotations

import orjson

from events.encoding import to_json
from positions.domain.exit_rules import Trail, TrailKind
from positions.tests.domain.desk import Desk
from positions.tests.domain.test_exit_runner import armed, price

MEGABYTE = 1_000_000


async def test_a_thousand_moves_of_a_trailing_stop_write_twice_as_much_as_five_hundred() -> None:
    desk = await Desk().open()
    position, run = await armed(desk, trail=Trail(kind=TrailKind.PERCENT, value=2))
    written = [0, 0]
    for half in (0, 1):
        for move in range(500):
            await price(desk, run, 104 + (half * 500 + move) * 0.5, seconds=6)
        written[half] = sum(len(to_json(event)) for event in desk.events if event.journaled)
    assert position.exit_rules.trail is not None
    assert position.exit_rules.trail.moves == 1000
    assert written[0] <= 3 * MEGABYTE
    assert written[1] <= 2.2 * written[0]
    assert len(orjson.dumps(position.state())) <= 6_000
    assert len(position.history) > 3_000  # and nothing of it is forgotten
