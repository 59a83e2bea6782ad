"""The chance level of a run's loss, known before it ends."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("run", sa.Column("chance_level", sa.DOUBLE_PRECISION(), nullable=True))


def downgrade() -> None:
    op.drop_column("run", "chance_level")
