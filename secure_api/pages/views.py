"""The pages: home, sign in, account. Server-rendered, no script needed."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from sqlalchemy import ColumnElement
from werkzeug.wrappers import Response as BaseResponse

from secure_api.login.return_to import local_path_or_default
from secure_api.pipeline import Collection, PageQuery, Reply, RequestContext, endpoint
from secure_api.pipeline.reply import page
from secure_api.pipeline.services import EXTENSION, Services
from secure_api.principal import CredentialKind, Principal
from secure_api.resources.orders.model import Order
from secure_api.resources.orders.v1 import ORDER
from secure_api.web.cookies import COOKIES

blueprint = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/assets")


def _own(principal: Principal) -> ColumnElement[bool]:
    """The account page shows a person's own orders, also to staff who may see all."""
    if principal.customer_id is None:
        # No row: a key is never NULL. `false()` would fold the policy's own condition out of the statement as well.
        return Order.id.is_(None)
    return Order.customer_id == principal.customer_id


@blueprint.get("/")
def home() -> BaseResponse:
    """Who has a session cookie goes to the account page, everyone else to the sign-in page."""
    return redirect(url_for("pages.account" if COOKIES.session in request.cookies else "pages.sign_in"), code=303)


@blueprint.get("/sign-in")
def sign_in() -> Response:
    """One button per identity provider; each begins a sign-in that returns to `return_to`."""
    services: Services = current_app.extensions[EXTENSION]
    return_to = local_path_or_default(request.args.get("return_to"))
    html = render_template(
        "sign_in.html",
        providers=services.providers.for_login(),
        return_to=return_to,
        signed_out="signed_out" in request.args,
    )
    return Response(html, mimetype="text/html")


@blueprint.get("/account")
@endpoint(
    "orders:list",
    objects=Collection(Order, narrow=_own),
    query=PageQuery,
    answer=ORDER,
    rate_limit="page",
    credentials=frozenset({CredentialKind.SESSION}),
    surface="page",
)
def account(context: RequestContext) -> Reply:
    """The person's name, roles and own orders."""
    return page("account.html", context.rows)
