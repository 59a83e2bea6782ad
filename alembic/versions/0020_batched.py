"""With how many runs an attempt is trained as one network."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("attempt", sa.Column("batched", sa.SmallInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    op.drop_column("attempt", "batched")
