"""From which experiment of the same owner another's remedies were suggested."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("suggested_from", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_experiment_suggested_from"),
        "experiment",
        "experiment",
        ["suggested_from"],
        ["id"],
        ondelete="SET NULL",
    )
    # Who deletes an experiment has to find those that name it.
    op.create_index(
        "ix_experiment_suggested_from",
        "experiment",
        ["suggested_from"],
        postgresql_where=sa.text("suggested_from IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_experiment_suggested_from", table_name="experiment")
    op.drop_constraint(op.f("fk_experiment_suggested_from"), "experiment", type_="foreignkey")
    op.drop_column("experiment", "suggested_from")
