-- What Grafana may read, and no more: keys, secrets of webhooks and the tokens of writers stay out of its sight.
-- It sees the experiments of every owner.
--   psql "$CLINIC_DATABASE_URL" -v password=… -f examples/grafana/reader.sql
CREATE ROLE clinic_reader LOGIN PASSWORD :'password';
GRANT SELECT (id, owner, name, state, labels, not_before, created_at, started_at, ended_at, verdict)
  ON experiment TO clinic_reader;
GRANT SELECT (id, experiment_id, variant, position, seed, phase, learning_rate, held, state, outcome, step, steps,
  worker, device, device_s, created_at, started_at, ended_at, summary) ON run TO clinic_reader;
GRANT SELECT ON layer_trace TO clinic_reader;
