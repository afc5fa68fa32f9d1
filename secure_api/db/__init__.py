"""The database: base and types, scoped reads, policy conditions as SQL, migrations."""

from secure_api.db.base import AnySession, Base, Identified, Timestamped, UtcDateTime, begin_write, database, utc_now

__all__ = ["AnySession", "Base", "Identified", "Timestamped", "UtcDateTime", "begin_write", "database", "utc_now"]
