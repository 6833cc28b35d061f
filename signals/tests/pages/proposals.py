"""What every pending signal would become, worked out one by one: the plain reckoning that pages and worker are compared with."""

from events.clock import utc_now
from signals.facts import gather
from signals.proposal import Proposal, propose, waiting


def pending_proposals() -> list[Proposal]:
    """With fresh numbers, the one that expires first on top."""
    now = utc_now()
    signals = list(waiting(now).select_related("prediction"))
    facts = gather({signal.symbol for signal in signals}, now=now)
    return [propose(signal, facts) for signal in signals]
