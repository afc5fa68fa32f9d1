"""JSON bodies: what two parsers could read differently, or one could choke on, is refused."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Request, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import EnvironBuilder

from secure_api.errors import BadRequest, UnsupportedMediaType
from secure_api.web.json_body import MAX_DEPTH, parse_json, read_json


def request_of(body: bytes, content_type: str | None = "application/json") -> Request:
    return Request(EnvironBuilder(method="POST", data=body, content_type=content_type).get_environ())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b'{"a": [1, -2, 3.5, true, null, "x"]}', {"a": [1, -2, 3.5, True, None, "x"]}),
        (b'{"a": {"a": 1}, "b": {"a": 2}}', {"a": {"a": 1}, "b": {"a": 2}}),
        ('"ä€😀"'.encode(), "ä€😀"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"999999999999999999", 999_999_999_999_999_999),
        (b"-999999999999999999", -999_999_999_999_999_999),
    ],
)
def test_plain_json_is_read(text: bytes, value: Any) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"x": [{"a": 1, "a": 1}]}',
    ],
)
def test_a_caller_cannot_send_a_member_twice(text: bytes) -> None:
    """One parser takes the first, another the last: what a proxy checked would not be what we use."""
    with pytest.raises(BadRequest, match="duplicate"):
        parse_json(text)


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b'{"a": NaN}', b"1e400", b"-1e400", b"[1e999]"])
def test_a_caller_cannot_send_a_number_that_json_does_not_have(text: bytes) -> None:
    """NaN and the infinities, also by overflow, compare in ways that no check expects."""
    with pytest.raises(BadRequest):
        parse_json(text)


@pytest.mark.parametrize("text", [b"1" * 19, b"-" + b"1" * 19, b"9" * 60_000, b'{"a": 10000000000000000000}'])
def test_a_caller_cannot_send_an_integer_beyond_64_bits(text: bytes) -> None:
    """Long integers cost quadratic time, and no column holds them."""
    with pytest.raises(BadRequest, match="integer"):
        parse_json(text)


def test_a_caller_cannot_nest_deeper_than_the_limit() -> None:
    """Deep nesting exhausts the stack of whoever walks it."""
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    for text in (
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 30_000 + b"]" * 30_000,
        b"[" * 60_000,
    ):
        with pytest.raises(BadRequest):
            parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[1] [2]",
        b'"\xff\xfe"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'"line\nbreak"',
        b"// comment\n1",
        b"01",
        b"+1",
        b"0x10",
    ],
)
def test_what_is_no_utf8_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_json(text)


@pytest.mark.parametrize("text", [b'"\\ud800"', b'{"\\udfff": 1}', b'["a\\ud800b"]', b'"\\u0000"', b'{"a\\u0000": 1}'])
def test_a_caller_cannot_send_text_that_no_database_row_can_hold(text: bytes) -> None:
    """Lone surrogates break the first encoder they meet, and NUL breaks PostgreSQL: 400, not 500."""
    with pytest.raises(BadRequest, match="character"):
        parse_json(text)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_json_body_is_read_by_its_media_type(content_type: str) -> None:
    assert read_json(request_of(b'{"a": 1}', content_type)) == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/merge-patch+json",
        "application/jsonp",
    ],
)
def test_a_caller_cannot_send_json_under_another_media_type(content_type: str | None) -> None:
    """A plain cross-site form can send these types without asking first."""
    with pytest.raises(UnsupportedMediaType):
        read_json(request_of(b'{"a": 1}', content_type))


def test_a_caller_cannot_send_a_body_over_the_limit() -> None:
    """The limit holds before anything is parsed, with a stated length and without one."""
    app = Flask("bodies")
    app.config["MAX_CONTENT_LENGTH"] = 20
    with app.test_request_context(method="POST", data=b'{"a": "' + b"x" * 5 + b'"}', content_type="application/json"):
        assert read_json(request) == {"a": "xxxxx"}
    for chunked in ({}, {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}):
        # Cut off at the limit, this body would be valid JSON.
        body = b'{"a": "xxxxx"}      ' + b"x" * 30
        with (
            app.test_request_context(
                method="POST", data=body, content_type="application/json", environ_overrides=chunked
            ),
            pytest.raises(RequestEntityTooLarge),
        ):
            read_json(request)


@pytest.mark.parametrize("text", [b'{"canary-4711": 1, "canary-4711": 2}', b'"canary-4711', b'["canary-4711", NaN]'])
def test_a_refusal_does_not_repeat_the_body(text: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_json(text)
    assert "4711" not in refused.value.public_detail + refused.value.log_detail
