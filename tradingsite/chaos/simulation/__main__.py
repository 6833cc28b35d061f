"""`PYTHONHASHSEED=0 python -m tradingsite.chaos.simulation FIRST COUNT`; `manage.py chaos --simulate` starts it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from functools import partial

from tradingsite.chaos.simulation.run import simulate
from tradingsite.chaos.simulation.sabotage import sabotage


def main() -> bool:
    parser = ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--defect", default="", help="of tradingsite/chaos/defects.py, planted in every worker")
    parser.add_argument("--steps", default="", help="these steps of stories.py instead of drawn ones, comma separated")
    parser.add_argument("--sabotage", action="store_true", help="plant each known defect (or those of --defect), in at most COUNT worlds")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="worlds played side by side")
    options = parser.parse_args()
    say, steps = partial(print, flush=True), [word for word in options.steps.split(",") if word]
    if options.sabotage:
        return sabotage(options.first, options.count, say, names=[name for name in options.defect.split(",") if name])
    return simulate(options.first, options.count, say, defect=options.defect, steps=steps, processes=options.processes)


sys.exit(0 if main() else 1)
