"""SQL prepared once for many callers: a copy for each, with the caller's values in parameters of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, bindparam
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.types import TypeEngine

Predicate = ColumnElement[bool]

_Fill = Callable[[tuple[Any, ...]], Any]


def parameter(kind: TypeEngine[Any], value: object) -> BindParameter[Any]:
    """A parameter of a name that no other one has."""
    return bindparam(None, value, type_=kind, unique=True)


class PreparedSql:
    """SQL in which some parameters have no value yet. Unfilled they are NULL, so that no row would match."""

    def __init__(self, expression: Predicate, places: list[tuple[BindParameter[Any], int]]) -> None:
        self.expression = expression
        self._places = {id(bind): (bind.type, index) for bind, index in places}
        self._fill = self._fill_of(expression)

    def filled(self, values: tuple[Any, ...]) -> Predicate:
        """The SQL with these values, in parameters of new names: two of one name in a statement would be one."""
        if self._fill is None:
            return self.expression
        predicate: Predicate = self._fill(values)
        return predicate

    def _fill_of(self, element: Any) -> _Fill | None:
        """Makes a copy with the values; None if no place is inside, so that the element serves as it is.

        Comparisons and AND and OR over them, which are nearly all there is, are copied here because
        SQLAlchemy's own walk costs more, and this runs for every query.
        """
        if id(element) in self._places:
            kind, index = self._places[id(element)]
            return lambda values: parameter(kind, values[index])
        inner = [(child, self._fill_of(child)) for child in element.get_children()]
        if all(fill is None for _, fill in inner):
            return None
        if isinstance(element, BooleanClauseList):
            return _list_fill(element, inner)
        if isinstance(element, BinaryExpression):
            return _comparison_fill(element, dict(zip(("left", "right"), inner, strict=True)))
        return self._walk(element)

    def _walk(self, whole: ColumnElement[Any]) -> _Fill:
        fixed = list(_fixed_inside(whole, self._places))

        def fill(values: tuple[Any, ...]) -> Any:
            def with_value(element: Any, **_options: Any) -> BindParameter[Any] | None:
                place = self._places.get(id(element))
                return None if place is None else parameter(place[0], values[place[1]])

            return visitors.replacement_traverse(whole, {"stop_on": fixed}, with_value)

        return fill


def _list_fill(element: BooleanClauseList, inner: list[tuple[Any, _Fill | None]]) -> _Fill:
    def fill(values: tuple[Any, ...]) -> Any:
        copy = element._clone()
        copy.clauses = tuple(child if part is None else part(values) for child, part in inner)
        return copy

    return fill


def _comparison_fill(element: BinaryExpression[Any], inner: Mapping[str, tuple[Any, _Fill | None]]) -> _Fill:
    parts = [(side, part) for side, (_, part) in inner.items() if part is not None]

    def fill(values: tuple[Any, ...]) -> Any:
        copy = element._clone()
        for side, part in parts:
            setattr(copy, side, part(values))
        return copy

    return fill


def _fixed_inside(element: Any, places: Collection[int]) -> Iterator[Any]:
    """The outermost elements inside that hold no place: a walk leaves them as they are."""
    for child in element.get_children():
        if not any(id(part) in places for part in visitors.iterate(child)):
            yield child
        elif id(child) not in places:
            yield from _fixed_inside(child, places)
