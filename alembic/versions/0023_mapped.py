"""Whether a GPU trains the runs of an experiment as one network: decided once, for all of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("mapped", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("experiment", "mapped")
