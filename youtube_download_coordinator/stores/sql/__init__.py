"""Keep the queue in a SQL database through SQLAlchemy: an embedded SQLite file, or PostgreSQL for several machines."""

from youtube_download_coordinator.stores.sql.store import SqlStore

__all__ = ["SqlStore"]
