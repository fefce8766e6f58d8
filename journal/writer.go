// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"op25b/census"
)

// writer owns the file. Everything in it belongs to the goroutine in run.
type writer struct {
	j        *Journal
	store    *store          // nil while it cannot be opened
	taken    []event         // from the queue, and not yet written
	records  []census.Record // the same
	draft    drafter
	adoption adoption
	sweep    sweep
	steady   steady
	marked   int64 // what was last written of the mark
	markDue  time.Time
	retry    time.Time // when to try again, after a failure
	look     time.Time // when to look again whether the file is still there
}

const (
	// interval is how long an event waits, at most.
	interval = 500 * time.Millisecond
	// retryAfter is from a failure to the next attempt.
	retryAfter = time.Second
	lookEvery  = 5 * time.Second
)

// run writes until the journal is closed. Its times are the real ones: the clock
// of Options is for what is written.
func (w *writer) run() {
	defer close(w.j.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-w.j.queue.batch:
			_ = w.write(false) // reported
		case <-tick.C:
			if w.write(false) == nil {
				w.adopt()
				w.step()
			}
		case do := <-w.j.asked:
			do(w)
		case <-w.j.stop:
			w.end()
			return
		}
	}
}

// write writes what waits. After a failure it does so only if asked or once it is
// time to try again.
func (w *writer) write(asked bool) error {
	if !asked && time.Now().Before(w.retry) {
		return w.j.problem()
	}
	err := w.attempt(asked)
	if damaged(err) {
		err = w.replace(err)
	}
	w.retry = time.Time{}
	if err != nil {
		err = advise(w.j.opts.Path, err)
		w.retry = time.Now().Add(retryAfter)
		w.adoption.watched = nil // others may be as we are
	}
	w.j.report(err)
	return err
}

func (w *writer) attempt(asked bool) error {
	if err := w.open(); err != nil {
		return err
	}
	ctx := context.Background() // a write is never given up half-way
	for {
		if len(w.taken) == 0 {
			w.taken = w.j.queue.take()
		}
		// Holdings go first: a transaction of records, then what has come meanwhile.
		if len(w.taken) == 0 {
			more, err := w.writeRecords(ctx)
			if err == nil && !more {
				more, err = w.writeDraft(ctx)
			}
			if err != nil {
				return err
			}
			if more {
				continue
			}
			return w.writeMark(ctx, asked)
		}
		n, err := w.store.apply(ctx, w.taken, w.j.opts.SeenEvery.Milliseconds())
		if err != nil {
			return err
		}
		w.j.queue.done(w.taken[:n])
		w.taken = w.taken[n:]
	}
}

// writeRecords writes some of the records that wait, and reports whether there were
// any.
func (w *writer) writeRecords(ctx context.Context) (more bool, err error) {
	if len(w.records) == 0 {
		w.records = w.j.queue.takeRecords()
		slices.SortFunc(w.records, compareRecords)
		w.dropGone()
	}
	if len(w.records) == 0 {
		return false, nil
	}
	n, err := w.store.addRecords(ctx, w.records, &w.draft, w.j.now().UnixMilli())
	if errors.Is(err, errTaken) {
		w.surrender()
		return true, nil
	}
	if err != nil {
		return true, err
	}
	w.j.queue.doneRecords(n)
	if w.records = w.records[n:]; len(w.records) == 0 {
		w.records = nil
		return true, w.count(ctx)
	}
	return true, nil
}

// count looks how many records there are.
func (w *writer) count(ctx context.Context) error {
	n, oldest, err := w.store.countRecords(ctx)
	if err != nil {
		return err
	}
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.j.records, w.j.oldest = n, oldest
	return nil
}

func (w *writer) writeMark(ctx context.Context, asked bool) error {
	mark := w.j.mark.Load()
	if mark == w.marked || !asked && time.Now().Before(w.markDue) {
		return nil
	}
	if err := w.store.writeMark(ctx, mark); err != nil {
		return err
	}
	w.marked, w.markDue = mark, time.Now().Add(markEvery)
	return nil
}

// open makes sure that there is a store, of the file that is at the path.
func (w *writer) open() error {
	if w.store != nil && time.Now().After(w.look) {
		w.look = time.Now().Add(lookEvery)
		if w.store.replaced() {
			w.j.log.Warn("the journal's file was removed or replaced: going on with what is there now",
				zap.String("journal", w.j.opts.Path))
			w.close()
		}
	}
	if w.store != nil {
		return nil
	}
	ctx := context.Background()
	s, err := openStore(ctx, w.j.opts.Path)
	if err != nil {
		return err
	}
	mark, err := s.readMark(ctx)
	if err != nil {
		s.close()
		return err
	}
	w.marked = mark
	w.j.raiseMark(mark)
	w.store, w.sweep, w.adoption = s, sweep{}, adoption{}
	w.draft.again()
	w.j.reader.Store(s.reader)
	return w.count(ctx)
}

func (w *writer) close() {
	if w.store != nil {
		w.j.reader.Store(nil)
		w.store.close()
		w.store = nil
	}
}

// replace begins a new file in place of a damaged one, and writes to it.
func (w *writer) replace(reason error) error {
	w.close()
	if err := setAside(w.j.opts.Path, w.j.now(), w.j.log, reason); err != nil {
		return err
	}
	return w.attempt(true)
}

// step lets retention go on, if it is time.
func (w *writer) step() {
	keep, now := w.j.opts.Retention, w.j.now()
	if w.steady.jumped(now) {
		w.sweep = sweep{}
	}
	if keep == 0 || w.store == nil || time.Since(w.steady.since) < restBetween {
		return
	}
	done, err := w.sweep.step(context.Background(), w.store, now.Add(-keep))
	if done {
		w.steady.since = time.Now()
		err = errors.Join(err, w.count(context.Background()))
	}
	if damaged(err) {
		err = w.replace(err)
	}
	if err != nil {
		w.j.report(advise(w.j.opts.Path, err))
	}
}

// steady watches whether the clock goes as time does.
type steady struct {
	since    time.Time // the last jump, or walk
	at, real time.Time // the clock, and when that was
}

// jumped reports whether the clock has jumped since it was last asked.
func (s *steady) jumped(now time.Time) bool {
	ahead := now.Sub(s.at) - time.Since(s.real)
	s.at, s.real = now, time.Now()
	if ahead.Abs() < time.Minute {
		return false
	}
	s.since = s.real
	return true
}

// end writes what it can once more, and loses the rest.
func (w *writer) end() {
	err := w.write(true)
	if err == nil {
		err = w.store.endDrafts(context.Background(), w.draft.run)
	}
	if err != nil {
		w.j.log.Warn("the journal ends without all that was to be written", zap.Error(err))
	}
	w.j.queue.close()
	w.close()
}
