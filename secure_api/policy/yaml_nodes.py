"""YAML as a plain tree in which every node knows its line and column.

Only a small part of YAML is accepted: tables, lists and scalars. Anchors, aliases, tags, tabs,
directives, duplicate keys, a second document, deep nesting and large files are refused. Nothing is
constructed: a scalar stays text, together with what YAML 1.1 would have made of it (`no` is a
boolean there), so that the reader can refuse the surprise instead of following it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from secure_api.errors import PolicyFault
from secure_api.policy.source import SourceText

MAX_FILE_BYTES = 262_144
MAX_NESTING = 12
_TAG_PREFIX = "tag:yaml.org,2002:"
_Loader: TypeAlias = "type[yaml.SafeLoader] | type[yaml.CSafeLoader]"
# libyaml, where PyYAML was built with it, gives the same events in a tenth of the time.
_QUICK_LOADER: _Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a policy file; line and column count from 1."""

    file: str
    line: int
    column: int

    def fault(self, message: str) -> PolicyFault:
        """A fault at this place."""
        return PolicyFault(self.file, self.line, self.column, message)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text. `implied` is what YAML 1.1 takes an unquoted one for: str, int, bool, null, timestamp, float."""

    text: str
    implied: str
    style: str  # empty for plain, else one of ' " | >
    raw: str  # as it stands in the file, quotes included
    place: Place

    def source(self) -> SourceText:
        """The text, with the place in the file of each character."""
        return SourceText(self.text, self.place.file, _places(self))


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping from text to nodes. `keys` holds the key scalars, for their places."""

    entries: dict[str, Node]
    keys: dict[str, Scalar]
    place: Place


Node = Scalar | Items | Table


def read_table(content: bytes, file: str, faults: list[PolicyFault]) -> Table | None:
    """The table that a file holds, or None after adding at least one fault."""
    text = _decoded(content, file, faults)
    if text is None:
        return None
    quick = list[PolicyFault]()
    table = _table_in(text, file, _QUICK_LOADER, quick)
    if not quick:
        return table
    # What is wrong, and where, is always told by PyYAML itself: libyaml words and places some faults otherwise.
    found = list[PolicyFault]()
    _table_in(text, file, yaml.SafeLoader, found)
    faults += found or quick
    return None


def _table_in(text: str, file: str, loader: _Loader, faults: list[PolicyFault]) -> Table | None:
    try:
        node = _Composer(text, file, loader, faults).document()
    except yaml.MarkedYAMLError as error:
        faults.append(_syntax_fault(error, file))
        return None
    except yaml.reader.ReaderError as error:
        place = _place_of(text, error.position, file)
        faults.append(place.fault("the file holds a character that YAML does not allow"))
        return None
    if faults:
        return None
    if not isinstance(node, Table):
        faults.append(PolicyFault(file, 1, 1, "the file must hold a table, beginning with `version: 1`"))
        return None
    return node


def _decoded(content: bytes, file: str, faults: list[PolicyFault]) -> str | None:
    if len(content) > MAX_FILE_BYTES:
        # The place of the first byte too many: the file is not read any further.
        head = content[:MAX_FILE_BYTES]
        line, column = head.count(b"\n") + 1, len(head) - head.rfind(b"\n")
        faults.append(PolicyFault(file, line, column, f"the file is larger than {MAX_FILE_BYTES} bytes"))
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        faults.append(_place_of(before, len(before), file).fault("the file is not UTF-8"))
        return None
    tab = text.find("\t")
    if tab >= 0:
        faults.append(_place_of(text, tab, file).fault("the file holds a tab; write spaces"))
        return None
    return text


def _place_of(text: str, index: int, file: str) -> Place:
    return Place(file, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _syntax_fault(error: yaml.MarkedYAMLError, file: str) -> PolicyFault:
    problem, mark = str(error.problem or error.context), error.problem_mark or error.context_mark
    if "alias" in str(error.context):
        problem, mark = 'a leading `*` is a YAML alias; write `"*"`', error.context_mark
    elif "start any token" in problem:
        problem += "; text with special characters goes in quotes"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return PolicyFault(file, line, column, f"not YAML: {problem}")


class _Composer:
    """Nodes from PyYAML's event stream; it stops at the first event too deep, before Python's stack does."""

    def __init__(self, text: str, file: str, loader: _Loader, faults: list[PolicyFault]) -> None:
        self._text = text
        self._file = file
        self._faults = faults
        self._resolver = yaml.SafeLoader("")
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)

    def document(self) -> Node | None:
        node: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if node is not None:
                    self._refuse(event, "the file holds a second document")
                    return node
                if event.version or event.tags:
                    self._refuse(event, "YAML directives are not accepted")
            elif isinstance(event, yaml.NodeEvent):
                node = self._node(event, 1)
                if node is None:
                    return None
        return node

    def _refuse(self, event: yaml.Event, message: str) -> None:
        self._faults.append(self._place(event).fault(message))

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file, 1, 1)

    def _node(self, event: yaml.Event, depth: int) -> Node | None:
        """The node that an event begins; None if the file is not worth reading further."""
        if depth > MAX_NESTING:
            self._refuse(event, f"nested deeper than {MAX_NESTING} levels")
            return None
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, 'anchors and aliases are not accepted; a `*` that is meant is written `"*"`')
            return None
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._refuse(event, "anchors and aliases are not accepted")
            return None
        tag = getattr(event, "tag", None)
        if tag is not None:
            hint = "; put a condition that begins with `!` in quotes" if tag.startswith("!") else ""
            self._refuse(event, f"YAML tags are not accepted{hint}")
            return None
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(event, depth)
        return self._table(event, depth)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        style = event.style or ""
        implied = "str"
        if not style:
            tag: object = self._resolver.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore[no-untyped-call]
            implied = str(tag).removeprefix(_TAG_PREFIX)
        begin, end = event.start_mark, event.end_mark
        raw = self._text[begin.index : end.index] if begin and end else event.value
        return Scalar(event.value, implied, style, raw, self._place(event))

    def _items(self, start: yaml.Event, depth: int) -> Items | None:
        items = list[Node]()
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            node = self._node(event, depth + 1)
            if node is None:
                return None
            items.append(node)
        return Items(tuple(items), self._place(start))

    def _table(self, start: yaml.Event, depth: int) -> Table | None:
        entries, keys = dict[str, Node](), dict[str, Scalar]()
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1) if key is not None else None
            if key is None or value is None:
                return None
            if not isinstance(key, Scalar):
                self._faults.append(key.place.fault("a key must be text"))
            elif key.implied != "str":
                self._faults.append(
                    key.place.fault(f"YAML 1.1 reads the key `{key.text}` as {key.implied}; write it in quotes")
                )
            elif key.text in entries:
                first = keys[key.text].place.line
                self._faults.append(key.place.fault(f"the key `{key.text}` stands twice; first on line {first}"))
            else:
                entries[key.text], keys[key.text] = value, key
        return Table(entries, keys, self._place(start))


def _places(scalar: Scalar) -> tuple[tuple[int, int], ...]:
    """For each character of the text, and for its end, the line and column in the file.

    YAML folds lines, strips indentation and has escapes, but keeps the order of the characters that
    are not white space. So both texts are walked together, skipping white space in the raw one.
    """
    raw, grid = scalar.raw, _grid(scalar)
    index = {"": 0, "'": 1, '"': 1}.get(scalar.style, raw.find("\n") + 1)
    places = []
    for character in scalar.text:
        if not character.isspace():
            while index < len(raw) and raw[index].isspace():
                index += 1
        while scalar.style == '"' and raw[index : index + 2] == "\\\n":
            index += 2
            while raw[index : index + 1].isspace():
                index += 1
        places.append(grid[min(index, len(raw))])
        index += _raw_length(scalar.style, raw, index)
    places.append(grid[min(index, len(raw))])
    return tuple(places)


def _grid(scalar: Scalar) -> list[tuple[int, int]]:
    line, column, grid = scalar.place.line, scalar.place.column, list[tuple[int, int]]()
    for character in scalar.raw:
        grid.append((line, column))
        line, column = (line + 1, 1) if character == "\n" else (line, column + 1)
    return [*grid, (line, column)]


def _raw_length(style: str, raw: str, index: int) -> int:
    """How many characters of the file stand for one character of the text."""
    if style == "'" and raw[index : index + 2] == "''":
        return 2
    if style == '"' and raw[index : index + 1] == "\\":
        return {"x": 4, "u": 6, "U": 10}.get(raw[index + 1 : index + 2], 2)
    return 1
