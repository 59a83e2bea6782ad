"""Experiments whose runs were trained elsewhere, and what their watchers have said of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("source", sa.String(), server_default="trained", nullable=False))
    op.add_column("run", sa.Column("watched", postgresql.JSONB(), nullable=True))
    op.create_index(
        "ix_experiment_ingested",
        "experiment",
        ["owner", "name"],
        unique=True,
        postgresql_where=sa.text("source = 'ingested'"),
    )


def downgrade() -> None:
    # An earlier version reads no such spec.
    op.execute("DELETE FROM experiment WHERE source = 'ingested'")
    op.drop_index("ix_experiment_ingested", table_name="experiment")
    op.drop_column("run", "watched")
    op.drop_column("experiment", "source")
