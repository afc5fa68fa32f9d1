"""policy generations

Revision: 0002
After: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from secure_api.db.base import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table that tells every worker which policies are in force."""
    op.create_table(
        "policy_generations",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_generations")),
    )


def downgrade() -> None:
    """Drop it: workers then keep the policies that they started with."""
    op.drop_table("policy_generations")
