"""Rollups of curves, filled from the curves that are stored; what retention and recording budgets say of a run."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CURVES = (
    "loss",
    "penalty",
    "learning_rate",
    "gradient_norm",
    "total_gradient_norm",
    "clipped_gradient_norm",
    "clipped",
    "step_seconds",
    "loss_scale",
)


def upgrade() -> None:
    op.create_table(
        "curve_rollup",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("curve", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("first_step", sa.Integer(), nullable=False),
        sa.Column("stride", sa.Integer(), nullable=False),
        sa.Column("bucket_records", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("minimum", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("mean", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("maximum", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("last", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.Column("nonfinite", postgresql.ARRAY(sa.DOUBLE_PRECISION(), dimensions=1), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_curve_rollup_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "curve", "part", name=op.f("pk_curve_rollup")),
    )
    op.add_column("run", sa.Column("trace_every", sa.Integer(), nullable=True))
    op.add_column("run", sa.Column("raw_dropped_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    for curve in CURVES:
        op.execute(_rolled(curve))


def _rolled(curve: str) -> str:
    """Buckets of one curve for every run whose signals have some, of the same size; 25 or more to a part."""
    return f"""
        INSERT INTO curve_rollup
        SELECT run_id, '{curve}', bucket * size / part_records, min(first_step), stride, size, sum(records),
            array_agg(minimum ORDER BY bucket), array_agg(mean ORDER BY bucket), array_agg(maximum ORDER BY bucket),
            array_agg(last ORDER BY bucket), array_agg(nonfinite ORDER BY bucket)
        FROM (
            SELECT run_id, stride, size, part_records, step / stride / size AS bucket, min(step) AS first_step,
                count(*) AS records,
                coalesce(min(value) FILTER (WHERE finite), 'NaN') AS minimum,
                coalesce(avg(value) FILTER (WHERE finite), 'NaN') AS mean,
                coalesce(max(value) FILTER (WHERE finite), 'NaN') AS maximum,
                (array_agg(value ORDER BY step DESC))[1] AS last,
                count(*) FILTER (WHERE NOT finite)::double precision AS nonfinite
            FROM (
                SELECT chunk.run_id, chunk.stride, rolled.size, rolled.part_records,
                    chunk.first_step + (record.position - 1)::integer * chunk.stride AS step, record.value,
                    record.value > '-Infinity' AND record.value < 'Infinity' AS finite
                FROM curve_chunk chunk
                JOIN (
                    SELECT run_id, bucket_records AS size, (bucket_records * 25 + 199) / 200 * 200 AS part_records
                    FROM trace_rollup WHERE part = 0 AND signal = 'weight_norm' AND layer_index = 1
                ) rolled ON rolled.run_id = chunk.run_id
                CROSS JOIN LATERAL unnest(chunk.{curve}) WITH ORDINALITY AS record(value, position)
            ) records
            GROUP BY run_id, stride, size, part_records, bucket
        ) buckets
        GROUP BY run_id, stride, size, part_records, bucket * size / part_records
    """  # noqa: S608 -- built from the constants above


def downgrade() -> None:
    op.drop_column("run", "raw_dropped_at")
    op.drop_column("run", "trace_every")
    op.drop_table("curve_rollup")
