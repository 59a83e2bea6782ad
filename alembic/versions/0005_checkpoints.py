"""Where a long run can go on: how far its newest checkpoint is, and its file."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("run", sa.Column("checkpoint_step", sa.Integer(), nullable=True))
    op.add_column("run", sa.Column("checkpoint_epochs", sa.Integer(), nullable=True))
    op.add_column("run", sa.Column("checkpoint_path", sa.String(), nullable=True))


def downgrade() -> None:
    for column in ("checkpoint_path", "checkpoint_epochs", "checkpoint_step"):
        op.drop_column("run", column)
