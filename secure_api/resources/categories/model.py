"""Categories: each product is in one."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.db import Base, Identified, Timestamped


class Category(Identified, Timestamped, Base):
    """A shelf of the shop."""

    __tablename__ = "categories"

    name: Mapped[str] = mapped_column(String(100), unique=True)
