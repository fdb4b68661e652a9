"""The tables of a store. Another version of them is set aside, never misread."""

from __future__ import annotations

VERSION = "2"

# payload comes last: a look-up reads the columns before it without touching its pages. proof: over those before it.
TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB);
CREATE TABLE IF NOT EXISTS entry (
    key BLOB NOT NULL, trace BLOB NOT NULL, out BLOB NOT NULL, members BLOB NOT NULL, kind INTEGER NOT NULL,
    codec TEXT NOT NULL, digest BLOB NOT NULL, size INTEGER NOT NULL, blob TEXT, seconds REAL NOT NULL,
    made INTEGER NOT NULL, expires INTEGER, session TEXT, task TEXT NOT NULL,
    proof BLOB NOT NULL, payload BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS entry_key ON entry (key, trace);
CREATE TABLE IF NOT EXISTS trace (
    trace BLOB NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL,
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
"""

LOOK_UP = (
    "SELECT key, trace, out, members, kind, codec, digest, size, blob, seconds, made, expires, session, task, proof "
    "FROM entry WHERE key IN ({}) ORDER BY made DESC"
)
PAYLOAD = "SELECT codec, digest, size, blob, payload FROM entry WHERE key = ? AND trace = ?"
# Of two kernels that computed the same the first stays; another result, or one with an end, gives way.
PUT = (
    "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key, trace) DO UPDATE SET out = excluded.out, members = excluded.members, kind = excluded.kind, "
    "codec = excluded.codec, digest = excluded.digest, size = excluded.size, blob = excluded.blob, "
    "seconds = excluded.seconds, made = excluded.made, expires = excluded.expires, session = excluded.session, "
    "task = excluded.task, proof = excluded.proof, payload = excluded.payload "
    "WHERE {replace} OR out <> excluded.out OR expires IS NOT NULL OR session IS NOT NULL"
)
