"""Typed values from YAML nodes. Every mismatch becomes a fault at its place, and reading goes on."""

from __future__ import annotations

import re
from collections.abc import Collection

from secure_api.errors import PolicyFault
from secure_api.policy.source import nearest, suggestion
from secure_api.policy.yaml_nodes import Items, Node, Scalar, Table

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,17}")


class Reader:
    """Reads nodes; a wrong or absent one gives an empty value after a fault was added."""

    def __init__(self, faults: list[PolicyFault]) -> None:
        self._faults = faults

    def refuse(self, node: Node, message: str) -> None:
        """Add a fault at a node."""
        self._faults.append(node.place.fault(message))

    def version(self, node: Node | None) -> None:
        """Accept format version 1 only."""
        if node is not None and not (isinstance(node, Scalar) and node.text == "1" and not node.style):
            self.refuse(node, "this release reads `version: 1`")

    def table(
        self, node: Node | None, what: str, *, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> dict[str, Node]:
        """The entries of a table that has all required keys and no unknown one."""
        if node is None:
            return {}
        if not isinstance(node, Table):
            self.refuse(node, f"{what} must be a table (`key: value`)")
            return {}
        known, misspelt = (*required, *optional), list[str]()
        for key in node.keys.values():
            if key.text not in known:
                misspelt += nearest(key.text, known)
                self.refuse(key, f"{what} has no key `{key.text}`{suggestion(key.text, known)}")
        for name in required:
            if name not in node.entries and name not in misspelt:
                self.refuse(node, f"{what} lacks `{name}`")
        return node.entries

    def entries(self, node: Node | None, what: str) -> list[tuple[Scalar, Node]]:
        """The entries of a table with free keys, with the key nodes."""
        if node is None:
            return []
        if not isinstance(node, Table):
            self.refuse(node, f"`{what}` must be a table (`key: value`)")
            return []
        return [(node.keys[key], value) for key, value in node.entries.items()]

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """The items of a list."""
        if node is None:
            return ()
        if not isinstance(node, Items):
            self.refuse(node, f"`{what}` must be a list (`[a, b]`)")
            return ()
        return node.items

    def scalar(self, node: Node | None, what: str) -> Scalar | None:
        """A text node, refused where YAML 1.1 would read something else than text."""
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.refuse(node, f"`{what}` must be text")
            return None
        if node.implied == "null":
            self.refuse(node, f"`{what}` is empty")
            return None
        if node.implied != "str":
            self.refuse(node, f"YAML 1.1 reads `{node.text}` as {node.implied}; write `{what}` in quotes")
            return None
        return node

    def text(self, node: Node | None, what: str) -> str | None:
        """Text that is not empty."""
        scalar = self.scalar(node, what)
        if scalar is not None and not scalar.text.strip():
            self.refuse(scalar, f"`{what}` is empty")
            return None
        return None if scalar is None else scalar.text

    def texts(self, node: Node | None, what: str, *, known: Collection[str] | None = None) -> list[Scalar]:
        """A list of different texts, each of them known where `known` is given."""
        found = dict[str, Scalar]()
        for item in self.items(node, what):
            scalar = self.scalar(item, what)
            if scalar is None:
                continue
            if scalar.text in found:
                self.refuse(scalar, f"`{scalar.text}` stands twice in `{what}`")
            elif known is not None and scalar.text not in known:
                self.refuse(scalar, f"unknown name `{scalar.text}` in `{what}`{suggestion(scalar.text, known)}")
            else:
                found[scalar.text] = scalar
        return list(found.values())

    def one_of(self, node: Node | None, what: str, known: Collection[str]) -> str | None:
        """Text that is one of the known ones."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        if scalar.text not in known:
            self.refuse(scalar, f"`{what}` cannot be `{scalar.text}`{suggestion(scalar.text, known)}")
            return None
        return scalar.text

    def integer(self, node: Node | None, what: str) -> int | None:
        """A plain decimal integer; YAML 1.1 would also read `1:30` (90) and `010` (8)."""
        if node is None:
            return None
        if isinstance(node, Scalar) and not node.style and _INTEGER.fullmatch(node.text):
            return int(node.text)
        self.refuse(node, f"`{what}` must be a whole number in plain decimal digits")
        return None

    def name(self, node: Scalar, what: str) -> None:
        """Accept lower-case names only, so that two spellings never mean two things."""
        if not _NAME.fullmatch(node.text):
            self.refuse(node, f"{what} is named in lower-case letters, digits and `_`, not `{node.text}`")
