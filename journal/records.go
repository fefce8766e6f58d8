// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"op25b/census"
)

// AddRecords keeps what subscribers did in an hour. A record of an hour, subscriber
// and pool of which there is one already is added to that: it is of a gateway that
// was restarted within the hour, or of its predecessor. The slice is the journal's
// from then on; what records point to is only read.
//
// It does not wait. What there is no room for is lost and counted, as is a record
// whose subscriber or outcomes are not valid. How much of a destination may be kept
// is for the caller to see to: see [Privacy].
func (j *Journal) AddRecords(records []census.Record) {
	all := len(records)
	records = keepable(records)
	j.queue.pushRecords(records, all-len(records))
}

// keepable returns those that can be kept, in the same place.
func keepable(records []census.Record) []census.Record {
	n := 0
	for i := range records {
		if canKeep(&records[i]) {
			records[n] = records[i]
			n++
		}
	}
	return records[:n]
}

func canKeep(r *census.Record) bool {
	for i := range r.Top {
		if r.Top[i].Outcome >= census.NumOutcomes {
			return false
		}
	}
	return r.Subscriber.IsValid()
}

// compareRecords sorts records much as the file does, so that one page after the
// other is written.
func compareRecords(a, b census.Record) int {
	if c := a.Hour.Compare(b.Hour); c != 0 {
		return c
	}
	return a.Subscriber.Compare(b.Subscriber)
}

// recordColumns are those of a recordRow, in its order.
const recordColumns = "refused, monitored, not_in_force, exempt, relayed, packets, destinations, estimated, detail"

// recordRow is a record as it is kept, without its key. Numbers are signed, as
// SQLite's are: database/sql takes others for text.
type recordRow struct {
	attempts              [census.NumOutcomes]int64
	packets, destinations int64
	estimated             bool
	detail                []byte
}

func rowOf(r *census.Record) (row recordRow) {
	for i, n := range r.Attempts {
		row.attempts[i] = int64(kept(n))
	}
	row.packets, row.destinations, row.estimated = int64(kept(r.Packets)), int64(kept(r.Destinations)), r.Estimated
	row.detail = detailOf(r)
	return row
}

// values are for recordColumns, then the key.
func (r *recordRow) values(key ...any) []any {
	a := &r.attempts
	return append([]any{
		a[census.Refused], a[census.Monitored], a[census.NotInForce], a[census.Exempt], a[census.Relayed],
		r.packets, r.destinations, r.estimated, r.detail,
	}, key...)
}

// targets are for recordColumns, after those of the key.
func (r *recordRow) targets(key ...any) []any {
	a := &r.attempts
	return append(key, &a[census.Refused], &a[census.Monitored], &a[census.NotInForce], &a[census.Exempt], &a[census.Relayed],
		&r.packets, &r.destinations, &r.estimated, (*sql.RawBytes)(&r.detail))
}

// fill reads into a record of a known hour. After an error only its detail is
// missing.
func (r *recordRow) fill(to *census.Record) error {
	for i, n := range r.attempts {
		to.Attempts[i] = uint64(max(n, 0))
	}
	to.Packets, to.Destinations, to.Estimated = uint64(max(r.packets, 0)), uint64(max(r.destinations, 0)), r.estimated
	return readDetail(r.detail, to)
}

// hourOf is the number of an hour since 1970.
func hourOf(t time.Time) int64 { return t.Truncate(time.Hour).Unix() / hourSeconds }

func hourTime(hour int64) time.Time { return time.Unix(hour*hourSeconds, 0).UTC() }

// addRecords writes the first of them in one transaction, and returns how many. Each
// takes the place of what a draft has of it: whatever ends this process, and whenever,
// each is in the file once.
func (s *store) addRecords(ctx context.Context, records []census.Record, d *drafter, now int64) (int, error) {
	records = records[:min(len(records), batchSize)]
	return len(records), s.transact(ctx, func() error {
		if d.begun {
			if err := s.beat(ctx, d.run, now); err != nil {
				return err
			}
		}
		added := make(map[int64]int64) // by hour
		for i := range records {
			fresh, err := s.addRecord(ctx, &records[i], d)
			if err != nil {
				return err
			}
			if fresh {
				added[hourOf(records[i].Hour)]++
			}
		}
		return s.addHours(ctx, added)
	})
}

// addHours counts records that were added, by hour.
func (s *store) addHours(ctx context.Context, added map[int64]int64) error {
	for hour, n := range added {
		if _, err := s.conn.ExecContext(ctx,
			"INSERT INTO hours (hour, records) VALUES (?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records", hour, n); err != nil {
			return err
		}
	}
	return nil
}

// addRecord reports whether there was none of its key before.
func (s *store) addRecord(ctx context.Context, r *census.Record, d *drafter) (fresh bool, err error) {
	pool, err := s.pool(ctx, short(r.Pool))
	if err != nil {
		return false, err
	}
	hour, subscriber := hourOf(r.Hour), subscriberKey(plainPrefix(r.Subscriber))
	if d.has() {
		if _, err := s.stmts.dropDraft.ExecContext(ctx, d.run, d.complete, d.number, hour, subscriber, pool); err != nil {
			return false, err
		}
	}
	return s.addRow(ctx, rowOf(r), hour, subscriber, pool)
}

// addRow is addRecord for a row.
func (s *store) addRow(ctx context.Context, row recordRow, hour int64, subscriber []byte, pool int64) (fresh bool, err error) {
	result, err := s.stmts.addRecord.ExecContext(ctx, row.values(hour, subscriber, pool)...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if n != 0 || err != nil {
		return n != 0, err
	}
	if row, err = s.merged(ctx, row, hour, subscriber, pool); err != nil {
		return false, err
	}
	_, err = s.stmts.setRecord.ExecContext(ctx, row.values(hour, subscriber, pool)...)
	return false, err
}

// merged is the row of a key with another one added to it.
func (s *store) merged(ctx context.Context, row recordRow, key ...any) (recordRow, error) {
	rows, err := s.stmts.record.QueryContext(ctx, key...)
	if err != nil {
		return recordRow{}, err
	}
	defer rows.Close()
	var old recordRow
	if !rows.Next() {
		return recordRow{}, errors.Join(rows.Err(), fmt.Errorf("%w: a record is there and cannot be read", errDamaged))
	}
	if err := rows.Scan(old.targets()...); err != nil {
		return recordRow{}, err
	}
	// Both as they are kept. A detail that makes no sense is given up: the numbers
	// are worth more, and the next reader would fare no better.
	hour, _ := key[0].(int64)
	r, more := census.Record{Hour: hourTime(hour)}, census.Record{Hour: hourTime(hour)}
	_ = old.fill(&r)
	if err := row.fill(&more); err != nil {
		return recordRow{}, err
	}
	r.Merge(&more)
	return rowOf(&r), rows.Close()
}

// pool returns the number of a pool's name, and gives it one if it has none.
func (s *store) pool(ctx context.Context, name string) (int64, error) {
	if id, ok := s.pools[name]; ok {
		return id, nil
	}
	// Another process may have done so.
	if _, err := s.conn.ExecContext(ctx, "INSERT OR IGNORE INTO pools (name) VALUES (?)", name); err != nil {
		return 0, err
	}
	var id int64
	if err := s.conn.QueryRowContext(ctx, "SELECT id FROM pools WHERE name = ?", name).Scan(&id); err != nil {
		return 0, err
	}
	s.pools[name] = id
	return id, nil
}

func (s *store) loadPools(ctx context.Context) error {
	names, err := readPools(ctx, s.conn)
	if err != nil {
		return err
	}
	s.pools = make(map[string]int64, len(names))
	for id, name := range names {
		s.pools[name] = id
	}
	return nil
}

// readPools reads the names of all pools by their numbers: some ten.
func readPools(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (map[int64]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, name FROM pools")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := make(map[int64]string)
	for rows.Next() {
		var (
			id   int64
			name string
		)
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		names[id] = name
	}
	return names, rows.Err()
}

// countRecords tells how many there are, and the oldest hour; the zero time if
// there are none.
func (s *store) countRecords(ctx context.Context) (n int64, oldest time.Time, err error) {
	var hour sql.NullInt64
	err = s.conn.QueryRowContext(ctx, "SELECT coalesce(sum(records), 0), min(hour) FROM hours").Scan(&n, &hour)
	if hour.Valid {
		oldest = hourTime(hour.Int64)
	}
	return n, oldest, err
}

// forgetRecords forgets some of the oldest hour, if that was over before the edge,
// and reports whether there may be more to forget.
func (s *store) forgetRecords(ctx context.Context, edge time.Time) (more bool, err error) {
	var hour sql.NullInt64
	if err := s.conn.QueryRowContext(ctx, "SELECT min(hour) FROM hours").Scan(&hour); err != nil {
		return false, err
	}
	if !hour.Valid || hourTime(hour.Int64).Add(time.Hour).After(edge) {
		return false, nil
	}
	var subscriber []byte // of the last that goes
	err = s.conn.QueryRowContext(ctx, "SELECT subscriber FROM records WHERE hour = ? ORDER BY subscriber, pool LIMIT 1 OFFSET ?",
		hour.Int64, chunk).Scan(&subscriber)
	if errors.Is(err, sql.ErrNoRows) {
		return true, s.forgetHour(ctx, hour.Int64)
	}
	if err != nil {
		return false, err
	}
	// All pools of a subscriber go together.
	result, err := s.conn.ExecContext(ctx, "DELETE FROM records WHERE hour = ? AND subscriber <= ?", hour.Int64, subscriber)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, err
	}
	_, err = s.conn.ExecContext(ctx, "UPDATE hours SET records = records - ? WHERE hour = ?", n, hour.Int64)
	return true, err
}

// forgetHour forgets what is left of an hour.
func (s *store) forgetHour(ctx context.Context, hour int64) error {
	if _, err := s.conn.ExecContext(ctx, "DELETE FROM records WHERE hour = ?", hour); err != nil {
		return err
	}
	_, err := s.conn.ExecContext(ctx, "DELETE FROM hours WHERE hour = ?", hour)
	return err
}

// kept is n, or the most that SQLite can hold.
func kept(n uint64) uint64 { return min(n, math.MaxInt64) }
