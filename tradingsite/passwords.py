"""Which passwords are refused beside the short and the listed ones: those that are guessed soon."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from zxcvbn import zxcvbn

LEAST_SCORE = 3  # of 4: more than 10^8 guesses
LONGEST_READ = 72  # characters; what follows can only make it harder
# Words that stand for this desk and its trade: whoever guesses begins with them.
CONTEXT = [
    "trading",
    "desk",
    "tradingdesk",
    "interactive",
    "brokers",
    "ibkr",
    "ibgateway",
    "options",
    "flow",
    "optionsflow",
    "approve",
    "halt",
]


class GuessablePasswordValidator:
    """Counts the guesses that a password takes, by zxcvbn and its lists of breached passwords, names and words, without a network."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raises ValidationError with what makes it guessable and what helps."""
        about = [str(getattr(user, name, "") or "") for name in ("username", "first_name", "last_name", "email")]
        found = zxcvbn(password[:LONGEST_READ], user_inputs=[*CONTEXT, *filter(None, about)])
        if found["score"] >= LEAST_SCORE:
            return
        why = found["feedback"]["warning"] or "It is made of parts that are tried first."
        raise ValidationError(f"This password is guessed soon. {why} Take four or more words that have nothing to do with each other.")

    def get_help_text(self) -> str:
        return "Your password can't be one that is guessed soon: names, dates, rows of keys, repeated or known words."
