"""Events that replace the one before them; what was stored before events were told gets one for each present state."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("event", sa.Column("newest_of", sa.UUID(), nullable=True))
    op.create_unique_constraint("uq_event_newest_of", "event", ["newest_of"])
    op.execute("""
        INSERT INTO event (experiment_id, kind, data)
        SELECT experiment_id, 'run', jsonb_build_object(
            'run_id', id, 'variant', variant, 'seed', seed, 'state', state, 'outcome', outcome, 'attempt', attempt,
            'reason', error ->> 'detail'
        )
        FROM run ORDER BY experiment_id, position
    """)
    op.execute("""
        INSERT INTO event (experiment_id, kind, data)
        SELECT experiment.id, 'experiment', jsonb_build_object(
            'state', experiment.state,
            'progress', sum(
                CASE WHEN run.state IN ('queued', 'running') THEN run.step ELSE greatest(run.steps, 1) END
            )::double precision / sum(greatest(run.steps, 1)),
            'runs', jsonb_build_object(
                'queued', count(*) FILTER (WHERE run.state = 'queued'),
                'running', count(*) FILTER (WHERE run.state = 'running'),
                'succeeded', count(*) FILTER (WHERE run.state = 'succeeded'),
                'failed', count(*) FILTER (WHERE run.state = 'failed'),
                'cancelled', count(*) FILTER (WHERE run.state = 'cancelled')
            )
        )
        FROM experiment JOIN run ON run.experiment_id = experiment.id
        GROUP BY experiment.id ORDER BY experiment.id
    """)


def downgrade() -> None:
    op.execute("DELETE FROM event")
    op.drop_constraint("uq_event_newest_of", "event", type_="unique")
    op.drop_column("event", "newest_of")
