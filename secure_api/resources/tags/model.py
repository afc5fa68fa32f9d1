"""Tags: a product has any number of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import Base, Identified, Timestamped


class Tag(Identified, Timestamped, Base):
    """A word that products share."""

    __tablename__ = "tags"

    name: Mapped[str] = mapped_column(String(60), unique=True)


class ProductTag(Base):
    """One tag on one product."""

    __tablename__ = "product_tags"

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[UUID] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True)
