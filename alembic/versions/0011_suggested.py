"""Why the clinic has chosen an experiment's remedies, where the client has left that to it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("suggested", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("experiment", "suggested")
