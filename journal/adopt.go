// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"time"

	"op25b/census"
)

// DraftEvery is how often [Journal.Draft] is called at least, even if there is nothing
// to say. Whose draft does not change for five times as long is taken for dead.
const DraftEvery = 2 * time.Minute

const (
	// adoptAfter is how long a draft must not have changed. That is watched, and not
	// told from clocks: they may be set.
	adoptAfter = 5 * DraftEvery
	// watchEvery is how often drafts are looked at.
	watchEvery = time.Minute
)

// adoption adds the drafts of processes that are gone to the records.
type adoption struct {
	due     time.Time       // when to look again
	watched map[int64]watch // by run; forgotten whenever we cannot write
	run     int64           // whose draft is being adopted; 0: none's
}

// watch is since when a run has not been seen to change.
type watch struct {
	beats int64
	since time.Time
}

// adopt goes a step on: a look, or one transaction.
func (w *writer) adopt() {
	if w.store == nil {
		return
	}
	ctx := context.Background()
	done, err := w.adoption.step(ctx, w.store, w.draft.run)
	if done && err == nil {
		w.j.log.Info("what another process had counted of its last hour was added to the journal")
		err = w.count(ctx)
	}
	if damaged(err) {
		err = w.replace(err)
	}
	if err != nil {
		w.adoption.watched = nil // others may be as we are
		w.j.report(advise(w.j.opts.Path, err))
	}
}

// step reports whether a run is done with.
func (a *adoption) step(ctx context.Context, s *store, own int64) (done bool, err error) {
	if a.run == 0 {
		if time.Now().Before(a.due) {
			return false, nil
		}
		a.due = time.Now().Add(watchEvery)
		return false, a.look(ctx, s, own)
	}
	more, err := s.adopt(ctx, a.run)
	if more || err != nil {
		return false, err
	}
	a.run, a.due = 0, time.Time{}
	return true, nil
}

// look looks at all other runs, and claims one whose process is gone, if there is one,
// or goes on with one that somebody has claimed before.
func (a *adoption) look(ctx context.Context, s *store, own int64) error {
	now, watched := time.Now(), make(map[int64]watch)
	rows, err := s.conn.QueryContext(ctx, "SELECT run, beats, adopted FROM drafters WHERE run != ?", own)
	if err != nil {
		return err
	}
	defer rows.Close()
	var dead int64
	for rows.Next() {
		var (
			run, beats int64
			claimed    bool
		)
		if err := rows.Scan(&run, &beats, &claimed); err != nil {
			return err
		}
		seen, known := a.watched[run]
		if !known || seen.beats != beats {
			seen = watch{beats, now}
		}
		watched[run] = seen
		if claimed || now.Sub(seen.since) >= adoptAfter {
			dead = run
		}
	}
	a.watched = watched
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || dead == 0 {
		return err
	}
	// If it has come to life meanwhile, nothing is changed.
	result, err := s.conn.ExecContext(ctx, "UPDATE drafters SET adopted = 1 WHERE run = ? AND beats = ?", dead, watched[dead].beats)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if n != 0 {
		a.run = dead
	}
	return err
}

// adopt adds some of a run's last whole draft to the records and removes it, in one
// transaction, and reports whether there may be more. Others may do the same.
func (s *store) adopt(ctx context.Context, run int64) (more bool, err error) {
	err = s.transact(ctx, func() error {
		rows, err := s.readDraft(ctx, run)
		if err != nil {
			return err
		}
		if len(rows) == 0 { // what was replaced, or never whole
			if more, err = s.dropSome(ctx, "run = ?", run); more || err != nil {
				return err
			}
			_, err = s.conn.ExecContext(ctx, "DELETE FROM drafters WHERE run = ?", run)
			return err
		}
		more = true
		added := make(map[int64]int64) // by hour
		for i := range rows {
			r := &rows[i]
			fresh, err := s.addRow(ctx, r.recordRow, r.hour, r.subscriber, r.pool)
			if err != nil {
				return err
			}
			if fresh {
				added[r.hour]++
			}
		}
		last := rows[len(rows)-1]
		if _, err := s.conn.ExecContext(ctx, `DELETE FROM drafts WHERE run = ? AND number = ?
			AND (hour, subscriber, pool) <= (?, ?, ?)`, run, last.number, last.hour, last.subscriber, last.pool); err != nil {
			return err
		}
		return s.addHours(ctx, added)
	})
	return more, err
}

// draftRow is a row of a draft.
type draftRow struct {
	number, hour, pool int64
	subscriber         []byte
	recordRow
}

const readDraftQuery = "SELECT d.number, hour, subscriber, pool, " + recordColumns + ` FROM drafters r
	CROSS JOIN drafts d ON d.run = r.run AND d.number = r.number
	WHERE r.run = ? ORDER BY d.run, d.number, hour, subscriber, pool LIMIT ?`

// readDraft reads the first rows of a run's last whole draft.
func (s *store) readDraft(ctx context.Context, run int64) (all []draftRow, err error) {
	rows, err := s.conn.QueryContext(ctx, readDraftQuery, run, batchSize)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r draftRow
		if err := rows.Scan(r.targets(&r.number, &r.hour, &r.subscriber, &r.pool)...); err != nil {
			return nil, err
		}
		r.detail = append([]byte(nil), r.detail...) // SQLite's until now
		// A detail that makes no sense is given up: the numbers are worth more.
		var nothing census.Record
		if readDetail(r.detail, &nothing) != nil {
			r.detail = detailOf(&census.Record{})
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
