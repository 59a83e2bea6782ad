"""Runs that try a learning rate, and runs that wait until one is chosen."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("run", sa.Column("phase", sa.String(), server_default="trial", nullable=False))
    op.add_column("run", sa.Column("learning_rate", sa.DOUBLE_PRECISION(), nullable=True))
    op.add_column("run", sa.Column("held", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_run_held",
        "run",
        ["experiment_id"],
        postgresql_where=sa.text("held AND state = 'queued'"),
    )


def downgrade() -> None:
    op.drop_index("ix_run_held", table_name="run")
    for column in ("held", "learning_rate", "phase"):
        op.drop_column("run", column)
