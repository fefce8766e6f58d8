// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"op25b/census"
)

// pageSize is how many records are read at a time. Between pages no transaction is
// open, however long a caller takes: one would keep the log from being reused.
const pageSize = 1000

// Records calls yield for each record whose hour is in [from, to), in the order of
// hours, until it returns false; of an hour, in the order of addresses. within limits
// them to subscribers in a prefix; zero: all. What is written meanwhile may be among
// them or not.
//
// An error about one record comes with what of it could be read, and others may
// follow. Any other is the last.
func (r *Reader) Records(ctx context.Context, from, to time.Time, within netip.Prefix) iter.Seq2[census.Record, error] {
	return func(yield func(census.Record, error) bool) {
		s := newScan(r, from, to, within)
		for !s.done {
			if err := s.next(ctx); err != nil {
				yield(census.Record{}, err)
				return
			}
			for i := range s.page {
				if !yield(s.page[i].record, s.page[i].err) {
					return
				}
			}
		}
	}
}

// Records is [Reader.Records], of all that is written.
func (j *Journal) Records(ctx context.Context, from, to time.Time, within netip.Prefix) iter.Seq2[census.Record, error] {
	return func(yield func(census.Record, error) bool) {
		r, err := j.open()
		if err != nil {
			yield(census.Record{}, err)
			return
		}
		r.Records(ctx, from, to, within)(yield)
	}
}

const (
	// hoursQuery is for records of some subscribers in some hours. SQLite is told to
	// seek in each hour: it would rather read all between two.
	hoursQuery = "SELECT r.hour, subscriber, pool, " + recordColumns + ` FROM hours h CROSS JOIN records r
		ON r.hour = h.hour AND subscriber BETWEEN ? AND ?
		WHERE h.hour >= ? AND h.hour < ? ORDER BY h.hour, subscriber, pool LIMIT ?`
	// hourQuery is for those after one, in the same hour.
	hourQuery = "SELECT hour, subscriber, pool, " + recordColumns + ` FROM records
		WHERE hour = ? AND (subscriber, pool) > (?, ?) AND subscriber <= ? ORDER BY subscriber, pool LIMIT ?`
)

// scan is a walk through records.
type scan struct {
	r           *Reader
	within      netip.Prefix
	least, most []byte // of subscribers' keys
	hour, end   int64  // the next hour, and the first that is not asked for
	// inHour: some of hour was read, up to subscriber and pool.
	inHour     bool
	subscriber []byte
	pool       int64

	page []scanned
	done bool
}

type scanned struct {
	record census.Record
	err    error
}

func newScan(r *Reader, from, to time.Time, within netip.Prefix) *scan {
	const almost = time.Hour - 1
	s := &scan{r: r, within: within, hour: hourOf(from.Add(almost)), end: hourOf(to.Add(almost))}
	if within.IsValid() {
		s.within = plainPrefix(within)
	}
	s.least, s.most = subscriberRange(s.within)
	return s
}

// next reads the next page: the rest of the hour that was begun, or hours from
// there on. A page may be empty before the last.
func (s *scan) next(ctx context.Context) error {
	pools, err := readPools(ctx, s.r.db)
	if err != nil {
		return err
	}
	stmt, args := s.r.hours, []any{s.least, s.most, s.hour, s.end, pageSize}
	if s.inHour {
		stmt, args = s.r.hour, []any{s.hour, s.subscriber, s.pool, s.most, pageSize}
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	s.page = s.page[:0]
	n := 0
	for rows.Next() {
		n++
		if err := s.add(rows, pools); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	switch {
	case n == pageSize:
		s.inHour = true
	case s.inHour:
		s.inHour = false
		s.hour++
	default:
		s.done = true
	}
	return nil
}

// add reads a row, and adds it to the page if it is asked for.
func (s *scan) add(rows *sql.Rows, pools map[int64]string) error {
	var (
		row recordRow
		key sql.RawBytes
	)
	if err := rows.Scan(row.targets(&s.hour, &key, &s.pool)...); err != nil {
		return err
	}
	s.subscriber = append(s.subscriber[:0], key...)
	r := census.Record{Hour: hourTime(s.hour), Subscriber: subscriberOf(key), Pool: pools[s.pool]}
	err := row.fill(&r)
	switch {
	case !r.Subscriber.IsValid():
		err = fmt.Errorf("a record of %s: %w: its subscriber is %x", r.Hour.Format(time.RFC3339), errDamaged, []byte(key))
	case !within(r.Subscriber, s.within):
		return nil
	case err != nil:
		err = fmt.Errorf("the record of %s of %s: %w", r.Subscriber, r.Hour.Format(time.RFC3339), err)
	}
	s.page = append(s.page, scanned{r, err})
	return nil
}
