"""First light: experiments, runs, attempts, traces, curves, rollups, and the view ``layer_trace``."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


SIGNALS = (
    "activation_rms",
    "activation_gradient_rms",
    "weight_gradient_norm",
    "weight_gradient_max",
    "weight_norm",
    "update_ratio",
    "dead_fraction",
    "saturated_fraction",
    "nonfinite_count",
)


def upgrade() -> None:
    op.create_table(
        "experiment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="queued", nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("spec", postgresql.JSONB(), nullable=False),
        sa.Column("not_before", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("deadline", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("max_parallel", sa.Integer(), nullable=True),
        sa.Column("budget_s", sa.DOUBLE_PRECISION(), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("comparison", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment")),
    )
    op.create_index(
        "ix_experiment_deadline",
        "experiment",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index("ix_experiment_owner_id", "experiment", ["owner", "id"], unique=False)
    op.create_index("ix_experiment_state_id", "experiment", ["state", "id"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("experiment_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_event_experiment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_experiment_id_id", "event", ["experiment_id", "id"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("experiment_id", sa.UUID(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), server_default="trained", nullable=False),
        sa.Column("state", sa.String(), server_default="queued", nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("forgiven", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("lease_token", sa.UUID(), nullable=True),
        sa.Column("lease_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("published_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("device", sa.String(), nullable=True),
        sa.Column("device_s", sa.DOUBLE_PRECISION(), server_default="0", nullable=False),
        sa.Column("versions", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("summary", postgresql.JSONB(), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name=op.f("fk_run_experiment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index("ix_run_experiment_id_position", "run", ["experiment_id", "position"], unique=True)
    op.create_index("ix_run_queued", "run", ["created_at"], unique=False, postgresql_where=sa.text("state = 'queued'"))
    op.create_index(
        "ix_run_running", "run", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_table(
        "attempt",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column(
            "started_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_attempt_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_attempt")),
    )
    op.create_table(
        "curve_chunk",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("stride", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("loss", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("penalty", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("learning_rate", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("gradient_norm", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("total_gradient_norm", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("clipped_gradient_norm", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("clipped", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("step_seconds", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("loss_scale", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_curve_chunk_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "chunk", name=op.f("pk_curve_chunk")),
    )
    op.create_table(
        "epoch_value",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("validation_loss", sa.DOUBLE_PRECISION(), nullable=False),
        sa.Column("validation_metric", sa.DOUBLE_PRECISION(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_epoch_value_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "epoch", name=op.f("pk_epoch_value")),
    )
    op.create_table(
        "trace_chunk",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("layer_index", sa.Integer(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("stride", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("activation_rms", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("activation_gradient_rms", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("weight_gradient_norm", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("weight_gradient_max", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("weight_norm", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("update_ratio", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=True),
        sa.Column("dead_fraction", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("saturated_fraction", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("nonfinite_count", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_trace_chunk_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "layer_index", "chunk", name=op.f("pk_trace_chunk")),
    )
    op.create_table(
        "trace_rollup",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("signal", sa.String(), nullable=False),
        sa.Column("layer_index", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("stride", sa.Integer(), nullable=False),
        sa.Column("bucket_records", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("minimum", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("mean", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("maximum", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("last", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.Column("nonfinite", postgresql.ARRAY(sa.REAL(), dimensions=1), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_trace_rollup_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "signal", "layer_index", "part", name=op.f("pk_trace_rollup")),
    )
    for signal in SIGNALS:
        # Gradients do not compress: trying to would cost time on every write.
        op.execute(f"ALTER TABLE trace_chunk ALTER COLUMN {signal} SET STORAGE EXTERNAL")
    op.execute(_view())


def _view() -> str:
    """One row per (run, layer, step), for psql and every other client of SQL."""
    columns = ", ".join(f"record.{signal}" for signal in SIGNALS)
    arrays = ", ".join(f"chunk.{signal}" for signal in SIGNALS)
    names = ", ".join(SIGNALS)
    return (
        "CREATE VIEW layer_trace AS "  # noqa: S608 -- built from the constants above
        "SELECT chunk.run_id, chunk.layer_index, chunk.layer, "
        f"chunk.first_step + (record.position - 1)::integer * chunk.stride AS step, {columns} "
        f"FROM trace_chunk chunk CROSS JOIN LATERAL unnest({arrays}) "
        f"WITH ORDINALITY AS record({names}, position)"
    )


def downgrade() -> None:
    op.execute("DROP VIEW layer_trace")
    op.drop_table("trace_rollup")
    op.drop_table("trace_chunk")
    op.drop_table("epoch_value")
    op.drop_table("curve_chunk")
    op.drop_table("attempt")
    op.drop_index("ix_run_running", table_name="run", postgresql_where=sa.text("state = 'running'"))
    op.drop_index("ix_run_queued", table_name="run", postgresql_where=sa.text("state = 'queued'"))
    op.drop_index("ix_run_experiment_id_position", table_name="run")
    op.drop_table("run")
    op.drop_index("ix_event_experiment_id_id", table_name="event")
    op.drop_table("event")
    op.drop_index("ix_idempotency_created_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index("ix_experiment_state_id", table_name="experiment")
    op.drop_index("ix_experiment_owner_id", table_name="experiment")
    op.drop_index(
        "ix_experiment_deadline", table_name="experiment", postgresql_where=sa.text("state IN ('queued', 'running')")
    )
    op.drop_table("experiment")
