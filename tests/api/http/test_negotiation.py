"""Which media type an ``Accept`` header asks for."""

import pytest

from api.http.negotiation import ARROW, CSV, JSON, OFFERED, PARQUET, negotiated


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/*", CSV),
        ("text/csv", CSV),
        (ARROW, ARROW),
        (PARQUET, PARQUET),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("text/csv;q=0.5, application/json;q=0.4", CSV),
        ("text/csv;q=0.5, application/json", JSON),
        ("text/csv, application/json", JSON),
        ("*/*;q=0.1, application/vnd.apache.parquet;q=0.2", PARQUET),
        ("application/json;q=0, application/*;q=0.5", ARROW),
        ("*/*, application/json;q=0", CSV),
        ("text/csv; header=present; Q = 0.9, application/json;q=0.8", CSV),
        ("application/json;q=2, text/csv;q=0.1", CSV),
        ("application/json;q=high", None),
        ("application/json;q=0", None),
        ("image/*", None),
        ("application/json5", None),
        ("nonsense", None),
    ],
)
def test_the_most_wanted_type_that_is_offered(accept: str, kind: str | None) -> None:
    assert negotiated(accept, OFFERED) == kind
