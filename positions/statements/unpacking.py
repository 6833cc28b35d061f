"""A compressed file opened within limits: gz and zip, one file inside, no larger than a statement may be. Pure."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

from positions.statements.statement import BadStatement

LARGEST_FILE = 10 * 1024 * 1024  # bytes; a year of daily trading is far below
_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_SPREADSHEET = "[Content_Types].xml"


def unpacked(data: bytes) -> bytes:
    """The statement inside, or `data` itself when it is not compressed. Raises BadStatement."""
    if data.startswith(_GZIP):
        inner = _gunzipped(data)
    elif data.startswith(_ZIP):
        inner = _unzipped(data)
    else:
        return data
    if inner.startswith((_GZIP, b"PK\x03\x04")):
        raise BadStatement("The archive holds another archive. Unpack it and give the statement itself.")
    return inner


def within_limit(data: bytes) -> bytes:
    """Raises BadStatement when the file is too large."""
    if len(data) > LARGEST_FILE:
        raise BadStatement("The file is larger than 10 MB. Ask IB for a shorter period.")
    return data


def _gunzipped(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as opened:
            return within_limit(opened.read(LARGEST_FILE + 1))
    except (OSError, EOFError, zlib.error):
        raise BadStatement("The gz file is damaged or cut short. Download it again.") from None


def _unzipped(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            info = _only_file(archive)
            with archive.open(info) as opened:
                return within_limit(opened.read(LARGEST_FILE + 1))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, BadStatement):
            raise
        raise BadStatement("The file looks like a zip archive and cannot be opened as one; it is not an IB activity statement.") from None


def _only_file(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    if any(info.filename == _SPREADSHEET for info in files):
        raise BadStatement("The file is a spreadsheet. Give the file as IB gave it: an activity statement as CSV, or a Flex Query as XML.")
    if not files:
        raise BadStatement("The zip archive is empty.")
    if len(files) > 1:
        names = ", ".join(repr(info.filename.rpartition("/")[2][:30]) for info in files[:3])
        raise BadStatement(f"The zip archive holds {len(files)} files ({names}). Unpack it and give one statement at a time.")
    if files[0].flag_bits & 0x1:
        raise BadStatement("The zip archive is encrypted. Unpack it with its password and give the statement itself.")
    return files[0]
