"""Owners: their keys, what they may have, and who did what."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String(), dimensions=1), nullable=False),
        sa.Column("starts_with", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, server_default=NOW, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
    )
    op.create_index("ix_api_key_owner_id", "api_key", ["owner", "id"])

    op.create_table(
        "owner_quota",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("queued_runs", sa.BigInteger(), nullable=True),
        sa.Column("device_seconds_per_day", postgresql.DOUBLE_PRECISION(), nullable=True),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=True),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("owner", name="pk_owner_quota"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("at", INSTANT, server_default=NOW, nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("key_id", sa.UUID(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource", sa.UUID(), nullable=True),
        sa.Column("whose", sa.String(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_owner_id", "audit", ["owner", "id"])


def downgrade() -> None:
    op.drop_table("audit")
    op.drop_table("owner_quota")
    op.drop_table("api_key")
