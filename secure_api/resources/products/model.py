"""Products: what the shop sells."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import Base, Identified, Timestamped


class Product(Identified, Timestamped, Base):
    """One product. Prices are integer minor units of `currency`; `cost_price_minor` is for staff only."""

    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("price_minor >= 0", name="price_not_negative"),
        CheckConstraint("cost_price_minor >= 0", name="cost_price_not_negative"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
    )
    policy_resource = "products"

    sku: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(2000), default="")
    category_id: Mapped[UUID | None] = mapped_column(ForeignKey("categories.id", ondelete="SET NULL"), index=True)
    price_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    stock: Mapped[int] = mapped_column(default=0)
    cost_price_minor: Mapped[int] = mapped_column(default=0)
