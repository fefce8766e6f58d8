// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// restBetween is from the end of one walk through the file to the next, and how
// long the clock must have gone steadily before one: a clock that is wrong for a
// while, as after a start without a network, forgets nothing.
const restBetween = time.Hour

// sweep forgets what is older than it may become. It walks through the tables in
// small steps, each a transaction of its own. So it needs no index, which would
// cost more than the walk does.
type sweep struct {
	inHistory bool // in held before
	inRecords bool // the last
	after     position
}

// position is a holding's primary key; the zero position comes before all.
type position struct {
	shelf int64
	first []byte
	began int64
}

// step goes a step on, and reports whether that was the last. edge is the oldest
// moment that may still be asked for.
func (w *sweep) step(ctx context.Context, s *store, edge time.Time) (done bool, err error) {
	if w.inRecords {
		return w.stepRecords(ctx, s, edge)
	}
	table, age := "held", "seen"
	if w.inHistory {
		table, age = "history", "ended"
	}
	var next position
	err = s.transact(ctx, func() (err error) {
		next, err = s.forget(ctx, table, age, w.after, edge.UnixMilli())
		return err
	})
	switch {
	case err == nil:
		w.after = next
		return false, nil
	case !errors.Is(err, sql.ErrNoRows):
		return false, err
	case !w.inHistory:
		*w = sweep{inHistory: true}
		return false, nil
	}
	*w = sweep{inRecords: true}
	return false, s.transact(ctx, func() error { return s.forgetGenerations(ctx, edge.UnixMilli()) })
}

// stepRecords takes hours from the oldest on: it never looks at those that stay. Drafts
// are last.
func (w *sweep) stepRecords(ctx context.Context, s *store, edge time.Time) (done bool, err error) {
	more := false
	err = s.transact(ctx, func() (err error) {
		if more, err = s.forgetRecords(ctx, edge); more || err != nil {
			return err
		}
		// Those of a process that is gone: nobody may have had the time to adopt them.
		more, err = s.dropSome(ctx, "hour < ?", hourOf(edge))
		return err
	})
	if more || err != nil {
		return false, err
	}
	*w = sweep{}
	return true, nil
}

// forget looks at the next rows of a table and returns where it stopped, or
// sql.ErrNoRows at the end. Of those held it forgets what nobody has confirmed
// since the edge: that is no knowledge any more, even if nobody released it.
func (s *store) forget(ctx context.Context, table, age string, after position, edge int64) (last position, err error) {
	if after.first == nil {
		after.first = []byte{} // nil would be NULL
	}
	err = s.conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT shelf, first, began FROM (
			SELECT shelf, first, began FROM %s WHERE (shelf, first, began) > (?, ?, ?) ORDER BY shelf, first, began LIMIT ?)
		ORDER BY shelf DESC, first DESC, began DESC LIMIT 1`, table),
		after.shelf, after.first, after.began, chunk).Scan(&last.shelf, &last.first, &last.began)
	if err != nil {
		return position{}, err
	}
	_, err = s.conn.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s
		WHERE (shelf, first, began) > (?, ?, ?) AND (shelf, first, began) <= (?, ?, ?) AND %s < ?`, table, age),
		after.shelf, after.first, after.began, last.shelf, last.first, last.began, edge)
	return last, err
}

// forgetGenerations keeps the one that was in force at the edge.
func (s *store) forgetGenerations(ctx context.Context, edge int64) error {
	if _, err := s.conn.ExecContext(ctx,
		"DELETE FROM generations WHERE began < (SELECT max(began) FROM generations WHERE began <= ?)", edge); err != nil {
		return err
	}
	_, err := s.conn.ExecContext(ctx, "DELETE FROM documents WHERE id NOT IN (SELECT document FROM generations)")
	return err
}
