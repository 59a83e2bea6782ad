"""What workers publish of their plug-ins, and what is known of them: the only way in which the API hears of any."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.specs.plugin import Offered, Part, PluginKey
from models.storage import presence
from models.storage.plugin_tables import Plugin


@dataclass(frozen=True, slots=True)
class Listed:
    """One as it was published. ``present``: a worker has it now."""

    offered: Offered
    present: bool


def publish(session: Session, offers: Sequence[Offered]) -> None:
    """Say that a worker has these. Under one version the newest word on schema and facts holds."""
    # In one order: two workers that say the same lock the rows one after the other.
    for its in sorted(offers, key=lambda offered: offered.key):
        said = {"title": its.title, "schema": its.schema, "facts": its.facts}
        new = insert(Plugin).values(**its.key._asdict(), **said)
        key = [getattr(Plugin, name) for name in PluginKey._fields]
        session.execute(new.on_conflict_do_update(index_elements=key, set_=said | {"seen_at": func.clock_timestamp()}))


def listed(session: Session, part: Part, name: str | None = None) -> list[Listed]:
    """All that were ever published, by name and package, the newest version first."""
    query = select(Plugin, Plugin.seen_at >= presence.since()).where(Plugin.part == part)
    if name is not None:
        query = query.where(Plugin.name == name)
    rows = session.execute(query.order_by(Plugin.name, Plugin.package, Plugin.published_at.desc()))
    return [
        Listed(Offered(PluginKey(part, row.name, row.package, row.version), row.title, row.schema, row.facts), is_there)
        for row, is_there in rows
    ]
