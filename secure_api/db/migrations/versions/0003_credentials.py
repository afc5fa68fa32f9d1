"""revoked tokens, used proofs of possession

Revision: 0003
After: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from secure_api.db.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for what was revoked, and for what counts once."""
    op.create_table(
        "revoked_tokens",
        sa.Column("reference", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_revoked_tokens")),
    )
    with op.batch_alter_table("revoked_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_revoked_tokens_expires_at"), ["expires_at"], unique=False)
    op.create_table(
        "used_dpop_proofs",
        sa.Column("proof_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("proof_hash", name=op.f("pk_used_dpop_proofs")),
    )
    with op.batch_alter_table("used_dpop_proofs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_used_dpop_proofs_expires_at"), ["expires_at"], unique=False)
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tokens_not_before", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Forget what was revoked: tokens that have not expired work again."""
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_column("tokens_not_before")
    with op.batch_alter_table("used_dpop_proofs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_used_dpop_proofs_expires_at"))
    op.drop_table("used_dpop_proofs")
    with op.batch_alter_table("revoked_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_revoked_tokens_expires_at"))
    op.drop_table("revoked_tokens")
