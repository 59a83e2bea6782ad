"""The latest start of an experiment by its name, and beside it the latest end."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UNFINISHED = "state IN ('queued', 'running')"


def upgrade() -> None:
    op.alter_column("experiment", "deadline", new_column_name="start_before")
    op.execute("ALTER INDEX ix_experiment_deadline RENAME TO ix_experiment_start_before")
    op.add_column("experiment", sa.Column("end_before", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index("ix_experiment_end_before", "experiment", ["end_before"], postgresql_where=sa.text(_UNFINISHED))


def downgrade() -> None:
    op.drop_column("experiment", "end_before")
    op.execute("ALTER INDEX ix_experiment_start_before RENAME TO ix_experiment_deadline")
    op.alter_column("experiment", "start_before", new_column_name="deadline")
