"""From a file's bytes to a statement: size, encoding and kind are judged before anything is parsed."""

from __future__ import annotations

from positions.statements.activity import read_activity
from positions.statements.flex import read_flex
from positions.statements.statement import BadStatement, Statement

LARGEST_FILE = 10 * 1024 * 1024  # bytes; a year of daily trading is far below
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_statement(data: bytes, account: str = "") -> Statement:
    """The statement of `account`, where a file holds several. Raises BadStatement with a sentence for the person who gave the file."""
    if not data.strip():
        raise BadStatement("The file is empty.")
    if len(data) > LARGEST_FILE:
        raise BadStatement("The file is larger than 10 MB. Ask IB for a shorter period.")
    if data.startswith(_UTF16) or b"\x00" in data:
        raise BadStatement("The file is not UTF-8 text. Save it as IB gave it, without another program in between.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadStatement("The file is not UTF-8 text. Save it as IB gave it, without another program in between.") from None
    return read_flex(text, account) if text.lstrip().startswith("<") else read_activity(text, account)
