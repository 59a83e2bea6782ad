"""Plug-ins of workers, and what was found of the networks that they give."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OF_PLUGINS = "spec #>> '{network,kind}' = 'plugin' OR spec #>> '{dataset,kind}' = 'plugin'"


def upgrade() -> None:
    instant, now = postgresql.TIMESTAMP(timezone=True), sa.text("clock_timestamp()")
    op.create_table(
        "plugin",
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("schema", postgresql.JSONB(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=True),
        sa.Column("published_at", instant, server_default=now, nullable=False),
        sa.Column("seen_at", instant, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("part", "name", "package", "version", name="pk_plugin"),
    )
    op.add_column("run", sa.Column("found", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    # An earlier version reads no such spec.
    op.execute(f"DELETE FROM experiment WHERE {OF_PLUGINS}")  # noqa: S608 -- a constant
    op.drop_column("run", "found")
    op.drop_table("plugin")
