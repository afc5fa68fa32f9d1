"""Demo data: a small shop with five customers, two members of staff, and their orders.

Everything is derived from fixed names, so that two seeds are the same shop. The people are those of the
bundled identity provider's demo file, tied to the issuer that `seed_demo` is given.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import func

from secure_api.credentials.accounts import User, replace_roles
from secure_api.db import AnySession, begin_write
from secure_api.db.scoping import system_select
from secure_api.resources.categories.model import Category
from secure_api.resources.customers.model import Customer
from secure_api.resources.orders.model import Order, OrderItem, OrderStatus
from secure_api.resources.products.model import Product
from secure_api.resources.tags.model import ProductTag, Tag

_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_CURRENCY = "EUR"

# name, the subject at the demo identity provider, role, city
_PEOPLE = (
    ("Alice Ahlberg", "usr_01J9ALICE7Q2M", "customer", "Malmö"),
    ("Bob Brandt", "usr_01J9BOBBB4X8K", "customer", "Bremen"),
    ("Carol Castro", "usr_01J9CAROL6T1D", "customer", "Cádiz"),
    ("Dave Dimitrov", "usr_01J9DAVEE9W5S", "customer", "Dobrich"),
    ("Erin Eriksen", "usr_01J9ERINN3Z7F", "customer", "Esbjerg"),
    ("Mia Moreau", "usr_01J9MIAAA8H4P", "manager", ""),
    ("Ada Adeyemi", "usr_01J9ADAAA5N9V", "admin", ""),
)

# category → (product, price in minor units, tags)
_SHELVES: dict[str, tuple[tuple[str, int, tuple[str, ...]], ...]] = {
    "Kitchen": (
        ("Kettle", 4900, ("steel", "new")), ("Teapot", 3200, ("glass",)), ("Chopping board", 2100, ("wood",)),
        ("Bread knife", 3900, ("steel",)), ("Mixing bowl", 1800, ("steel",)), ("Rolling pin", 1400, ("wood",)),
        ("Coffee grinder", 8900, ("steel", "new")), ("Salt mill", 2600, ("wood",)),
    ),
    "Garden": (
        ("Hand fork", 1600, ("steel", "wood")), ("Watering can", 2900, ("steel",)), ("Seed tray", 700, ()),
        ("Pruning shears", 3400, ("steel",)), ("Bird feeder", 2200, ("wood",)), ("Garden twine", 500, ()),
        ("Rain gauge", 1900, ("glass",)), ("Plant labels", 400, ("wood",)),
    ),
    "Office": (
        ("Notebook", 900, ("paper",)), ("Fountain pen", 5400, ("steel",)), ("Desk lamp", 7900, ("steel", "new")),
        ("Letter tray", 2400, ("wood",)), ("Paper clips", 200, ("steel",)), ("Wall planner", 1200, ("paper",)),
        ("Pencil sharpener", 1100, ("steel",)), ("Ink bottle", 1500, ("glass",)),
    ),
    "Workshop": (
        ("Claw hammer", 2700, ("steel", "wood")), ("Spirit level", 3100, ()), ("Tape measure", 1300, ("steel",)),
        ("Wood chisel", 2300, ("steel", "wood")), ("Hand plane", 9400, ("steel", "wood")), ("Clamp", 1700, ("steel",)),
        ("Work gloves", 1500, ()), ("Sandpaper", 600, ("paper",)),
    ),
}  # fmt: skip

_NOTES = (None, "Please ring twice.", None, "Leave it with the neighbour.", None)


def seed_demo(session: AnySession, issuer: str) -> dict[str, int]:
    """Fill an empty database with the demo shop; counts of what was made. A database with users is left as it is."""
    begin_write(session)
    if session.scalar(system_select(func.count(User.id), reason="seeding")):
        session.rollback()
        return {}
    products = _add_products(session)
    customers = _add_people(session, issuer)
    orders = _add_orders(session, customers, products)
    session.commit()
    return {"products": len(products), "customers": len(customers), "people": len(_PEOPLE), "orders": orders}


def demo_id(kind: str, name: str) -> UUID:
    """The id that the demo gives to the record of that kind and name."""
    return uuid5(NAMESPACE_URL, f"secure-api/demo/{kind}/{name}")


def _add_products(session: AnySession) -> list[Product]:
    products: list[Product] = []
    tags = sorted({tag for shelf in _SHELVES.values() for _, _, names in shelf for tag in names})
    session.add_all(Tag(id=demo_id("tag", name), name=name) for name in tags)
    for category_name, shelf in _SHELVES.items():
        session.add(Category(id=demo_id("category", category_name), name=category_name))
        session.flush()
        for name, price_minor, tag_names in shelf:
            at = _START + timedelta(hours=len(products))
            product = Product(
                id=demo_id("product", name),
                sku=f"{category_name[:3].upper()}-{len(products) + 1:03d}",
                name=name,
                description=f"{name} from the {category_name.lower()} shelf.",
                category_id=demo_id("category", category_name),
                price_minor=price_minor,
                currency=_CURRENCY,
                stock=10 + 3 * (len(products) % 12),
                cost_price_minor=price_minor * 55 // 100,
                created_at=at,
                updated_at=at,
            )
            session.add(product)
            products.append(product)
            session.flush()
            session.add_all(ProductTag(product_id=product.id, tag_id=demo_id("tag", tag)) for tag in tag_names)
    return products


def _add_people(session: AnySession, issuer: str) -> list[Customer]:
    customers: list[Customer] = []
    for name, subject, role, city in _PEOPLE:
        email = f"{name.split()[0].lower()}@shop.example"
        customer_id = None
        if role == "customer":
            customer = Customer(id=demo_id("customer", name), name=name, email=email, city=city)
            customers.append(customer)
            session.add(customer)
            session.flush()
            customer_id = customer.id
        user = User(
            id=demo_id("user", name), issuer=issuer, subject=subject, email=email, name=name, customer_id=customer_id
        )
        session.add(user)
        session.flush()
        replace_roles(session, user.id, {role})
    return customers


def _add_orders(session: AnySession, customers: list[Customer], products: list[Product]) -> int:
    statuses = list(OrderStatus)
    number = 0
    for customer_index, customer in enumerate(customers):
        for place in range(3 + customer_index % 3):
            at = _START + timedelta(days=7 * place + customer_index, hours=3)
            lines = [(products[(number * 5 + step * 7) % len(products)], 1 + step) for step in range(1 + number % 3)]
            order = Order(
                id=demo_id("order", f"{customer.name}/{place + 1}"),
                customer_id=customer.id,
                status=statuses[number % len(statuses)],
                total_minor=sum(product.price_minor * quantity for product, quantity in lines),
                currency=_CURRENCY,
                note=_NOTES[number % len(_NOTES)],
                internal_note=f"Packed on shelf {number % 7}." if number % 2 else "Check the address.",
                archived=place == 0 and customer_index == 4,
                created_at=at,
                updated_at=at,
            )
            session.add(order)
            session.flush()
            session.add_all(
                OrderItem(
                    order_id=order.id,
                    product_id=product.id,
                    quantity=quantity,
                    unit_price_minor=product.price_minor,
                )
                for product, quantity in lines
            )
            number += 1
    return number
