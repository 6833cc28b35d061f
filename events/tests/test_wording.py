"""Sentences about the network carry no library's words and no error numbers."""

from __future__ import annotations

import errno
import re
import socket

import pytest

from events import wording
from events.wording import link_words


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 4002)"),
        TimeoutError(),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        socket.gaierror(-2, "Name or service not known"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        RuntimeError("all connection attempts failed"),
    ],
)
def test_a_broken_link_is_said_in_plain_words(error: Exception) -> None:
    said = link_words(error)
    assert not re.search(r"Errno|\[|\(|Error|call failed|attempts|\d", said)
    assert len(said.split()) >= 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.quantity_text(1e6), "1,000,000"),
        (wording.quantity_text(0.00005), "0.0001"),
        (wording.quantity_text(-1_000_000.5), "−1,000,000.5"),
        (wording.quantity_text(5, signed=True), "+5"),
        (wording.quantity_text(float("nan")), "–"),
        (wording.shares_words(1), "1 share"),
        (wording.shares_words(-1, signed=True), "−1 share"),
        (wording.shares_words(0.5), "0.5 shares"),
        (wording.price_text(266.1), "266.10"),
        (wording.price_text(1e6), "1,000,000.00"),
        (wording.price_text(None), "–"),
        (wording.percent_text(-0.0125, signed=True), "−1.25%"),
        (wording.percent_text(0.00001, signed=True), "0.00%"),
        (wording.count_words(1, "entry", "entries"), "1 entry"),
        (wording.count_words(1234, "symbol"), "1,234 symbols"),
        (wording.class_words("PositionUpdateEvent"), "Position update"),
        (wording.state_words("reduce_only"), "reduce only"),
        (wording.state_words("a stop_loss in a sentence"), "a stop_loss in a sentence"),
    ],
)
def test_numbers_and_names_in_sentences_are_written_as_people_write_them(text: str, expected: str) -> None:
    assert text == expected
