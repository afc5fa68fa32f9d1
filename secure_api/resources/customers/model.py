"""Customers: the shop's side of a user."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import Base, Identified, Timestamped


class Customer(Identified, Timestamped, Base):
    """Someone who buys. The user record points here; a customer may exist without a user."""

    __tablename__ = "customers"

    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254))
    city: Mapped[str | None] = mapped_column(String(100))
    phone: Mapped[str | None] = mapped_column(String(40))
