"""The tables of a store. An older version of them is brought up to this one, any other set aside, never misread."""

from __future__ import annotations

VERSION = "2"

# payload comes last: a look-up reads the columns before it without touching its pages.
TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB);
CREATE TABLE IF NOT EXISTS entry (
    key BLOB NOT NULL, trace BLOB NOT NULL, out BLOB NOT NULL, members BLOB NOT NULL, kind INTEGER NOT NULL,
    codec TEXT NOT NULL, digest BLOB NOT NULL, size INTEGER NOT NULL, blob TEXT, seconds REAL NOT NULL,
    made INTEGER NOT NULL, expires INTEGER, session TEXT, task TEXT NOT NULL, row_digest BLOB NOT NULL, payload BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS entry_key ON entry (key, trace);
CREATE INDEX IF NOT EXISTS entry_blob ON entry (blob, size) WHERE blob IS NOT NULL;
CREATE TABLE IF NOT EXISTS used (key BLOB PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orphan (blob TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trace (
    trace BLOB NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, trace_digest BLOB NOT NULL,
    PRIMARY KEY (trace, path, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stat (
    path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, inode INTEGER, digest BLOB, hashed INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS component (code BLOB PRIMARY KEY, parts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS last (
    flow TEXT NOT NULL, node TEXT NOT NULL, digest BLOB NOT NULL, code BLOB NOT NULL, arguments TEXT NOT NULL,
    keys BLOB NOT NULL, seconds REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (flow, node)
);
CREATE TABLE IF NOT EXISTS source (code BLOB PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (key BLOB NOT NULL, trace BLOB NOT NULL, text BLOB NOT NULL, PRIMARY KEY (key, trace));
CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY, flow TEXT NOT NULL, started INTEGER NOT NULL, seconds REAL NOT NULL,
    ran INTEGER NOT NULL, reused INTEGER NOT NULL, failed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS run_more (
    flow TEXT NOT NULL, started INTEGER NOT NULL, state TEXT NOT NULL, parameters TEXT NOT NULL,
    whole INTEGER NOT NULL, nodes BLOB NOT NULL, PRIMARY KEY (flow, started)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chunk (digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS noted (
    kind TEXT NOT NULL, name BLOB NOT NULL, at INTEGER NOT NULL, count INTEGER NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
"""
# Whoever replaces or takes out a row leaves a note of its file, which goes once no other row names it.
TRIGGERS = (
    """CREATE TRIGGER IF NOT EXISTS entry_replaced AFTER UPDATE OF blob ON entry
    WHEN old.blob IS NOT NULL AND old.blob IS NOT new.blob
    BEGIN INSERT OR IGNORE INTO orphan VALUES (old.blob); END""",
    """CREATE TRIGGER IF NOT EXISTS entry_deleted AFTER DELETE ON entry WHEN old.blob IS NOT NULL
    BEGIN INSERT OR IGNORE INTO orphan VALUES (old.blob); END""",
)

COLUMNS = "key, trace, out, members, kind, codec, digest, size, blob, seconds, made, expires, session, task, row_digest"
LOOK_UP = f"SELECT {COLUMNS} FROM entry WHERE key IN ({{}}) ORDER BY made DESC"  # noqa: S608 (constants)
LOAD = f"SELECT {COLUMNS}, payload FROM entry WHERE key = ? AND trace = ?"  # noqa: S608 (constants)
LOAD_MANY = "SELECT key, trace, payload FROM entry WHERE key IN ({})"
# Of two kernels that computed the same the first stays; another result, one with an end, or none, gives way.
PUT = (
    "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key, trace) DO UPDATE SET out = excluded.out, members = excluded.members, kind = excluded.kind, "
    "codec = excluded.codec, digest = excluded.digest, size = excluded.size, blob = excluded.blob, "
    "seconds = excluded.seconds, made = excluded.made, expires = excluded.expires, session = excluded.session, "
    "task = excluded.task, row_digest = excluded.row_digest, payload = excluded.payload "
    "WHERE {replace} OR out <> excluded.out OR expires IS NOT NULL OR session IS NOT NULL OR codec = 'gone'"
)
# A value that was let go: its row stays, with its id.
LET_GO = "UPDATE entry SET codec = 'gone', blob = NULL, payload = NULL, row_digest = ? WHERE key = ? AND trace = ?"
TAKE_OUT = "DELETE FROM entry WHERE key = ? AND trace = ?"
USED = "INSERT INTO used VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET used = excluded.used WHERE used < excluded.used"
UNNAMED = "SELECT blob FROM orphan WHERE blob NOT IN (SELECT blob FROM entry WHERE blob IS NOT NULL)"
# What the values take up that lie in the database; a clause on tasks may follow.
INLINE_SIZE = "SELECT total(size * (blob IS NULL AND codec <> 'gone')) FROM entry"
