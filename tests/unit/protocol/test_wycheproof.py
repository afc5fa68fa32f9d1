"""Project Wycheproof's JSON Web vectors, through the functions that check every token here.

Each of the 649 cases is run; none is skipped. `invalid` must be refused. `valid` must be accepted, except
for the kinds that this API takes from nobody: those must be refused too, and are counted by kind.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from secure_api.errors import InvalidToken, OutboundFailed
from secure_api.protocol.jwks import SIGNATURE_ALGORITHMS, parse_jwks
from secure_api.protocol.jws import parse_compact, verify_signature
from secure_api.protocol.reasons import Reason, refused

VECTORS = Path(__file__).parents[2] / "vectors" / "wycheproof"
FILES = {"signature": 401, "key": 26, "crypto": 83, "encryption": 139}
ALGORITHMS = sorted(SIGNATURE_ALGORITHMS)
MAX_VECTOR_BYTES = 65_536  # some vectors are longer than a token may be; their length is not what they test

MAC = "MAC key: no issuer shares a secret with this API"
JWE = "JWE: no accepted issuer encrypts its tokens"
OTHER_ALGORITHM = "the key names an algorithm, and the token uses another one of its family"
NO_SUCH_ALGORITHM = "the key's `alg` is ES521, which is no algorithm (RFC 7518 §3.1 has ES512)"


@dataclass(frozen=True)
class Vector:
    """One case: the group's key (its public form where it has one) and the token."""

    file: str
    number: int
    comment: str
    document: Mapping[str, Any]
    token: str
    valid: bool

    @property
    def name(self) -> str:
        return f"{self.file}-{self.number}-{self.comment}"

    @property
    def unaccepted_kind(self) -> str | None:
        """Why this API refuses even a valid token of this kind; None where it accepts one."""
        keys = self.document["keys"]
        if self.token.count(".") == 4 or any(key.get("use") == "enc" for key in keys):
            return JWE
        if all(key["kty"] == "oct" for key in keys):
            return MAC
        if keys[0].get("alg") == "ES521":
            return NO_SUCH_ALGORITHM
        return OTHER_ALGORITHM if (self.file, self.number) in {("signature", 346), ("signature", 350)} else None


def read_vectors() -> Iterator[Vector]:
    for file in FILES:
        for group in json.loads((VECTORS / f"json_web_{file}_test.json").read_text())["testGroups"]:
            key = group.get("public") or group["private"]
            document = key if "keys" in key else {"keys": [{"kid": "the only key", **key}]}
            for test in group["tests"]:
                token = test["jws"] if "jws" in test else test["jwe"]
                # The JSON serialization stands in the files as an object; it is sent as text.
                text = token if isinstance(token, str) else json.dumps(token)
                yield Vector(file, test["tcId"], test["comment"], document, text, test["result"] == "valid")


ALL = list(read_vectors())


def verify(vector: Vector) -> None:
    """What `AccessTokenVerifier` does up to the claims; a token without `kid` is taken for the only key's."""
    jws = parse_compact(vector.token, max_bytes=MAX_VECTOR_BYTES)
    keys = parse_jwks(vector.document, ALGORITHMS)
    key = keys.find(jws.key_id) if jws.key_id is not None else next(iter(keys))
    if key is None:
        raise refused(Reason.UNKNOWN_KEY)
    verify_signature(jws, key, ALGORITHMS)


def outcome(vector: Vector) -> str:
    try:
        verify(vector)
    except InvalidToken as error:
        return error.reason
    except OutboundFailed as error:
        return error.log_detail
    return "accepted"


def test_every_vector_is_here() -> None:
    """The vendored files are complete: their own counts, and each case once."""
    assert Counter(vector.file for vector in ALL) == FILES
    assert len({vector.name for vector in ALL}) == len(ALL) == 649


@pytest.mark.parametrize("vector", [vector for vector in ALL if not vector.valid], ids=lambda vector: vector.name)
def test_attacker_cannot_pass_an_invalid_vector(vector: Vector) -> None:
    """Forged signatures, broken encodings, weak and unfit keys: each is refused."""
    with pytest.raises((InvalidToken, OutboundFailed)):
        verify(vector)


@pytest.mark.parametrize("vector", [vector for vector in ALL if vector.valid], ids=lambda vector: vector.name)
def test_valid_vector_of_an_accepted_kind_is_accepted(vector: Vector) -> None:
    """A valid signature passes; a valid token of a kind that we take from nobody does not."""
    if vector.unaccepted_kind is None:
        verify(vector)
    else:
        with pytest.raises((InvalidToken, OutboundFailed)):
            verify(vector)


def test_what_is_not_accepted_is_counted_by_kind() -> None:
    """No vector falls out silently: the valid ones, by what becomes of them."""
    valid = Counter((vector.file, vector.unaccepted_kind or "accepted") for vector in ALL if vector.valid)
    assert valid == {
        ("signature", "accepted"): 32,
        ("signature", MAC): 10,
        ("signature", OTHER_ALGORITHM): 2,
        ("signature", NO_SUCH_ALGORITHM): 2,
        ("key", "accepted"): 1,
        ("key", MAC): 4,
        ("crypto", "accepted"): 2,
        ("crypto", MAC): 2,
        ("crypto", JWE): 2,
        ("encryption", JWE): 65,
    }


def test_invalid_vectors_are_refused_for_their_own_reason() -> None:
    """What stopped each invalid vector under a usable key: were the key at fault, the vector would prove nothing."""
    found = Counter(outcome(vector) for vector in ALL if not vector.valid and vector.unaccepted_kind is None)
    assert found == {
        Reason.BAD_SIGNATURE: 300,
        Reason.MALFORMED: 28,
        Reason.ALGORITHM_NOT_ALLOWED: 9,
        Reason.UNSIGNED: 8,
        Reason.UNKNOWN_KEY: 4,
        "key set: no usable key": 10,
    }
