package store

import (
	"fmt"
	"strconv"
)

// applicationID says in the file's header that it is such a database ("Puls"): file(1) and the store tell by it.
const applicationID = 0x50756c73

// migrations make of a database of version i one of version i+1; an empty one has version 0. The version is the file's
// user_version. What has been released here never changes.
//
// Times are in nanoseconds since the Unix epoch. Positions are in the wire's form, "epoch.offset". Offsets are 64 bits
// without a sign, kept in SQLite's with one. Columns of several values are JSON.
var migrations = []string{`
CREATE TABLE sessions (
	client         TEXT PRIMARY KEY NOT NULL,
	identity       TEXT NOT NULL,
	version        INTEGER NOT NULL,
	expiry_seconds INTEGER NOT NULL,
	expires_at     INTEGER NOT NULL,
	next           TEXT NOT NULL,
	behind         INTEGER NOT NULL,
	received_up_to INTEGER NOT NULL,
	received_ids   TEXT NOT NULL,
	inflight       TEXT NOT NULL,
	passed         INTEGER NOT NULL
) STRICT;
CREATE TABLE subscriptions (
	client              TEXT NOT NULL,
	filter              TEXT NOT NULL,
	qos                 INTEGER NOT NULL,
	retain_handling     INTEGER NOT NULL,
	no_local            INTEGER NOT NULL,
	retain_as_published INTEGER NOT NULL,
	identifier          INTEGER NOT NULL,
	since               INTEGER NOT NULL,
	PRIMARY KEY (client, filter)
) STRICT, WITHOUT ROWID;
CREATE TABLE shared_groups (
	name   TEXT NOT NULL,
	filter TEXT NOT NULL,
	next   TEXT NOT NULL,
	again  TEXT NOT NULL,
	PRIMARY KEY (name, filter)
) STRICT, WITHOUT ROWID;
CREATE TABLE retained (
	topic      TEXT PRIMARY KEY NOT NULL,
	client     TEXT NOT NULL,
	position   TEXT NOT NULL,
	time       INTEGER NOT NULL,
	kind       INTEGER NOT NULL,
	source     INTEGER NOT NULL,
	qos        INTEGER NOT NULL,
	retain     INTEGER NOT NULL,
	packet_id  INTEGER NOT NULL,
	properties TEXT NOT NULL,
	payload    BLOB NOT NULL
) STRICT;
CREATE TABLE wills (
	client     TEXT PRIMARY KEY NOT NULL,
	due        INTEGER NOT NULL,
	topic      TEXT NOT NULL,
	position   TEXT NOT NULL,
	time       INTEGER NOT NULL,
	kind       INTEGER NOT NULL,
	source     INTEGER NOT NULL,
	qos        INTEGER NOT NULL,
	retain     INTEGER NOT NULL,
	packet_id  INTEGER NOT NULL,
	properties TEXT NOT NULL,
	payload    BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoint (
	id       INTEGER PRIMARY KEY CHECK (id = 0),
	position TEXT NOT NULL
) STRICT;
`}

// migrate brings a database to this program's version, each step in one transaction.
func migrate(db *database) error {
	version, err := db.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	id, err := db.number("PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := db.number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	switch {
	case id != applicationID && (id != 0 || version != 0 || tables != 0):
		return fmt.Errorf("%w: it is another program's database", ErrCorrupt)
	case version < 0 || (version == 0) != (tables == 0):
		return fmt.Errorf("%w: it has version %d and %d tables", ErrCorrupt, version, tables)
	case version > int64(len(migrations)):
		return fmt.Errorf("%w: it has version %d, this program knows %d", ErrNewer, version, len(migrations))
	}
	for i, step := range migrations[version:] {
		next := int(version) + i + 1
		err := db.exec("BEGIN IMMEDIATE;" + step +
			";PRAGMA application_id = " + strconv.Itoa(applicationID) +
			";PRAGMA user_version = " + strconv.Itoa(next) + ";COMMIT")
		if err != nil {
			return fmt.Errorf("bring the database to version %d: %w", next, err)
		}
	}
	return nil
}
