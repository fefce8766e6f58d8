// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"errors"
)

const (
	// batchSize is how many events one transaction has, at most.
	batchSize = 1000
	// chunk is how many rows one statement goes through that could go through all:
	// a transaction stays short, and its log small.
	chunk = 2000
)

// statements are what the writer asks again and again.
type statements struct {
	held, lastEnd                    *sql.Stmt
	insert, renew, end, change, drop *sql.Stmt
	addRecord, record, setRecord     *sql.Stmt
	addDraft, dropDraft              *sql.Stmt
	all                              []*sql.Stmt
}

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range []struct {
		stmt *(*sql.Stmt)
		text string
	}{
		{&s.held, "SELECT began, seen, holder, hostname FROM held WHERE shelf = ? AND first = ?"},
		{&s.lastEnd, "SELECT ended FROM history WHERE shelf = ? AND first = ? ORDER BY began DESC LIMIT 1"},
		{&s.insert, "INSERT INTO held (began, seen, holder, hostname, shelf, first) VALUES (?, ?, ?, ?, ?, ?)"},
		{&s.renew, "UPDATE held SET seen = ?, hostname = ? WHERE shelf = ? AND first = ?"},
		{&s.end, "INSERT INTO history (shelf, first, began, ended, seen, holder, hostname) VALUES (?, ?, ?, ?, ?, ?, ?)"},
		{&s.change, "UPDATE held SET began = ?, seen = ?, holder = ?, hostname = ? WHERE shelf = ? AND first = ?"},
		{&s.drop, "DELETE FROM held WHERE shelf = ? AND first = ?"},
		{&s.addRecord, "INSERT INTO records (" + recordColumns + `, hour, subscriber, pool)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`},
		{&s.record, "SELECT " + recordColumns + " FROM records WHERE hour = ? AND subscriber = ? AND pool = ?"},
		{&s.setRecord, "UPDATE records SET (" + recordColumns + `) = (?, ?, ?, ?, ?, ?, ?, ?, ?)
			WHERE hour = ? AND subscriber = ? AND pool = ?`},
		{&s.addDraft, "INSERT OR REPLACE INTO drafts (" + recordColumns + `, run, number, hour, subscriber, pool)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&s.dropDraft, "DELETE FROM drafts WHERE run = ? AND number IN (?, ?) AND hour = ? AND subscriber = ? AND pool = ?"},
	} {
		stmt, err := conn.PrepareContext(ctx, p.text)
		if err != nil {
			return err
		}
		*p.stmt = stmt
		s.all = append(s.all, stmt)
	}
	return nil
}

func (s *statements) close() {
	for _, stmt := range s.all {
		_ = stmt.Close()
	}
}

// transact does something in one transaction, or not at all.
func (s *store) transact(ctx context.Context, do func() error) error {
	_, err := s.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if err != nil {
		return err
	}
	if err = do(); err == nil {
		if _, err = s.conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	// It fails where SQLite has rolled back by itself.
	_, _ = s.conn.ExecContext(ctx, "ROLLBACK")
	// Shelves and pools that were new are none now.
	return errors.Join(err, s.loadShelves(ctx), s.loadPools(ctx))
}

// apply writes some of the events, and returns how many. After an error none of
// those after them is written.
func (s *store) apply(ctx context.Context, events []event, seenEvery int64) (int, error) {
	if events[0].kind == allReleased {
		return 1, s.releaseAll(ctx, &events[0])
	}
	n := 0
	err := s.transact(ctx, func() error {
		for n < min(len(events), batchSize) && events[n].kind != allReleased {
			if err := s.applyOne(ctx, &events[n], seenEvery); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

func (s *store) applyOne(ctx context.Context, e *event, seenEvery int64) error {
	if e.kind == generated {
		return s.addGeneration(ctx, e.generation)
	}
	id, err := s.shelf(ctx, shelfOf(e.source, e.prefix))
	if err != nil {
		return err
	}
	key := first(e.prefix)
	var old row
	err = s.stmts.held.QueryRowContext(ctx, id, key).Scan(&old.began, &old.seen, &old.holder, &old.hostname)
	free := errors.Is(err, sql.ErrNoRows)
	switch {
	case err != nil && !free:
		return err
	case e.kind == released:
		if free {
			return nil
		}
		return s.release(ctx, id, key, &old, e.at)
	case free:
		return s.begin(ctx, id, key, e)
	case old.holder == e.holder:
		return s.renew(ctx, id, key, &old, e, seenEvery)
	}
	return s.change(ctx, id, key, &old, e)
}

// row is a holding as it is kept.
type row struct {
	began, ended, seen int64
	holder, hostname   string
}

// begin writes the holding of a prefix that nobody has, from when the last one
// ended, if that is known.
func (s *store) begin(ctx context.Context, id int64, key []byte, e *event) error {
	var ended int64
	err := s.stmts.lastEnd.QueryRowContext(ctx, id, key).Scan(&ended)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		ended = e.at
	case err != nil:
		return err
	}
	_, err = s.stmts.insert.ExecContext(ctx, max(e.at, ended), e.seen, e.holder, e.hostname, id, key)
	return err
}

func (s *store) renew(ctx context.Context, id int64, key []byte, old *row, e *event, seenEvery int64) error {
	hostname := e.hostname
	if hostname == "" {
		hostname = old.hostname
	}
	seen := old.seen
	if e.seen >= seen+seenEvery {
		seen = e.seen
	}
	if seen == old.seen && hostname == old.hostname {
		return nil
	}
	_, err := s.stmts.renew.ExecContext(ctx, max(seen, old.seen), hostname, id, key)
	return err
}

// change ends one holding and begins the next.
func (s *store) change(ctx context.Context, id int64, key []byte, old *row, e *event) error {
	began := max(e.at, old.began+1)
	if err := s.end(ctx, id, key, old, began); err != nil {
		return err
	}
	_, err := s.stmts.change.ExecContext(ctx, began, e.seen, e.holder, e.hostname, id, key)
	return err
}

func (s *store) release(ctx context.Context, id int64, key []byte, old *row, at int64) error {
	if err := s.end(ctx, id, key, old, max(at, old.began+1)); err != nil {
		return err
	}
	_, err := s.stmts.drop.ExecContext(ctx, id, key)
	return err
}

func (s *store) end(ctx context.Context, id int64, key []byte, old *row, ended int64) error {
	_, err := s.stmts.end.ExecContext(ctx, id, key, old.began, ended, old.seen, old.holder, old.hostname)
	return err
}

// releaseAll ends what a source has, in transactions of their own: it may be a
// million. One that fails can be called again.
func (s *store) releaseAll(ctx context.Context, e *event) error {
	if err := s.loadShelves(ctx); err != nil { // another process may have put some up
		return err
	}
	for shelf, id := range s.shelves {
		if shelf.source != e.source {
			continue
		}
		for more := true; more; {
			if err := s.transact(ctx, func() (err error) {
				more, err = s.releaseSome(ctx, id, e.at)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) releaseSome(ctx context.Context, id, at int64) (more bool, err error) {
	var last []byte
	err = s.conn.QueryRowContext(ctx,
		"SELECT max(first) FROM (SELECT first FROM held WHERE shelf = ? ORDER BY first LIMIT ?)", id, chunk).Scan(&last)
	if err != nil {
		return false, err
	}
	if last == nil {
		return false, nil
	}
	if _, err := s.conn.ExecContext(ctx, `INSERT INTO history (shelf, first, began, ended, seen, holder, hostname)
		SELECT shelf, first, began, max(began + 1, ?), seen, holder, hostname FROM held WHERE shelf = ? AND first <= ?`,
		at, id, last); err != nil {
		return false, err
	}
	_, err = s.conn.ExecContext(ctx, "DELETE FROM held WHERE shelf = ? AND first <= ?", id, last)
	return true, err
}

// shelf returns the number of a shelf, and puts one up where there is none.
func (s *store) shelf(ctx context.Context, sh shelf) (int64, error) {
	if id, ok := s.shelves[sh]; ok {
		return id, nil
	}
	// Another process may have done so.
	if _, err := s.conn.ExecContext(ctx, "INSERT OR IGNORE INTO shelves (source, ipv6, bits) VALUES (?, ?, ?)",
		sh.source, sh.ipv6, sh.bits); err != nil {
		return 0, err
	}
	var id int64
	if err := s.conn.QueryRowContext(ctx, "SELECT id FROM shelves WHERE source = ? AND ipv6 = ? AND bits = ?",
		sh.source, sh.ipv6, sh.bits).Scan(&id); err != nil {
		return 0, err
	}
	s.shelves[sh] = id
	return id, nil
}

func (s *store) loadShelves(ctx context.Context) error {
	shelves, err := readShelves(ctx, s.conn)
	if err == nil {
		s.shelves = shelves
	}
	return err
}

// readShelves reads all shelves: some ten.
func readShelves(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (map[shelf]int64, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, source, ipv6, bits FROM shelves")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	shelves := make(map[shelf]int64)
	for rows.Next() {
		var (
			id int64
			sh shelf
		)
		if err := rows.Scan(&id, &sh.source, &sh.ipv6, &sh.bits); err != nil {
			return nil, err
		}
		shelves[sh] = id
	}
	return shelves, rows.Err()
}
