"""A log of a finished training has some curves and not all, and says at which step it was evaluated."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CURVES = (
    *("penalty", "learning_rate", "gradient_norm", "total_gradient_norm", "clipped_gradient_norm", "clipped"),
    *("step_seconds", "loss_scale"),
)
NUMBERS = ("validation_loss", "validation_metric")


def upgrade() -> None:
    for curve in CURVES:
        op.alter_column("curve_chunk", curve, nullable=True)
    for number in NUMBERS:
        op.alter_column("epoch_value", number, nullable=True)
    op.add_column("epoch_value", sa.Column("step", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("epoch_value", "step")
    for number in NUMBERS:
        op.execute(f"UPDATE epoch_value SET {number} = 'NaN' WHERE {number} IS NULL")  # noqa: S608 -- names from here
        op.alter_column("epoch_value", number, nullable=False)
    for curve in CURVES:
        absent = "array_fill('NaN'::double precision, ARRAY[cardinality(loss)])"
        op.execute(f"UPDATE curve_chunk SET {curve} = {absent} WHERE {curve} IS NULL")  # noqa: S608 -- as above
        op.alter_column("curve_chunk", curve, nullable=False)
