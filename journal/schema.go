// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"fmt"
)

// applicationID marks a file as ours (SQLite's application_id): "op25".
const applicationID = 0x6f703235

// migrations make of an empty file what we need, one version after the other.
// Each was released as it is: what changes is a new one at the end.
//
//nolint:gochecknoglobals // constant
var migrations = []string{
	`CREATE TABLE shelves (
		id     INTEGER PRIMARY KEY,
		source TEXT NOT NULL,
		ipv6   INTEGER NOT NULL,
		bits   INTEGER NOT NULL,
		UNIQUE (source, ipv6, bits)
	) STRICT;
	CREATE TABLE held (
		shelf    INTEGER NOT NULL,
		first    BLOB NOT NULL,
		began    INTEGER NOT NULL,
		seen     INTEGER NOT NULL,
		holder   TEXT NOT NULL,
		hostname TEXT NOT NULL,
		PRIMARY KEY (shelf, first)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE history (
		shelf    INTEGER NOT NULL,
		first    BLOB NOT NULL,
		began    INTEGER NOT NULL,
		ended    INTEGER NOT NULL,
		seen     INTEGER NOT NULL,
		holder   TEXT NOT NULL,
		hostname TEXT NOT NULL,
		PRIMARY KEY (shelf, first, began)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE documents (
		id     INTEGER PRIMARY KEY,
		sha256 BLOB NOT NULL UNIQUE,
		gzip   BLOB NOT NULL
	) STRICT;
	CREATE TABLE generations (
		id       INTEGER PRIMARY KEY AUTOINCREMENT,
		began    INTEGER NOT NULL,
		number   INTEGER NOT NULL,
		digest   TEXT NOT NULL,
		summary  TEXT NOT NULL,
		document INTEGER NOT NULL REFERENCES documents
	) STRICT;
	CREATE INDEX generations_began ON generations (began, id);
	CREATE INDEX generations_document ON generations (document);
	CREATE TABLE mark (
		id   INTEGER PRIMARY KEY CHECK (id = 1),
		time INTEGER NOT NULL
	) STRICT;`,
	// Records are sorted by hour: they are written, read for a report and forgotten
	// so. Whoever asks for one subscriber seeks in each hour.
	`CREATE TABLE pools (
		id   INTEGER PRIMARY KEY,
		name TEXT NOT NULL UNIQUE
	) STRICT;
	CREATE TABLE hours (
		hour    INTEGER PRIMARY KEY,
		records INTEGER NOT NULL
	) STRICT;
	CREATE TABLE records (
		hour         INTEGER NOT NULL,
		subscriber   BLOB NOT NULL,
		pool         INTEGER NOT NULL,
		refused      INTEGER NOT NULL,
		monitored    INTEGER NOT NULL,
		not_in_force INTEGER NOT NULL,
		exempt       INTEGER NOT NULL,
		relayed      INTEGER NOT NULL,
		packets      INTEGER NOT NULL,
		destinations INTEGER NOT NULL,
		estimated    INTEGER NOT NULL,
		detail       BLOB NOT NULL,
		PRIMARY KEY (hour, subscriber, pool)
	) STRICT, WITHOUT ROWID;`,
	// Of a run's drafts, the one with the run's number counts: an earlier one is yet to
	// be removed, and a later one not whole.
	`CREATE TABLE drafters (
		run     INTEGER PRIMARY KEY,
		number  INTEGER NOT NULL,
		beats   INTEGER NOT NULL,
		written INTEGER NOT NULL,
		adopted INTEGER NOT NULL
	) STRICT;
	CREATE TABLE drafts (
		run          INTEGER NOT NULL,
		number       INTEGER NOT NULL,
		hour         INTEGER NOT NULL,
		subscriber   BLOB NOT NULL,
		pool         INTEGER NOT NULL,
		refused      INTEGER NOT NULL,
		monitored    INTEGER NOT NULL,
		not_in_force INTEGER NOT NULL,
		exempt       INTEGER NOT NULL,
		relayed      INTEGER NOT NULL,
		packets      INTEGER NOT NULL,
		destinations INTEGER NOT NULL,
		estimated    INTEGER NOT NULL,
		detail       BLOB NOT NULL,
		PRIMARY KEY (run, number, hour, subscriber, pool)
	) STRICT, WITHOUT ROWID;`,
}

// querier is what asks a database: a connection or all of them.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns the version of a file's schema, 0 for an empty one. It refuses
// what is not ours.
func version(ctx context.Context, db querier) (int, error) {
	var id, version, tables int
	if err := db.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&id, &version, &tables); err != nil {
		return 0, err
	}
	switch {
	case id == 0 && version == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, fmt.Errorf("%w, but another program's database", ErrForeign)
	case version > len(migrations):
		return 0, fmt.Errorf("%w: its schema is %d, and this one knows %d", ErrNewer, version, len(migrations))
	}
	return version, nil
}

// migrate brings a file's schema up to date. It goes forward only.
func migrate(ctx context.Context, conn *sql.Conn, migrations []string) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	// Asked within the transaction: a successor of ours may do the same now.
	err := migrateFrom(ctx, conn, migrations)
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = conn.ExecContext(ctx, "ROLLBACK")
	}
	return err
}

func migrateFrom(ctx context.Context, conn *sql.Conn, migrations []string) error {
	var done int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&done); err != nil {
		return err
	}
	for i := done; i < len(migrations); i++ {
		if _, err := conn.ExecContext(ctx, migrations[i]); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", i+1, err)
		}
	}
	if done >= len(migrations) {
		return nil
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations)))
	return err
}
