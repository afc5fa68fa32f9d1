"""What the condition language refuses, at which column, and what it says."""

from __future__ import annotations

import pytest

from secure_api.policy.source import suggestion
from secure_api.policy.tree import And, Comparison, Membership, Not, Or, Presence, Truth

from .conditions import fault_in, typed

REFUSED = [
    # words
    ("", 1, "empty"),
    ("   ", 4, "empty"),
    ("resource.total = 5", 16, "write `==`"),
    ("resource.archived & resource.archived", 19, "write `&&`"),
    ("resource.archived | resource.archived", 19, "write `||`"),
    ("resource.archived and resource.archived", 19, "write `&&`"),
    ("resource.archived or resource.archived", 19, "write `||`"),
    ("(resource.archived or resource.archived)", 20, "write `||`"),
    ("not resource.archived", 1, "write `!`"),
    ("resource.total + 1 == 2", 16, "no arithmetic"),
    ("resource.total == - 5", 19, "directly before a number"),
    ("resource.total == 1.5", 19, "no floats"),
    ("resource.total == 1e5", 19, "no floats"),
    ("resource.total == 0x10", 19, "not a decimal integer"),
    ("resource.total == 5u", 19, "not a decimal integer"),
    ("resource.total == 010", 19, "leading zero"),
    ("resource.total == 9223372036854775808", 19, "64 bits"),
    ("resource.total == -9223372036854775809", 19, "64 bits"),
    ("resource.total == " + "9" * 4000, 19, "64 bits"),
    ('resource.status == "open', 20, "not closed"),
    ('resource.status == "a\nb"', 20, "not closed"),
    (r'resource.status == "a\qb"', 22, "unknown escape"),
    (r'resource.status == "a\u0000b"', 27, "not every database"),
    (r'resource.status == "\ud800"', 26, "not every database"),
    ("resource.status == “a”", 20, "straight quotes"),
    ("resource.total ? 1 : 2", 16, "no `? :`"),
    ("resource.total == 5; drop", 20, "no meaning"),
    ("resource.archived" + " " * 5000, 1, "longer than"),
    # grammar
    ("resource.total == null", 19, "has("),
    ("resource.total == 5 6", 21, "expected `&&`"),
    ("resource.total == ", 19, "found the end"),
    ("&& resource.archived", 1, "expected a path"),
    ("resource.archived &&", 21, "found the end"),
    ("(resource.archived", 19, "expected `)`"),
    ("resource.archived)", 18, "expected `&&`"),
    ("1 < resource.total < 5", 20, "chained"),
    ("(resource.archived) == true", 21, "no operand"),
    ("!resource.total == 5", 17, "binds closer"),
    ('!resource.status in ["a"]', 18, "binds closer"),
    ("always || resource.archived", 1, "stands alone"),
    ("true", 1, "a constant is no condition"),
    ("5", 1, "a constant is no condition"),
    ("always always", 1, "stands alone"),
    ("resource.status in []", 20, "empty"),
    ('resource.status in ["a"', 24, "expected `,`"),
    ('resource.status in ["a" "b"]', 25, "expected `,`"),
    ("resource.status in [resource.status]", 21, "constants only"),
    ('resource.status in "a"', 20, "after `in`"),
    ('["a"] == resource.status', 1, "only stand after `in`"),
    ("resource.total in [" + ",".join(["1"] * 201) + "]", 420, "longer than"),
    ("has resource.total", 5, "expected `(`"),
    ("has(5)", 5, "takes a path"),
    ("has(resource.total", 19, "expected `)`"),
    ("has(resource.total) == true", 21, "no operand"),
    ("size(resource.status) == 1", 1, "no function `size`"),
    ('timestmp("x") == resource.created_at', 1, "did you mean `timestamp`?"),
    ('resource.status.startsWith("a")', 17, "no method"),
    ('resource["total"] == 5', 9, "no indexing"),
    ("resource. == 5", 11, "expected a name"),
    ('status == "a"', 1, "did you mean `resource.status`?"),
    ("resourse.total == 5", 1, "did you mean `resource`?"),
    ("(" * 33 + "resource.archived" + ")" * 33, 33, "nested deeper"),
    # types
    ("resource.totl == 5", 10, "did you mean `total`?"),
    ("resource.total == 5 && resource.totl == 5", 33, "did you mean `total`?"),
    ("principal.custmer_id == resource.customer_id", 11, "did you mean `customer_id`?"),
    ("request.tim == resource.created_at", 9, "did you mean `time`?"),
    ('principal.scopes == "a"', 11, "no attribute `scopes`"),
    ("resource == 5", 1, "is no value"),
    ("resource.custmer.user_id == principal.user_id", 10, "did you mean `customer`?"),
    ("resource.customer.userid == principal.user_id", 19, "did you mean `user_id`?"),
    ("resource.status.length == 5", 10, "none of its own"),
    ("principal.customer_id.x == 5", 23, "has no attributes"),
    ("resource.customer == 5", 10, "is a relation"),
    ("resource.items == 5", 10, "is a collection"),
    ("resource.document == 5", 10, "cannot be used"),
    ("has(resource.document)", 14, "cannot be used"),
    ("has(resource.nothing)", 14, "no attribute `nothing`"),
    ('resource.total == "5"', 16, "an integer with a string"),
    ("resource.total == true", 16, "an integer with a boolean"),
    ("resource.archived == 1", 19, "a boolean with an integer"),
    ("resource.status == principal.user_id", 17, "a UUID compares with a UUID only"),
    ('resource.status < "b"', 17, "collate"),
    ("resource.archived < true", 19, "orders integers and timestamps only"),
    ("resource.customer_id >= principal.customer_id", 22, "orders integers and timestamps only"),
    ("5 == 5", 3, "never varies"),
    ('"a" in ["a"]', 5, "never varies"),
    ("resource.total", 1, "compare it with something"),
    ("resource.total && resource.archived", 1, "compare it with something"),
    ("principal.roles", 1, "compare it with something"),
    ('principal.roles == "manager"', 1, "write `… in principal.roles`"),
    ("resource.total in principal.roles", 16, "an integer in a list of strings"),
    ("resource.status in resource.status", 20, "is not a list"),
    ("resource.status in principal.acr", 20, "is not a list"),
    ('resource.total in [1, "2"]', 23, "must hold integer values"),
    ('resource.customer_id == "42"', 25, "not a UUID"),
    ('resource.customer_id == "6F1A0C52-6D28-4B0C-9D57-0E6C7A3D1111"', 25, "canonical form"),
    ('resource.created_at < "2026-01-01T00:00:00Z"', 23, "write `timestamp("),
    ('resource.created_at < timestamp("2026-01-01")', 33, "RFC 3339"),
    ('resource.created_at < timestamp("2026-02-30T00:00:00Z")', 33, "RFC 3339"),
    ('resource.created_at < timestamp("2026-01-01T00:00:00.1234567Z")', 33, "RFC 3339"),
    ('resource.created_at < timestamp("0001-01-01T00:00:00+05:00")', 33, "RFC 3339"),
    ("resource.created_at < timestamp(5)", 33, "takes a text"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSED)
def test_a_wrong_condition_is_refused_at_its_column(text: str, column: int, message: str) -> None:
    """The first character that does not fit is named, and what to write instead."""
    fault = fault_in(text)
    assert (fault.line, fault.column) == (1, column), fault
    assert message in fault.message


ACCEPTED = [
    "always",
    "resource.archived",
    "!resource.archived",
    "!!resource.archived",
    "((resource.archived))",
    "resource.total == -9223372036854775808",
    "resource.total <= 9223372036854775807",
    "5 < resource.total",
    "resource.archived == true",
    "resource.status != \"a\\u0041\\n\\\"\" || resource.status == 'it\\'s'",
    'resource.status in ["a", "b"]',
    'resource.customer_id in ["6f1a0c52-6d28-4b0c-9d57-0e6c7a3d1111"]',
    '"manager" in principal.roles',
    "resource.status in principal.roles",
    "has(resource.customer) && !has(resource.customer.name) && has(principal.acr)",
    "resource.customer.user_id == principal.user_id",
    'request.time >= timestamp("2026-01-01T00:00:00.5+02:00") && request.credential == "session"',
    "principal.acr == request.acr",
    "\n resource.total == 5\n && resource.archived \n",
    "(" * 32 + "resource.archived" + ")" * 32,
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_right_condition_is_accepted(text: str) -> None:
    """The twin of the refusals."""
    typed(text)


def test_precedence_is_that_of_cel() -> None:
    """`!` before comparisons, `&&` before `||`."""
    match typed('!resource.archived && resource.total == 5 || "a" in principal.roles || has(resource.status)'):
        case Or((And((Not(Truth()), Comparison())), Membership(), Presence())):
            pass
        case other:
            pytest.fail(str(other))


def test_long_chains_do_not_exhaust_the_stack() -> None:
    """Only parentheses nest; a chain as long as the limit allows stays flat."""
    text = " && ".join(["resource.archived"] * 190)
    assert isinstance(typed(text), And)
    typed("!" * 4001 + "resource.archived")


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("total_minr", {"total_minor", "status"}, "; did you mean `total_minor`?"),
        ("zzz", {"b", "a"}, "; known: a, b"),
        ("zzz", set(), ""),
    ],
)
def test_suggestions(word: str, known: set[str], expected: str) -> None:
    """The nearest name, else a short list, else nothing."""
    assert suggestion(word, known) == expected
