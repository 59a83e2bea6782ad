"""Strict JSON: what RFC 8259 refuses, what PostgreSQL cannot store, and what only looks harmless."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.http.bodies import MOST_NESTED, check_text, strict_json
from api.http.errors import ApiError
from tests.api.made import problem, spec


def refused(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        check_text(strict_json(body))
    return caught.value


@pytest.mark.parametrize(
    "value", [{}, [], "", 0, -1.5e-300, 10**400, None, True, {"ä": ["\U0001f600", "\\u0000", "\n", "\x7f"]}]
)
def test_what_json_allows_is_read_as_it_is(value: Any) -> None:
    assert strict_json(json.dumps(value).encode()) == value
    assert strict_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b"[1] 2", "not JSON"),
        (b'"\x00"', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": NaN}', "no NaN"),
        (b'{"a": Infinity}', "no Infinity"),
        (b"-Infinity", "no -Infinity"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b"9" * 5000, "is too large"),
        (b'{"a": 1, "b": {"a": 1, "a": 2}}', "'a' is given twice"),
        (b'{"a": "\xff"}', "not UTF-8: byte 7"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"[" * 100_000, "nested"),
        (b"[" * (MOST_NESTED + 2) + b"]" * (MOST_NESTED + 2), "nested"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "nested"),
    ],
)
def test_what_is_no_json_is_a_400_that_says_why(body: bytes, says: str) -> None:
    error = refused(body)
    assert error.status_code == 400
    assert says in error.detail
    assert len(error.detail) < 200


def test_nesting_is_allowed_as_far_as_it_says() -> None:
    assert strict_json(b"[" * MOST_NESTED + b"]" * MOST_NESTED)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'{"name": "a\u0000b"}', "name"),
        (rb'{"labels": {"team": "\ud800"}}', "labels.team"),
        (rb'{"labels": {"\udfff": "vision"}}', "labels"),
        (rb'{"variants": [{}, {"name": "\u0000"}]}', "variants[1].name"),
        (rb'"\u0000"', "body"),
        (rb'{"name": "two\nlines"}', "name"),
        (b'{"name": "a\x7f"}', "name"),
        ('{"name": "next\x85line"}'.encode(), "name"),
        ('{"variants": [{"name": "\u2028"}]}'.encode(), "variants[0].name"),
        ('{"labels": {"team": "\u202etxt.exe"}}'.encode(), "labels.team"),
        (rb'{"labels": {"\u2066": "vision"}}', "labels"),
    ],
)
def test_text_that_cannot_be_stored_or_shown_is_a_422_at_its_field(body: bytes, field: str) -> None:
    error = refused(body)
    assert (error.status_code, error.errors[0].field) == (422, field)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert strict_json(rb'"\ud83d\ude00"') == "\U0001f600"


def test_lists_and_objects_beyond_any_use_are_refused_before_each_entry_is(reader: TestClient) -> None:
    for body in (spec(seeds=["x"] * 300_000), spec() | {f"k{index}": index for index in range(100_000)}):
        refused = problem(reader.post("/v1/experiments", json=body), 422)
        assert "10,000 entries" in refused["detail"]


def test_many_mistakes_are_answered_in_short(reader: TestClient) -> None:
    arms = [{"name": f"v{index}", "remedies": [{"kind": "magic"}] * 64} for index in range(1_000)]
    response = reader.post("/v1/experiments", json=spec(variants=arms))
    assert len(problem(response, 422)["errors"]) == 50
    assert len(response.content) < 50_000


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_another_content_type_is_a_415(reader: TestClient, kind: str) -> None:
    headers = {"Content-Type": kind}
    refused = problem(reader.post("/v1/experiments", content=json.dumps(spec()), headers=headers), 415)
    assert refused["errors"][0]["allowed"] == ["application/json"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_by_any_of_its_names_is_taken(reader: TestClient, kind: str) -> None:
    response = reader.post("/v1/experiments/validate", content=json.dumps(spec()), headers={"Content-Type": kind})
    assert response.status_code == 200


def test_a_missing_body_is_named(reader: TestClient) -> None:
    refused = problem(reader.post("/v1/experiments", headers={"Content-Type": "application/json"}), 422)
    assert refused["errors"][0]["field"] == "body"
