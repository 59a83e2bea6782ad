"""A supervisor to be killed: starts the server named by the second argument and prints its process id."""

import sys
import time
from pathlib import Path

from local.folder import Folder
from local.postgres import EmbeddedPostgres
from local.redis import EmbeddedRedis
from local.server import Server, start

if __name__ == "__main__":
    folder = Folder.claim(Path(sys.argv[1]))
    server: Server = EmbeddedRedis(folder) if sys.argv[2] == "redis" else EmbeddedPostgres(folder, durable=False)
    sys.stdout.write(f"{start(server).pid}\n")
    sys.stdout.flush()
    time.sleep(600)
