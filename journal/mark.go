// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// markEvery is how often the mark is written when nobody asks.
const markEvery = time.Minute

// Mark says how far the rollout's clock has come. The highest is kept, and
// written once a minute and whenever Flush or Close is called.
func (j *Journal) Mark(t time.Time) { j.raiseMark(t.UnixMilli()) }

func (j *Journal) raiseMark(to int64) {
	for {
		old := j.mark.Load()
		if to <= old || j.mark.CompareAndSwap(old, to) {
			return
		}
	}
}

// ResetMark says that the rollout's clock was put to a time by an operator, who may
// have put it back. It is written at once.
func (j *Journal) ResetMark(ctx context.Context, t time.Time) error {
	j.mark.Store(t.UnixMilli())
	return j.ask(ctx, func(w *writer) error {
		if w.store == nil {
			return j.problem()
		}
		if err := w.store.resetMark(ctx, t.UnixMilli()); err != nil {
			return advise(j.opts.Path, err)
		}
		w.marked = t.UnixMilli()
		return nil
	})
}

// LastMark returns the highest mark since it was last reset, from before this
// process too, to the millisecond; the zero time if there is none.
func (j *Journal) LastMark() time.Time {
	ms := j.mark.Load()
	if ms == 0 {
		return time.Time{}
	}
	return moment(ms)
}

// readMark returns 0 if there is none.
func (s *store) readMark(ctx context.Context) (ms int64, err error) {
	err = s.conn.QueryRowContext(ctx, "SELECT time FROM mark").Scan(&ms)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return ms, err
}

func (s *store) resetMark(ctx context.Context, ms int64) error {
	_, err := s.conn.ExecContext(ctx, "INSERT OR REPLACE INTO mark (id, time) VALUES (1, ?)", ms)
	return err
}

// writeMark never lowers it: a predecessor of ours may write it too.
func (s *store) writeMark(ctx context.Context, ms int64) error {
	_, err := s.conn.ExecContext(ctx,
		"INSERT INTO mark (id, time) VALUES (1, ?) ON CONFLICT DO UPDATE SET time = max(time, excluded.time)", ms)
	return err
}
