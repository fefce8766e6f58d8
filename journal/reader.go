// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// Reader answers questions about the past. It changes nothing, and may read
// while a gateway writes.
type Reader struct {
	db                       *sql.DB
	held, history, generated *sql.Stmt
	hours, hour              *sql.Stmt // records: of hours, and of the rest of one
}

// OpenReader opens the journal at a path for questions only. A directory that
// the caller may not write in is no obstacle.
func OpenReader(path string) (*Reader, error) {
	r, err := openToRead(context.Background(), path)
	if err != nil {
		return nil, adviseReader(path, err)
	}
	return r, nil
}

// adviseReader is advise for somebody who only asks.
func adviseReader(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("journal %s: %w: is journal.path another one, or has no gateway run with it yet?", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("journal %s: %w: become root or a member of its group: ls -l %s*", path, err, path)
	}
	return advise(path, err)
}

func openToRead(ctx context.Context, path string) (*Reader, error) {
	head := make([]byte, 100)
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	n, _ := f.Read(head) // a directory fails below
	_ = f.Close()
	if err := recognizeHead(head[:n]); err != nil {
		return nil, err
	}
	r, err := openReader(ctx, path, "mode=ro")
	if c := code(err); c != sqlite3.SQLITE_CANTOPEN && c != sqlite3.SQLITE_READONLY {
		return r, err
	}
	// Without a log beside it nobody writes, and SQLite cannot make one in a
	// directory that is not ours.
	if _, statErr := os.Stat(path + "-wal"); !errors.Is(statErr, os.ErrNotExist) {
		return nil, err
	}
	return openReader(ctx, path, "mode=ro&immutable=1")
}

func openReader(ctx context.Context, path, mode string) (*Reader, error) {
	db, err := sql.Open("sqlite", location(path, mode+"&_busy_timeout=5000&_dqs=0&_error_rc=1"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	r := &Reader{db: db}
	if err := r.prepare(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) prepare(ctx context.Context) error {
	v, err := version(ctx, r.db)
	if err != nil {
		return err
	}
	if v < len(migrations) {
		return fmt.Errorf("its schema is %d, and this op25b reads %d: start the gateway once, it migrates the file", v, len(migrations))
	}
	for _, p := range []struct {
		stmt *(*sql.Stmt)
		text string
	}{
		{&r.held, "SELECT began, 0, seen, holder, hostname FROM held WHERE shelf = ? AND first = ? AND began <= ?"},
		{&r.history, `SELECT began, ended, seen, holder, hostname FROM history
			WHERE shelf = ? AND first = ? AND began <= ? ORDER BY began DESC LIMIT 1`},
		{&r.generated, `SELECT g.id, g.began, g.number, g.digest, g.summary, d.gzip
			FROM generations g JOIN documents d ON d.id = g.document
			WHERE g.began <= ? ORDER BY g.began DESC, g.id DESC LIMIT 1`},
		{&r.hours, hoursQuery},
		{&r.hour, hourQuery},
	} {
		if *p.stmt, err = r.db.PrepareContext(ctx, p.text); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the file. It may be called twice.
func (r *Reader) Close() error { return r.db.Close() }

// HolderAt returns the holdings that covered addr at a time, of all sources: the
// most specific first, those of one length by the names of their sources.
func (r *Reader) HolderAt(ctx context.Context, addr netip.Addr, t time.Time) ([]Holding, error) {
	addr = plain(addr)
	if !addr.IsValid() {
		return nil, nil
	}
	// One transaction, so that a holding that is ended meanwhile is seen once.
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	shelves, err := readShelves(ctx, tx)
	if err != nil {
		return nil, err
	}
	held, history := tx.StmtContext(ctx, r.held), tx.StmtContext(ctx, r.history)
	var found []Holding
	for sh, id := range shelves {
		if !sh.holds(addr) {
			continue
		}
		prefix := netip.PrefixFrom(addr, sh.bits).Masked()
		h, ok, err := find(ctx, held, id, prefix, t)
		if err == nil && !ok {
			h, ok, err = find(ctx, history, id, prefix, t)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			h.Source = sh.source
			found = append(found, h)
		}
	}
	slices.SortFunc(found, func(a, b Holding) int {
		return cmp.Or(cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()), cmp.Compare(a.Source, b.Source))
	})
	return found, nil
}

// find looks for the last holding of a prefix that began by then, if it was not
// over.
func find(ctx context.Context, stmt *sql.Stmt, shelf int64, p netip.Prefix, t time.Time) (Holding, bool, error) {
	var w row
	at := t.UnixMilli()
	err := stmt.QueryRowContext(ctx, shelf, first(p), at).Scan(&w.began, &w.ended, &w.seen, &w.holder, &w.hostname)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Holding{}, false, nil
	case err != nil:
		return Holding{}, false, err
	case w.ended != 0 && w.ended <= at:
		return Holding{}, false, nil
	}
	h := Holding{Prefix: p, Holder: w.holder, Hostname: w.hostname, From: moment(w.began), Seen: moment(w.seen)}
	if w.ended != 0 {
		h.To = moment(w.ended)
	}
	return h, true, nil
}

// moment is the time of so many milliseconds.
func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
