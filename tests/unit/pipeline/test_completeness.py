"""The start-up gate: a route without a whole decision stops the start, and says where it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from flask.views import MethodView, View

from secure_api.errors import UndeclaredRoute
from secure_api.pipeline import Collection, Item, NewItem, Reply, Representation, RequestContext, endpoint
from secure_api.pipeline.completeness import require_complete_declarations
from secure_api.pipeline.endpoint import DECLARATION
from secure_api.pipeline.public import PUBLIC_ENDPOINTS
from secure_api.pipeline.services import EXTENSION, Services
from secure_api.resources.orders.model import Order
from secure_api.resources.products.model import Product
from secure_api.settings import PROJECT_ROOT

HERE = Path(__file__).relative_to(PROJECT_ROOT)
SHOWN = Representation("orders", {"id": "id"})


def faults_of(app: Flask) -> list[str]:
    """The faults of the app's routes; none if it may start."""
    services: Services = app.extensions[EXTENSION]
    try:
        require_complete_declarations(app, services.policies.current, services.limiter)
    except UndeclaredRoute as error:
        return error.log_detail.split("\n")
    return []


def line_of(function: Callable[..., Any]) -> int:
    return inspect.unwrap(function).__code__.co_firstlineno


def declared(**changes: Any) -> Callable[..., Response]:
    """A view that differs from a right one in `changes`."""
    usual: dict[str, Any] = {
        "permission": "orders:list",
        "objects": Collection(Order),
        "answer": SHOWN,
        "rate_limit": "read",
    }
    members = {**usual, **changes}

    @endpoint(members.pop("permission"), **members)
    def view(context: RequestContext) -> Reply:
        return Reply()

    return view


def test_the_application_is_wholly_declared(app: Flask) -> None:
    assert faults_of(app) == []
    app.add_url_rule("/orders", endpoint="right", view_func=declared())
    assert faults_of(app) == []


def test_a_route_without_a_declaration_stops_the_start_and_is_named(app: Flask) -> None:
    """A forgotten declaration is a process that does not start, not an open door."""

    def forgotten() -> Response:
        return Response("open")

    app.add_url_rule("/forgotten", view_func=forgotten)
    (fault,) = faults_of(app)
    assert fault.startswith(f"{HERE}:{line_of(forgotten)}: GET /forgotten has no endpoint() declaration")
    assert "secure_api/pipeline/public.py" in fault


class _HalfDeclared(MethodView):
    get = declared()

    def post(self) -> Response:
        return Response("open")


class _OwnHead(MethodView):
    get = declared()

    def head(self) -> Response:
        return Response("open")


class _OwnOptions(MethodView):
    get = declared()

    def options(self) -> Response:
        return Response("open")


class _Plain(View):
    methods = ("GET",)

    def dispatch_request(self) -> Response:
        return Response("open")


@pytest.mark.parametrize(
    ("view_class", "method"),
    [(_HalfDeclared, "POST"), (_OwnHead, "HEAD"), (_OwnOptions, "OPTIONS"), (_Plain, "GET")],
)
def test_no_method_of_a_class_is_left_out(app: Flask, view_class: type[View], method: str) -> None:
    """Also HEAD and OPTIONS, where a view answers them itself."""
    app.add_url_rule("/half", view_func=view_class.as_view("half"))
    (fault,) = faults_of(app)
    assert f"{method} /half has no endpoint() declaration" in fault


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE", "PROPFIND"])
def test_no_method_of_a_function_is_left_out(app: Flask, method: str) -> None:
    def view() -> Response:
        return Response("open")

    app.add_url_rule("/odd", view_func=view, methods=[method])
    (fault,) = [fault for fault in faults_of(app) if f"{method} /odd" in fault]
    assert fault.startswith(f"{HERE}:{line_of(view)}: ")


def test_a_view_that_is_no_function_is_named_as_it_is(app: Flask) -> None:
    app.add_url_rule("/callable", endpoint="callable", view_func=int)
    (fault,) = faults_of(app)
    assert "GET /callable has no endpoint() declaration" in fault


def test_a_static_folder_is_a_route_too(app: Flask) -> None:
    app.add_url_rule("/files/<path:filename>", endpoint="static", view_func=app.send_static_file)
    (fault,) = faults_of(app)
    assert "GET /files/<path:filename>" in fault


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"permission": "odrers:list"}, "no policy file guards 'odrers'; did you mean 'orders'?"),
        ({"permission": "orders"}, "orders has no action ''"),
        ({"permission": "orders:lsit"}, "orders has no action 'lsit'; did you mean 'list'?"),
        ({"permission": "orders:xyz"}, "orders has no action 'xyz'"),
        ({"rate_limit": "raed"}, "unknown rate limit class 'raed'; did you mean 'read'?"),
        ({"rate_limit": "unlimited"}, "unknown rate limit class 'unlimited'"),
        ({"objects": Collection(Product)}, "the rows are guarded by 'products', not 'orders'"),
        ({"objects": NewItem(Product)}, "the rows are guarded by 'products', not 'orders'"),
        ({"answer": Representation("products", {"id": "id"})}, "the answer shows 'products', not 'orders'"),
        ({"answer": Representation("orders", {"id": "idd"})}, "the answer names the unknown attribute 'idd'"),
        ({"objects": Item(Order, "oder_id")}, "the path has no parameter 'oder_id'; did you mean 'order_id'?"),
    ],
)
def test_a_declaration_that_the_policy_does_not_know_stops_the_start(
    app: Flask, changes: dict[str, Any], expected: str
) -> None:
    view = declared(**changes)
    app.add_url_rule("/x/<uuid:order_id>", endpoint="wrong", view_func=view)
    (fault,) = faults_of(app)
    assert fault == f"{HERE}:{line_of(view)}: GET /x/<uuid:order_id>: {expected}"


def test_every_fault_is_named_at_once(app: Flask) -> None:
    app.add_url_rule("/a", endpoint="a", view_func=declared(rate_limit="x", permission="orders:y"))
    app.add_url_rule("/b", endpoint="b", view_func=lambda: Response())
    faults = faults_of(app)
    assert len(faults) == 3
    assert {fault.split(" ")[2].rstrip(":") for fault in faults} == {"/a", "/b"}


def test_a_view_cannot_be_open_because_its_name_is_like_a_public_one(app: Flask) -> None:
    """The list of public endpoints holds exact names."""
    for name in ("pages.home2", "healthz", "WEB.HEALTHZ", "web.healthz.x".replace(".x", "_")):
        app.add_url_rule(f"/{name}", endpoint=name, view_func=lambda: Response())
    assert len(faults_of(app)) == 4


def test_every_public_endpoint_exists_and_has_a_reason(app: Flask) -> None:
    """A stale entry would open whatever route takes that name later."""
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert set(PUBLIC_ENDPOINTS) <= endpoints
    assert all(len(reason) > 10 for reason in PUBLIC_ENDPOINTS.values())


def test_public_endpoints_are_not_declared_and_all_others_are(app: Flask) -> None:
    declared_endpoints = set()
    for name, view in app.view_functions.items():
        owner = getattr(view, "view_class", None)
        views = [getattr(owner, method.lower()) for method in owner.methods] if owner else [view]
        if all(hasattr(each, DECLARATION) for each in views):
            declared_endpoints.add(name)
    assert declared_endpoints == set(app.view_functions) - set(PUBLIC_ENDPOINTS)
