"""Sentences about the network carry no library's words and no error numbers."""

from __future__ import annotations

import errno
import re
import socket

import pytest

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
