"""Lists of experiments are sorted by name or verdict without reading all of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_experiment_name_sorted", "experiment", [sa.text("lower(name)"), "id"])
    op.create_index("ix_experiment_verdict_sorted", "experiment", [sa.text("COALESCE(verdict, '')"), "id"])


def downgrade() -> None:
    op.drop_index("ix_experiment_verdict_sorted", "experiment")
    op.drop_index("ix_experiment_name_sorted", "experiment")
