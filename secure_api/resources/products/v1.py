"""Products in version 1: their shape, and the endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from flask.views import MethodView
from pydantic import Field, Strict

from secure_api.pipeline import (
    Collection,
    Item,
    NewItem,
    PageQuery,
    Reply,
    Representation,
    RequestContext,
    StrictModel,
    endpoint,
)
from secure_api.pipeline.reply import created, deleted, many, one
from secure_api.resources.products import service
from secure_api.resources.products.model import Product

MAX_MINOR_UNITS = 1_000_000_000


def _links(product: Mapping[str, Any]) -> Mapping[str, str]:
    return {"self": f"/api/v1/products/{product['id']}"}


PRODUCT = Representation(
    resource="products",
    members={
        "id": "id",
        "sku": "sku",
        "name": "name",
        "description": "description",
        "category_id": "category_id",
        "price_minor": "price_minor",
        "currency": "currency",
        "stock": "stock",
        "cost_price_minor": "cost_price_minor",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    links=_links,
)


class NewProduct(StrictModel):
    """What a new product needs."""

    # JSON has no UUIDs: the strict model takes the text of one here.
    category_id: Annotated[UUID | None, Strict(False)] = None

    sku: str = Field(min_length=1, max_length=40, pattern=r"^[A-Z0-9][A-Z0-9-]*$")
    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=2000)
    price_minor: int = Field(ge=0, le=MAX_MINOR_UNITS)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    stock: int = Field(default=0, ge=0, le=1_000_000)
    cost_price_minor: int = Field(default=0, ge=0, le=MAX_MINOR_UNITS)


class ProductChange(StrictModel):
    """The members of a product that staff may change."""

    price_minor: int = Field(default=0, ge=0, le=MAX_MINOR_UNITS)
    stock: int = Field(default=0, ge=0, le=1_000_000)


class ProductCollection(MethodView):
    """`/api/v1/products`"""

    init_every_request = False

    @endpoint(
        "products:list",
        objects=Collection(Product),
        query=PageQuery,
        answer=PRODUCT,
        rate_limit="read",
        authentication="optional",
    )
    def get(self, context: RequestContext) -> Reply:
        """The products; cost prices for staff only."""
        return many(context.rows)

    @endpoint("products:create", objects=NewItem(Product), body=NewProduct, answer=PRODUCT, rate_limit="write")
    def post(self, context: RequestContext) -> Reply:
        """Add a product."""
        product = service.create_product(context.session, context.body.model_dump())
        return created(product, f"/api/v1/products/{product.id}")


class ProductItem(MethodView):
    """`/api/v1/products/{product_id}`"""

    init_every_request = False

    @endpoint(
        "products:read",
        objects=Item(Product, "product_id"),
        answer=PRODUCT,
        rate_limit="read",
        authentication="optional",
    )
    def get(self, context: RequestContext) -> Reply:
        """One product."""
        return one(context.row)

    @endpoint(
        "products:update", objects=Item(Product, "product_id"), body=ProductChange, answer=PRODUCT, rate_limit="write"
    )
    def patch(self, context: RequestContext) -> Reply:
        """Change the price or the stock."""
        for member in context.body.model_fields_set:
            setattr(context.row, member, getattr(context.body, member))
        return one(context.row)

    @endpoint("products:delete", objects=Item(Product, "product_id"), answer=PRODUCT, rate_limit="write")
    def delete(self, context: RequestContext) -> Reply:
        """Delete a product that no order holds."""
        service.delete_product(context.session, context.row)
        return deleted()


blueprint = Blueprint("products_v1", __name__, url_prefix="/api/v1")
blueprint.add_url_rule("/products", view_func=ProductCollection.as_view("collection"))
blueprint.add_url_rule("/products/<uuid:product_id>", view_func=ProductItem.as_view("item"))
