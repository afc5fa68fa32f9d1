"""The shop. Whoever starts an API from this project deletes what is in here and keeps the rest."""

from __future__ import annotations

from collections.abc import Mapping

from secure_api.db import Base
from secure_api.db.policy_sql import schema_from_model
from secure_api.policy.schema import ResourceSchema
from secure_api.resources.categories.model import Category
from secure_api.resources.customers.model import Customer
from secure_api.resources.orders.model import Order, OrderItem
from secure_api.resources.products.model import Product
from secure_api.resources.tags.model import ProductTag, Tag

# Every scope that a token may carry here; a policy that names another one is refused at start.
SCOPES: Mapping[str, str] = {
    "orders:read": "See your orders",
    "orders:write": "Change orders",
    "orders:delete": "Delete orders",
    "products:read": "See the products",
    "products:write": "Add and change products",
    "products:delete": "Delete products",
}

MODELS: tuple[type[Base], ...] = (Category, Customer, Order, OrderItem, Product, ProductTag, Tag)


def resource_schemas() -> Mapping[str, ResourceSchema]:
    """What policy files may name: each guarded model under its resource name."""
    return {model.policy_resource: schema_from_model(model) for model in MODELS if model.policy_resource is not None}
