"""From a file's bytes to a statement: size, packing, encoding and kind are judged before anything is parsed."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager

from positions.statements.activity import read_activity
from positions.statements.flex import read_flex
from positions.statements.statement import BadStatement, Statement
from positions.statements.unpacking import LARGEST_FILE, unpacked, within_limit

__all__ = ["LARGEST_FILE", "read_statement"]

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_OLD_SPREADSHEET = b"\xd0\xcf\x11\xe0"
_WEB_PAGE = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL)
_RIGHT_FILES = "Ask IB for the activity statement as CSV, or for an Activity Flex Query as XML."


def read_statement(data: bytes, account: str = "") -> Statement:
    """The statement of `account`, where a file holds several. Raises BadStatement with a sentence for the person who gave the file."""
    if not data.strip():
        raise BadStatement("The file is empty.")
    text = _text(unpacked(within_limit(data)))
    if not text.strip():
        raise BadStatement("The file is empty.")
    if _WEB_PAGE.match(text[:4000]):
        raise BadStatement(f"The file is a web page (HTML), not a Flex Query response and not CSV. {_RIGHT_FILES}")
    with _no_collecting():
        return read_flex(text, account) if text.lstrip().startswith("<") else read_activity(text, account)


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A file makes some hundred thousand small objects, none in a circle: looking for circles took a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _text(data: bytes) -> str:
    if data.lstrip()[:5] == b"%PDF-":
        raise BadStatement(f"The file is a PDF. {_RIGHT_FILES}")
    if data.startswith(_OLD_SPREADSHEET):
        raise BadStatement(f"The file is a spreadsheet. {_RIGHT_FILES}")
    if data.startswith(_UTF16) or b"\x00" in data:
        raise BadStatement("The file is not UTF-8 text. Save it as IB gave it, without another program in between.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadStatement("The file is not UTF-8 text. Save it as IB gave it, without another program in between.") from None
