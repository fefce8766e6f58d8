// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"net/netip"
	"slices"
	"sync"

	"op25b/census"
)

// kind says what happened.
type kind uint8

const (
	held kind = iota
	released
	allReleased
	generated
)

// event is one thing to write. Its strings and document are shared with whoever
// told it, and nobody changes them.
type event struct {
	kind                     kind
	prefix                   netip.Prefix // plain
	holder, hostname, source string
	at, seen                 int64 // milliseconds
	generation               *Generation
}

// rareRoom is how many generations and releases of a whole source may wait. They
// have room of their own: one of them says more than a thousand leases.
const rareRoom = 32

// queue is what waits to be written, bounded. Nobody waits for anything in it.
type queue struct {
	// batch tells the writer that there is enough for a transaction.
	batch chan struct{}

	mu sync.Mutex // for all below
	// room is for how many events there still is.
	room, rare int
	events     []event
	// records have room of their own: they are many at a time, once an hour.
	recordRoom int
	records    [][]census.Record
	// draft is the last one, if the writer has not taken it. It is not waited for: the
	// next one takes its place.
	draft     []census.Record
	drafted   bool
	draftRoom int
	handed    []int64 // the hours that records were told of last
	waiting   int     // all but the draft, and what the writer has taken and not written
	lost      uint64
	closed    bool
}

func newQueue(room, recordRoom int) *queue {
	return &queue{batch: make(chan struct{}, 1), room: room, rare: rareRoom, recordRoom: recordRoom, draftRoom: recordRoom}
}

// push adds an event, or loses it.
func (q *queue) push(e event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := q.roomFor(e)
	if *room == 0 || q.closed {
		q.lost++
		return
	}
	*room--
	q.waiting++
	q.events = append(q.events, e)
	if len(q.events) >= batchSize {
		q.wake()
	}
}

// wake tells the writer, unless it was told already.
func (q *queue) wake() {
	select {
	case q.batch <- struct{}{}:
	default:
	}
}

// pushRecords adds those that there is room for, and loses the rest, and as many
// others.
func (q *queue) pushRecords(records []census.Record, others int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range records {
		q.handed = addHour(q.handed, hourOf(records[i].Hour))
	}
	n := min(len(records), q.recordRoom)
	if q.closed {
		n = 0
	}
	q.lost += uint64(len(records) - n + others)
	if n == 0 {
		return
	}
	q.recordRoom -= n
	q.waiting += n
	q.records = append(q.records, records[:n])
	if n >= batchSize {
		q.wake()
	}
}

// takeRecords is take for records.
func (q *queue) takeRecords() []census.Record {
	q.mu.Lock()
	records := q.records
	q.records = nil
	q.mu.Unlock()
	if len(records) == 1 {
		return records[0]
	}
	return slices.Concat(records...)
}

// doneRecords is done for records.
func (q *queue) doneRecords(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recordRoom += n
	q.waiting -= n
}

// loseRecords is doneRecords for those that will not be written.
func (q *queue) loseRecords(n int) {
	q.doneRecords(n)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += uint64(n)
}

// setDraft has the writer write a draft.
func (q *queue) setDraft(records []census.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.draft, q.drafted = records[:min(len(records), q.draftRoom)], true
	}
}

// takeDraft hands a draft to the writer, if one was told.
func (q *queue) takeDraft() (records []census.Record, told bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	records, told = q.draft, q.drafted
	q.draft, q.drafted = nil, false
	return records, told
}

// handedOn returns the hours that records were told of.
func (q *queue) handedOn() []int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.handed)
}

func (q *queue) roomFor(e event) *int {
	if e.kind == allReleased || e.kind == generated {
		return &q.rare
	}
	return &q.room
}

// take hands all events to the writer. They keep their room until done is called
// for them.
func (q *queue) take() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events = nil
	return events
}

// done says that events that were taken are written.
func (q *queue) done(events []event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range events {
		*q.roomFor(events[i])++
	}
	q.waiting -= len(events)
}

// lose counts something that never came into the queue.
func (q *queue) lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost++
}

// close loses what waits and what is yet to come.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += uint64(q.waiting)
	q.closed, q.waiting, q.events, q.records = true, 0, nil, nil
	q.draft, q.drafted = nil, false
}

func (q *queue) state() (waiting int, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting, q.lost
}
