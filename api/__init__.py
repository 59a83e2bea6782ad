"""The HTTP service: routes, their views, exports, pages."""

import os

# Arrow reads this once, as it is loaded. Its own pool would keep some 80 MB of tables that were sent long ago.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # noqa: TID251 -- no setting of ours
