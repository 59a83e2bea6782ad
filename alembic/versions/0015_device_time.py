"""What deleted experiments have used of devices counts to the end of the day."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "deleted_attempt",
        sa.Column("id", postgresql.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("seconds", postgresql.DOUBLE_PRECISION(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_attempt")),
    )
    op.create_index("ix_deleted_attempt_owner_ended_at", "deleted_attempt", ["owner", "ended_at"])
    op.create_index("ix_deleted_attempt_ended_at", "deleted_attempt", ["ended_at"])


def downgrade() -> None:
    op.drop_table("deleted_attempt")
