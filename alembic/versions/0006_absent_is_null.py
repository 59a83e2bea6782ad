"""What is absent in JSONB is NULL, not JSON's null; and an index of ended experiments without a comparison."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = (("experiment", "comparison"), ("run", "error"), ("run", "summary"), ("run", "versions"))


def upgrade() -> None:
    for table, column in COLUMNS:
        op.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} = 'null'::jsonb")  # noqa: S608 -- names from here
    op.create_index(
        "ix_experiment_not_compared",
        "experiment",
        ["ended_at"],
        postgresql_where=sa.text("comparison IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_experiment_not_compared", table_name="experiment")
