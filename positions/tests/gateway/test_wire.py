"""Frames, fields, versions, and the field counts that clients insist on."""

from __future__ import annotations

import asyncio
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from positions.gateway import messages_out as out
from positions.gateway import wire
from positions.gateway.messages_in import LAYOUTS, parse_request
from positions.gateway.order_codec import completed_order_fields, open_order_fields, parse_place_order
from positions.gateway.wire import Incoming, WireError

CONTRACT = ["0", "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "", ""]
CONTRACT_OUT: list[object] = [1, "AAPL", "STK", "", 0, "?", "", "SMART", "USD", "AAPL", "NMS"]

# Message id → (fields at version 157, at 176), counted in captures and in the clients' own sources.
REQUEST_COUNTS = {
    1: (20, 20), 2: (3, 3), 4: (3, 4), 5: (2, 2), 16: (2, 2), 6: (4, 4), 7: (10, 10), 8: (3, 3), 9: (18, 19), 15: (3, 3), 17: (2, 2),
    20: (23, 23), 25: (3, 3), 49: (2, 2), 50: (19, 19), 51: (3, 3), 58: (2, 2), 59: (3, 3), 61: (2, 2), 64: (2, 2), 62: (5, 5),
    63: (3, 3), 71: (4, 4), 76: (6, 6), 77: (3, 3), 78: (6, 6), 81: (3, 3), 87: (18, 18), 90: (2, 2), 91: (2, 2), 92: (4, 4), 93: (2, 2),
    94: (5, 5), 95: (2, 2), 97: (17, 17), 98: (2, 2), 99: (2, 2),
}  # fmt: skip
ANSWER_COUNTS = {
    "tickPrice": 7, "tickSize": 5, "tickGeneric": 5, "tickString": 5, "orderStatus": 12, "updateAccountValue": 6, "updatePortfolio": 20,
    "updateAccountTime": 3, "accountDownloadEnd": 3, "nextValidId": 3, "managedAccounts": 3, "execDetails": 31, "historicalDataUpdate": 10,
    "currentTime": 3, "realtimeBar": 11, "contractDetailsEnd": 3, "execDetailsEnd": 3, "tickSnapshotEnd": 3, "accountSummaryEnd": 3,
    "accountUpdateMultiEnd": 3, "openOrderEnd": 2, "positionEnd": 2, "completedOrdersEnd": 1, "marketDataType": 4, "commissionReport": 8,
    "position": 16, "accountSummary": 7, "accountUpdateMulti": 8, "tickReqParams": 5, "headTimestamp": 3, "pnl": 5, "pnlSingle": 7,
    "orderBound": 4,
}  # fmt: skip


def fields_of(frame: bytes) -> list[str]:
    assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
    return wire.decode_payload(frame[4:])


def request(kind: Incoming, version: int) -> list[str]:
    """The shortest legal message of this kind."""
    fields = [str(int(kind))]
    for word in LAYOUTS[kind]:
        if word == "@contract":
            fields += CONTRACT
        elif word == "@delta_neutral":
            fields.append("0")
        elif word.startswith(">="):
            fields += [""] if version >= int(word[2:5]) else []
        elif not word.startswith("@"):
            fields.append("" if ":" not in word else "1")
    return fields


@pytest.mark.parametrize("hello", ["v100..157", "v157..157", "v100..175"])
def test_an_old_client_gets_157(hello: str) -> None:
    assert wire.choose_version(hello) == 157


@pytest.mark.parametrize("hello", ["v157..176", "v157..178", "v100..203 +PACEAPI"])
def test_a_new_client_gets_176(hello: str) -> None:
    assert wire.choose_version(hello) == 176


@pytest.mark.parametrize("hello", ["v10..100", "v177..203", "v158..160"])
def test_a_client_without_a_common_version_gets_none(hello: str) -> None:
    assert wire.choose_version(hello) is None


@pytest.mark.parametrize("hello", ["", "GET / HTTP/1.1", "v", "v-1..5", "v1..99999999"])
def test_garbage_instead_of_a_hello_is_refused(hello: str) -> None:
    with pytest.raises(WireError):
        wire.choose_version(hello)


def test_integral_numbers_are_written_without_a_fraction_because_ibapi_reads_sizes_as_integers() -> None:
    assert [wire.field_text(value) for value in (100.0, 0.0, -3.0, 100.25, 1e-5)] == ["100", "0", "-3", "100.25", "1e-05"]


def test_unset_numbers_are_written_as_tws_writes_them() -> None:
    assert wire.field_text(wire.UNSET_DOUBLE) == "1.7976931348623157E308"
    assert wire.field_text(math.inf) == "Infinity"
    assert wire.field_text(None) == ""


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), min_size=1))
def test_fields_come_back_as_they_were_sent(fields: list[str]) -> None:
    assert fields_of(wire.encode_frame(fields)) == fields


def test_text_outside_ascii_is_escaped() -> None:
    assert fields_of(wire.encode_frame(["é\U0001f4b0"])) == ["\\xe9\\U0001f4b0"]


@pytest.mark.parametrize("payload", [b"", b"no end", b"\xff\0"])
def test_a_payload_that_is_no_list_of_fields_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode_payload(payload)


async def test_an_absurd_frame_length_is_refused_before_it_is_read() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(struct.pack(">I", 1 << 30))
    with pytest.raises(WireError):
        await wire.read_prefixed(reader)


def test_every_request_has_its_golden_field_count() -> None:
    assert {int(kind) for kind in LAYOUTS} == set(REQUEST_COUNTS)
    for kind in LAYOUTS:
        assert (len(request(kind, 157)), len(request(kind, 176))) == REQUEST_COUNTS[int(kind)], kind.name


@pytest.mark.parametrize("version", [157, 176])
@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_request_parses_only_with_exactly_its_fields(kind: Incoming, version: int) -> None:
    fields = request(kind, version)
    assert parse_request(fields, version).kind is kind
    with pytest.raises(WireError):
        parse_request([*fields, "left over"], version)
    with pytest.raises(WireError):
        parse_request(fields[:-1], version)


@pytest.mark.parametrize("value", ["nan", "x", "1.5", "∞"])
def test_a_request_id_that_is_no_integer_is_refused(value: str) -> None:
    with pytest.raises(WireError):
        parse_request(["98", value], 176)


@pytest.mark.parametrize("first", ["", "hello", "4711", "-1"])
def test_an_unknown_message_is_refused(first: str) -> None:
    with pytest.raises(WireError):
        parse_request([first, "1"], 176)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=130), st.sampled_from([157, 176]))
def test_arbitrary_fields_are_parsed_or_refused_and_nothing_else(fields: list[str], version: int) -> None:
    for parse in (parse_request, parse_place_order):
        try:
            parse(fields, version)
        except WireError:
            pass


def test_every_fixed_answer_has_its_golden_field_count() -> None:
    fixed = {name: layout for name, layout in out.LAYOUTS.items() if layout.count is not None}
    counts = {name: 1 + bool(layout.version) + (layout.count or 0) for name, layout in fixed.items()}
    assert counts == ANSWER_COUNTS | {"securityDefinitionOptionParameterEnd": 2}


def test_an_answer_of_the_wrong_length_can_not_be_built() -> None:
    with pytest.raises(ValueError):
        out.message("tickPrice", 1, 2)


def test_an_error_has_five_fields_for_old_clients_and_six_for_new_ones() -> None:
    assert fields_of(out.error(157, 7, 201, "no")) == ["4", "2", "7", "201", "no"]
    assert fields_of(out.error(176, 7, 201, "no")) == ["4", "2", "7", "201", "no", ""]


@pytest.mark.parametrize(("version", "base"), [(157, 39), (176, 40)])
def test_contract_details_have_their_golden_field_count(version: int, base: int) -> None:
    card = out.ContractCard(**dict.fromkeys(out.ContractCard.__dataclass_fields__, ""))
    assert len(fields_of(out.contract_details(version, 1, card))) == base + 2


@pytest.mark.parametrize(("version", "count"), [(157, 128), (176, 136)])
def test_an_open_order_has_the_length_of_a_captured_one(version: int, count: int) -> None:
    assert len(open_order_fields(version, 1, CONTRACT_OUT, {})) == count


@pytest.mark.parametrize(("version", "count"), [(157, 96), (176, 101)])
def test_a_completed_order_has_the_length_of_a_captured_one(version: int, count: int) -> None:
    assert len(completed_order_fields(version, CONTRACT_OUT, {})) == count
