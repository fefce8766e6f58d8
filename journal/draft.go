// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"

	"go.uber.org/zap"

	"op25b/census"
)

// Draft keeps what this process has counted so far of hours that go on, in place of
// what it said last. Another process adds it to the records if this one ends without
// AddRecords; see [DraftEvery] for when it thinks so. What is said of an hour that
// AddRecords was called for is not kept: that hour is over. Of two records with the
// same hour, subscriber and pool the last one counts.
//
// It does not wait. The slice is the journal's from then on; what records point to is
// only read. A draft that waits is replaced by the next. Of one with more records than
// Options.Records the rest is left out; that is not lost yet.
func (j *Journal) Draft(records []census.Record) { j.queue.setDraft(keepable(records)) }

// drafter is what the writer knows of this process's drafts.
type drafter struct {
	run    int64 // names this process in the file
	number int64 // of the draft that is being written, or was written last
	// records are those of the draft that is being written, written how many of them are.
	writing bool
	records []census.Record
	written int

	complete int64   // the number of the draft that counts; 0: none
	hours    []int64 // that it has records of
	begun    bool    // the file has our run, unless somebody took it
	stale    bool    // there may be older drafts in the file
	// gone are hours that another process has added to the records, ours among them.
	gone []int64
}

// newRun returns a name for a run: a number that no other has.
func newRun() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return int64(binary.BigEndian.Uint64(b[:])>>1) | 1
}

// errTaken is that another process took this one for dead.
var errTaken = errors.New("another process has adopted this one's draft")

// has reports whether there may be rows of ours in the file.
func (d *drafter) has() bool { return d.writing || d.complete != 0 }

// begin begins to write a draft.
func (d *drafter) begin(records []census.Record) {
	slices.SortStableFunc(records, compareRecords)
	d.number++
	d.writing, d.records, d.written = true, records, 0
}

// end says that a draft is written, and counts.
func (d *drafter) end() {
	d.hours = d.hours[:0]
	for i := range d.records {
		d.hours = addHour(d.hours, hourOf(d.records[i].Hour))
	}
	d.complete, d.stale = d.number, d.number > 1
	d.writing, d.records = false, nil
}

// again is after the file was opened, which may be another one now: what was
// written of a draft may not be in it.
func (d *drafter) again() { d.written, d.begun = 0, false }

// surrender leaves to another process what it took.
func (d *drafter) surrender() {
	for _, hour := range d.hours {
		d.gone = addHour(d.gone, hour)
	}
	d.run, d.complete, d.hours, d.stale = newRun(), 0, nil, false
	d.again()
}

// mostHours is how many hours are remembered for which no more is to come.
const mostHours = 64

// addHour adds an hour, unless it is there, and drops the first if there are many.
func addHour(hours []int64, hour int64) []int64 {
	if slices.Contains(hours, hour) {
		return hours
	}
	if len(hours) == mostHours {
		hours = slices.Delete(hours, 0, 1)
	}
	return append(hours, hour)
}

// writeDraft writes some of a draft that waits, or removes some of what it replaces,
// and reports whether there was any.
func (w *writer) writeDraft(ctx context.Context) (more bool, err error) {
	d := &w.draft
	switch {
	case d.writing:
	case d.stale:
		d.stale, err = w.store.dropDrafts(ctx, d)
		return true, err
	default:
		records, told := w.j.queue.takeDraft()
		if !told {
			return false, nil
		}
		d.begin(records)
	}
	part := d.records[d.written:]
	part = part[:min(len(part), batchSize)]
	last := d.written+len(part) == len(d.records)
	err = w.store.addDraft(ctx, d, w.counted(part), last, w.j.now().UnixMilli())
	if errors.Is(err, errTaken) {
		w.surrender()
		return true, nil
	}
	if err != nil {
		return true, err
	}
	d.begun = true
	if d.written += len(part); last {
		d.end()
	}
	return true, nil
}

// counted returns those records of a draft whose hours are neither handed on nor gone.
func (w *writer) counted(records []census.Record) (counted []census.Record) {
	over := append(w.j.queue.handedOn(), w.draft.gone...)
	for i := range records {
		if !slices.Contains(over, hourOf(records[i].Hour)) {
			counted = append(counted, records[i])
		}
	}
	return counted
}

// surrender goes on when another process has adopted our draft. It would count twice
// to hand on the same hours, so what is left of them is lost.
func (w *writer) surrender() {
	w.draft.surrender()
	w.j.log.Warn("another process took this one for dead, and added what it had counted of the hour to the journal: what it counts until the hour is over is lost",
		zap.String("journal", w.j.opts.Path))
	w.dropGone()
}

// dropGone loses records that wait for hours that are gone.
func (w *writer) dropGone() {
	if len(w.draft.gone) == 0 {
		return
	}
	all := len(w.records)
	w.records = slices.DeleteFunc(w.records, func(r census.Record) bool {
		return slices.Contains(w.draft.gone, hourOf(r.Hour))
	})
	w.j.queue.loseRecords(all - len(w.records))
}

// addDraft writes a part of a draft in one transaction. With the last, it counts.
func (s *store) addDraft(ctx context.Context, d *drafter, part []census.Record, last bool, now int64) error {
	return s.transact(ctx, func() error {
		if !d.begun {
			if _, err := s.conn.ExecContext(ctx,
				"INSERT INTO drafters (run, number, beats, written, adopted) VALUES (?, 0, 0, ?, 0) ON CONFLICT DO NOTHING", d.run, now); err != nil {
				return err
			}
		}
		if err := s.beat(ctx, d.run, now); err != nil {
			return err
		}
		for i := range part {
			pool, err := s.pool(ctx, short(part[i].Pool))
			if err != nil {
				return err
			}
			row := rowOf(&part[i])
			if _, err := s.stmts.addDraft.ExecContext(ctx, row.values(d.run, d.number,
				hourOf(part[i].Hour), subscriberKey(plainPrefix(part[i].Subscriber)), pool)...); err != nil {
				return err
			}
		}
		if !last {
			return nil
		}
		_, err := s.conn.ExecContext(ctx, "UPDATE drafters SET number = ? WHERE run = ?", d.number, d.run)
		return err
	})
}

// beat says that we live, or finds out that another process thinks we do not.
func (s *store) beat(ctx context.Context, run, now int64) error {
	result, err := s.conn.ExecContext(ctx, "UPDATE drafters SET beats = beats + 1, written = ? WHERE run = ? AND adopted = 0", now, run)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n != 0 || err != nil {
		return err
	}
	return errTaken
}

// dropDrafts removes some of our drafts before the last, and reports whether there may
// be more.
func (s *store) dropDrafts(ctx context.Context, d *drafter) (more bool, err error) {
	err = s.transact(ctx, func() (err error) {
		more, err = s.dropSome(ctx, "run = ? AND number < ?", d.run, d.complete)
		return err
	})
	return more || err != nil, err
}

// dropSome removes some of the drafts' rows that a condition is true for, and reports
// whether there may be more.
func (s *store) dropSome(ctx context.Context, condition string, args ...any) (more bool, err error) {
	result, err := s.conn.ExecContext(ctx, dropQuery(condition), append(args, chunk)...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == chunk, err
}

func dropQuery(condition string) string {
	return `DELETE FROM drafts WHERE (run, number, hour, subscriber, pool) IN
		(SELECT run, number, hour, subscriber, pool FROM drafts WHERE ` + condition + " LIMIT ?)"
}

// endDrafts removes our run if it has left nothing.
func (s *store) endDrafts(ctx context.Context, run int64) error {
	_, err := s.conn.ExecContext(ctx,
		"DELETE FROM drafters WHERE run = ?1 AND adopted = 0 AND NOT EXISTS (SELECT 1 FROM drafts WHERE run = ?1)", run)
	return err
}
