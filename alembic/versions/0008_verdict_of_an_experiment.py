"""The verdict on an experiment's baseline, so that lists can be filtered by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("verdict", sa.String(), nullable=True))
    op.execute("UPDATE experiment SET verdict = comparison #>> '{variants,0,verdict,kind}'")
    op.create_index("ix_experiment_verdict_id", "experiment", ["verdict", "id"])


def downgrade() -> None:
    op.drop_index("ix_experiment_verdict_id", table_name="experiment")
    op.drop_column("experiment", "verdict")
