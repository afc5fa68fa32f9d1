"""Orders in version 1: their shape, and the endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from flask import Blueprint
from flask.views import MethodView
from pydantic import Field, Strict

from secure_api.pipeline import (
    Collection,
    Item,
    PageQuery,
    Reply,
    Representation,
    RequestContext,
    StrictModel,
    endpoint,
)
from secure_api.pipeline.reply import deleted, many, one
from secure_api.resources.orders import service
from secure_api.resources.orders.model import Order, OrderStatus


def _links(order: Mapping[str, Any]) -> Mapping[str, str]:
    return {"self": f"/api/v1/orders/{order['id']}"}


ORDER = Representation(
    resource="orders",
    members={
        "id": "id",
        "customer_id": "customer_id",
        "status": "status",
        "total_minor": "total_minor",
        "currency": "currency",
        "note": "note",
        "internal_note": "internal_note",
        "archived": "archived",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    links=_links,
)


class OrderChange(StrictModel):
    """The members of an order that staff may change."""

    # JSON has no enumerations: the strict model takes the text of a status here.
    status: Annotated[OrderStatus | None, Strict(False)] = None
    internal_note: str | None = Field(default=None, max_length=500)


class OrderCollection(MethodView):
    """`/api/v1/orders`"""

    init_every_request = False

    @endpoint("orders:list", objects=Collection(Order), query=PageQuery, answer=ORDER, rate_limit="read")
    def get(self, context: RequestContext) -> Reply:
        """The orders that the caller may see: a customer's own, every one for staff."""
        return many(context.rows)


class OrderItemResource(MethodView):
    """`/api/v1/orders/{order_id}`"""

    init_every_request = False

    @endpoint("orders:read", objects=Item(Order, "order_id"), answer=ORDER, rate_limit="read")
    def get(self, context: RequestContext) -> Reply:
        """One order."""
        return one(context.row)

    @endpoint("orders:update", objects=Item(Order, "order_id"), body=OrderChange, answer=ORDER, rate_limit="write")
    def patch(self, context: RequestContext) -> Reply:
        """Change the status or the internal note."""
        if context.body.status is not None:
            service.change_status(context.row, context.body.status)
        if "internal_note" in context.body.model_fields_set:
            context.row.internal_note = context.body.internal_note
        return one(context.row)

    @endpoint("orders:delete", objects=Item(Order, "order_id"), answer=ORDER, rate_limit="write")
    def delete(self, context: RequestContext) -> Reply:
        """Delete the order."""
        service.delete_order(context.session, context.row)
        return deleted()


blueprint = Blueprint("orders_v1", __name__, url_prefix="/api/v1")
blueprint.add_url_rule("/orders", view_func=OrderCollection.as_view("collection"))
blueprint.add_url_rule("/orders/<uuid:order_id>", view_func=OrderItemResource.as_view("item"))
