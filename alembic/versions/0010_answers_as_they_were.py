"""The answer under an Idempotency-Key as the text that it was: jsonb takes no NUL, which an error may quote."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.alter_column("idempotency", "answer", type_=sa.JSON(), postgresql_using="answer::json")


def downgrade() -> None:
    op.alter_column("idempotency", "answer", type_=postgresql.JSONB(), postgresql_using="answer::jsonb")
