"""What schedulers need: a latest start and a latest end of experiments; webhooks, and what is sent to them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INSTANT = postgresql.TIMESTAMP(timezone=True)
_NOW = sa.text("clock_timestamp()")
_UNFINISHED = "state IN ('queued', 'running')"


def upgrade() -> None:
    op.alter_column("experiment", "deadline", new_column_name="start_before")
    op.execute("ALTER INDEX ix_experiment_deadline RENAME TO ix_experiment_start_before")
    op.add_column("experiment", sa.Column("end_before", _INSTANT, nullable=True))
    op.create_index("ix_experiment_end_before", "experiment", ["end_before"], postgresql_where=sa.text(_UNFINISHED))
    op.create_table(
        "webhook",
        sa.Column("id", postgresql.UUID(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_index("ix_webhook_owner_id", "webhook", ["owner", "id"])
    op.create_table(
        "webhook_delivery",
        sa.Column("id", postgresql.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("webhook_id", postgresql.UUID(), nullable=False),
        sa.Column("experiment_id", postgresql.UUID(), nullable=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), server_default="pending", nullable=False),
        sa.Column("tried", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("due_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("held_until", _INSTANT, nullable=True),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhook.id"], ondelete="CASCADE", name=op.f("fk_webhook_delivery_webhook_id_webhook")
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiment.id"],
            ondelete="CASCADE",
            name=op.f("fk_webhook_delivery_experiment_id_experiment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
    )
    op.create_index("ix_webhook_delivery_webhook_id_created_at", "webhook_delivery", ["webhook_id", "created_at"])
    op.create_index("ix_webhook_delivery_experiment_id", "webhook_delivery", ["experiment_id"])
    op.create_index(
        "ix_webhook_delivery_due", "webhook_delivery", ["due_at"], postgresql_where=sa.text("state = 'pending'")
    )


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
    op.drop_column("experiment", "end_before")
    op.execute("ALTER INDEX ix_experiment_start_before RENAME TO ix_experiment_deadline")
    op.alter_column("experiment", "start_before", new_column_name="deadline")
