"""A key may show what other owners have."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    names = postgresql.ARRAY(sa.String(), dimensions=1)
    op.add_column("api_key", sa.Column("reads", names, server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    op.drop_column("api_key", "reads")
