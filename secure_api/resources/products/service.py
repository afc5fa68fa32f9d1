"""What may happen to a product. No HTTP here: the pipeline has decided who may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError

from secure_api.db import AnySession
from secure_api.errors import Conflict
from secure_api.resources.categories.model import Category
from secure_api.resources.orders.model import OrderItem
from secure_api.resources.products.model import Product


def create_product(session: AnySession, values: Mapping[str, Any]) -> Product:
    """A new product with these values. Raises `Conflict` if the SKU is taken, or there is no such category."""
    if values["category_id"] is not None and session.get(Category, values["category_id"]) is None:
        raise Conflict("There is no such category.", log_detail="category absent")
    product = Product(**values)
    session.add(product)
    try:
        session.flush()
    except IntegrityError as error:
        # The database decides: two requests at once cannot both pass a check made before.
        raise Conflict("There is a product with that SKU.", log_detail="sku taken") from error
    return product


def delete_product(session: AnySession, product: Product) -> None:
    """Delete the product. Raises `Conflict` if an order holds it: what was sold stays on record."""
    if session.scalar(select(exists().where(OrderItem.product_id == product.id))):
        raise Conflict("The product is part of an order and cannot be deleted.", log_detail="product was sold")
    session.delete(product)
