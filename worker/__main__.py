"""``python -m worker``: a Celery parent with one child per slot."""

from models.settings import Settings
from worker.app import create_app, queues


def main() -> None:
    app = create_app(Settings())
    taken = f"--queues={','.join(queues(app.settings))}"
    alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]  # workers meet in Postgres only
    app.worker_main(["worker", "--pool=prefork", taken, *alone, "--loglevel=INFO"])


if __name__ == "__main__":
    main()
