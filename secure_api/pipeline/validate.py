"""Stages that read the query and the body: strict types, unknown members refused (ASVS v5.0.0-2.2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from secure_api.errors import BadRequest, ValidationFailed
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.services import Services
from secure_api.web.json_body import read_json


def validate_query(_services: Services, context: RequestContext) -> None:
    """Fill `query`; unknown and repeated parameters are refused. Raises `BadRequest`."""
    values: dict[str, str] = {}
    for name, given in context.request.args.lists():
        if len(given) > 1:
            raise BadRequest(f"The query parameter {name!r} is there twice.", log_detail="repeated query parameter")
        values[name] = given[0]
    try:
        context.query = context.declaration.query.model_validate(values)
    except ValidationError as error:
        raise BadRequest(
            "The query is not what this endpoint takes.",
            log_detail="query",
            extensions={"errors": _described(error, "parameter", "")},
        ) from error


def validate_body(_services: Services, context: RequestContext) -> None:
    """Fill `body` from strict JSON. Raises `BadRequest`, `UnsupportedMediaType`, `ValidationFailed`."""
    model = context.declaration.body
    if model is None:
        return
    context.body = _validated(model, read_json(context.request))


def _validated(model: type[BaseModel], value: Any) -> BaseModel:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ValidationFailed(
            "Some members of the body are wrong.",
            log_detail="body",
            extensions={"errors": _described(error, "pointer", "/")},
        ) from error


def _described(error: ValidationError, place: str, prefix: str) -> list[dict[str, str]]:
    # Neither the value nor its type's internals: only where it is and what is wanted there.
    return [
        {place: prefix + _pointer(item["loc"]), "detail": item["msg"]}
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _pointer(location: Sequence[int | str]) -> str:
    """The location as a JSON pointer without its first slash (RFC 6901 §3)."""
    return "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in location)
