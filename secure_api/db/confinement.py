"""A compiled statement proves by itself that every guarded table in it is confined to a scope.

`with_loader_criteria` and hand-placed WHERE clauses are silently left out of some shapes of statements.
So nothing here trusts them: a scope is a `Confined` condition that names the table it stands for, the
compiler notes each guarded table that it renders as a source of rows and each `Confined` beside it, and
a source without its condition in the same SELECT is reported by `unconfined`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Engine, TableClause, TextClause
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.util import LoaderCriteriaOption
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.visitors import InternalTraversal

_NUMBERS = count()
_LEVEL = "secure_api_level"
_JOINS = "secure_api_joins"


class PolicyPart(Grouping[Any]):
    """An expression of the policy itself; the tables that it looks at are not narrowed by their own scopes."""

    inherit_cache = True

    def _ungroup(self) -> ColumnElement[Any]:
        return self

    def __getattr__(self, name: str) -> Any:
        # A grouping passes for what it holds, so `and_` would take an AND out of it and lose it.
        raise AttributeError(name)


class Confined(PolicyPart):
    """A condition that keeps a table to its scope.

    `anchor` is a column of the table. Where the ORM moves the condition to an alias it moves the anchor
    as well, so it tells which source of rows the condition is about.
    """

    inherit_cache = True
    _traverse_internals = [*Grouping._traverse_internals, ("anchor", InternalTraversal.dp_clauseelement)]  # noqa: RUF012 - as the base class has it
    _cache_key_traversal = [*Grouping._cache_key_traversal, ("anchor", InternalTraversal.dp_clauseelement)]  # noqa: RUF012

    def __init__(self, entity: Any, scope: ColumnElement[bool], mapper: Mapper[Any]) -> None:
        super().__init__(scope)
        key = str(mapper.get_property_by_column(mapper.primary_key[0]).key)
        self.anchor: Any = getattr(entity, key).__clause_element__()
        self._propagate_attrs = self.anchor._propagate_attrs


class ScopeOption(LoaderCriteriaOption):
    """`with_loader_criteria`, moved to the alias where an aliased entity is joined by an explicit ON as well."""

    _traverse_internals = LoaderCriteriaOption._traverse_internals

    def _resolve_where_criteria(self, ext_info: Any) -> ColumnElement[bool]:
        found: ColumnElement[bool] = super()._resolve_where_criteria(ext_info)
        return ext_info._adapter.traverse(found) if ext_info.is_aliased_class else found


def confine_compiler(engine: Engine, guarded: Collection[str]) -> None:
    """Statements of `engine` are compiled with a note of what `unconfined` reports."""
    base: Any = engine.dialect.statement_compiler
    named = text_pattern(guarded)

    class ConfinementCompiler(base):  # type: ignore[misc]
        """The dialect's compiler, taking notes."""

        # Set by the methods below, which the base class' constructor already calls.
        confined: set[tuple[int, str]]
        sources: list[tuple[int, str, str]]
        depth = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.confined, self.sources = set(), []
            super().__init__(*args, **kwargs)

        def visit_table(self, table: Any, asfrom: bool = False, **kwargs: Any) -> Any:
            if asfrom and not self.depth and table.name in guarded:
                alias = kwargs.get("enclosing_alias")
                source = alias if alias is not None and isinstance(alias.element, TableClause) else table
                self.sources.append((self._level(), str(source.name), table.name))
            return super().visit_table(table, asfrom=asfrom, **kwargs)

        def visit_grouping(self, grouping: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(grouping, PolicyPart):
                return super().visit_grouping(grouping, *args, **kwargs)
            if isinstance(grouping, Confined):
                entry = self._entry()
                found = (self._level(), str(grouping.anchor.table.name))
                (entry[_JOINS][-1] if entry.get(_JOINS) else self.confined).add(found)
            self.depth += 1
            try:
                return super().visit_grouping(grouping, *args, **kwargs)
            finally:
                self.depth -= 1

        def visit_join(self, join: Any, *args: Any, **kwargs: Any) -> Any:
            """What stands in ON keeps rows out of the result only on the sides that the join may drop."""
            joins = self._entry().setdefault(_JOINS, [])
            joins.append(set())
            try:
                return super().visit_join(join, *args, **kwargs)
            finally:
                sides = () if join.full else (join.right,) if join.isouter else (join.left, join.right)
                names = {str(getattr(source, "name", "")) for side in sides for source in side._from_objects}
                self.confined |= {found for found in joins.pop() if found[1] in names}

        def visit_textclause(self, textclause: TextClause, *args: Any, **kwargs: Any) -> Any:
            self._note_text(textclause.text)
            return super().visit_textclause(textclause, *args, **kwargs)

        def visit_column(self, column: Any, *args: Any, **kwargs: Any) -> Any:
            if column.is_literal:
                self._note_text(column.name)
            return super().visit_column(column, *args, **kwargs)

        def _note_text(self, text: str) -> None:
            if named and (found := named.search(text)):
                self.sources.append((-1, "", found.group()))  # nothing can confine plain text

        def _level(self) -> int:
            """A number of the SELECT, UPDATE or DELETE that is being rendered; no two share one."""
            number: int = self._entry().setdefault(_LEVEL, next(_NUMBERS))
            return number

        def _entry(self) -> dict[str, Any]:
            entry: dict[str, Any] = self.stack[-1] if self.stack else {}
            return entry

    engine.dialect.statement_compiler = ConfinementCompiler


def unconfined(compiled: Any) -> str | None:
    """The first guarded table that a compiled statement reads outside any scope; None if there is none."""
    for level, source, table in getattr(compiled, "sources", ()):
        if (level, source) not in compiled.confined:
            return str(table)
    return None


def text_pattern(guarded: Collection[str]) -> re.Pattern[str] | None:
    """Matches the name of a guarded table in plain SQL text."""
    return re.compile(rf"\b({'|'.join(map(re.escape, sorted(guarded)))})\b", re.IGNORECASE) if guarded else None
