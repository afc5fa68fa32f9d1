"""Every declared route as the matrix sees it."""

from __future__ import annotations

import re

from flask import Flask

from secure_api.pipeline.completeness import views_of
from secure_api.pipeline.declaration import Collection, Declaration, Item
from secure_api.pipeline.endpoint import DECLARATION
from secure_api.policy.matrix import MatrixRoute

_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


def declared_routes(app: Flask) -> list[MatrixRoute]:
    """Every route and method that an `endpoint()` declares, in the order of the paths."""
    found = [
        _route(_PARAMETER.sub(r"{\1}", rule.rule), method, declaration)
        for rule in app.url_map.iter_rules()
        for method, view in views_of(app, rule)
        if (declaration := getattr(view, DECLARATION, None)) is not None
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def _route(path: str, method: str, declaration: Declaration) -> MatrixRoute:
    objects = declaration.objects
    return MatrixRoute(
        path=path,
        method=method,
        resource=declaration.resource,
        action=declaration.action,
        objects="collection" if isinstance(objects, Collection) else "item" if isinstance(objects, Item) else "new",
        credentials=declaration.credentials,
        requires_authentication=declaration.authentication == "required",
        is_page=declaration.surface == "page",
    )
