// SPDX-License-Identifier: Apache-2.0

package census

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// model is what a book means, with maps that know everything and no bounds.
type model struct {
	fold    time.Duration
	hour    time.Time
	done    map[time.Time]bool
	calls   map[modelCall]*modelState
	records map[time.Time]map[netip.Prefix]*modelRecord

	attempts [NumOutcomes]uint64
	packets  uint64
}

type modelCall struct {
	from netip.Prefix
	to   netip.Addr
	port uint16
}

type modelState struct {
	outcome     Outcome
	begun, last time.Time
}

type modelRecord struct {
	Record
	all   map[modelCall]*Destination
	peers map[netip.Addr]bool
}

func newModel(fold time.Duration) *model {
	return &model{
		fold: fold, done: map[time.Time]bool{}, calls: map[modelCall]*modelState{},
		records: map[time.Time]map[netip.Prefix]*modelRecord{},
	}
}

func (m *model) turn(now time.Time, clock bool) {
	hour := now.Truncate(time.Hour)
	ahead := hour.After(m.hour)
	set := clock && m.hour.Sub(now) > 5*time.Minute
	if hour.Equal(m.hour) || !ahead && !set || m.done[hour] {
		return
	}
	if len(m.records[m.hour]) > 0 {
		m.done[m.hour] = true
	}
	m.hour = hour
}

func (m *model) record(p netip.Prefix, pool string) *modelRecord {
	of := m.records[m.hour]
	if of == nil {
		of = map[netip.Prefix]*modelRecord{}
		m.records[m.hour] = of
	}
	if of[p] == nil {
		of[p] = &modelRecord{
			Record: Record{Hour: m.hour, Subscriber: p, Pool: pool},
			all:    map[modelCall]*Destination{}, peers: map[netip.Addr]bool{},
		}
	}
	return of[p]
}

func (m *model) add(a Attempt) {
	m.turn(a.Time, false)
	m.packets++
	r := m.record(a.Subscriber, a.Pool)
	r.Packets++
	at := a.Time
	if at.Before(m.hour) {
		at = m.hour
	}
	if end := m.hour.Add(time.Hour - 1); at.After(end) {
		at = end
	}
	key := modelCall{a.Subscriber, a.Destination, a.Port}
	c, d := m.calls[key], r.all[key]
	if c != nil && c.outcome == a.Outcome && a.Time.Sub(c.last).Abs() < m.fold && a.Time.Sub(c.begun) < 2*m.fold {
		c.last = latest(c.last, a.Time)
		if d != nil {
			d.Packets++
			saw(d, at)
		}
		return
	}
	m.calls[key] = &modelState{a.Outcome, a.Time, a.Time}
	m.attempts[a.Outcome]++
	r.Attempts[a.Outcome]++
	r.Minutes |= 1 << at.Minute()
	r.Pool = a.Pool
	if d == nil {
		d = &Destination{Prefix: host(a.Destination), Port: a.Port, First: at, Last: at}
		r.all[key] = d
	}
	d.Outcome = a.Outcome
	d.Attempts++
	d.Packets++
	saw(d, at)
}

func (m *model) reply(r Reply) {
	m.turn(r.Time, false)
	asked := false
	for key, c := range m.calls {
		if key.from != r.Subscriber || key.to != r.Peer || r.Time.Sub(c.last) > 2*time.Hour {
			continue
		}
		asked = true
		if r.Time.Sub(c.begun) >= 2*m.fold {
			c.last = latest(c.last, r.Time)
		}
	}
	if asked {
		return
	}
	to := m.record(r.Subscriber, r.Pool)
	u := &to.Unsolicited
	counts := map[ReplyKind]*uint64{ReplySYNACK: &u.SYNACKs, ReplyReset: &u.Resets, ReplyData: &u.Data}
	*counts[r.Kind]++
	to.peers[r.Peer] = to.peers[r.Peer] || r.Kind == ReplyData
	u.Peers, u.DataPeers = uint64(len(to.peers)), 0
	for _, data := range to.peers {
		if data {
			u.DataPeers++
		}
	}
}

// all returns the records of all hours, as a book hands them on.
func (m *model) all() map[time.Time][]Record {
	all := map[time.Time][]Record{}
	for hour, of := range m.records {
		for _, r := range of {
			addresses := map[netip.Addr]bool{}
			r.Top = []Destination{}
			for key, d := range r.all {
				addresses[key.to] = true
				r.Top = append(r.Top, *d)
			}
			slices.SortFunc(r.Top, func(a, b Destination) int {
				return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(b.Packets, a.Packets),
					a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Port, b.Port))
			})
			r.Top = r.Top[:min(len(r.Top), MostTop)]
			r.Destinations = uint64(len(addresses))
			all[hour] = append(all[hour], r.Record)
		}
		slices.SortFunc(all[hour], func(a, b Record) int { return a.Subscriber.Compare(b.Subscriber) })
	}
	return all
}

func saw(d *Destination, at time.Time) {
	d.Last = latest(d.Last, at)
	if at.Before(d.First) {
		d.First = at
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// listener is a book, or a model of it.
type listener interface {
	Add(Attempt)
	AddReply(Reply)
	Tick(time.Time)
}

func (m *model) Add(a Attempt)      { m.add(a) }
func (m *model) AddReply(r Reply)   { m.reply(r) }
func (m *model) Tick(now time.Time) { m.turn(now, true) }

// play makes packets of a script: four octets are who, whom, what and how much time
// has passed. set says whether the clock may be set back as well.
func play(script []byte, set bool, to ...listener) {
	now := noon.Add(17 * time.Minute)
	steps := []time.Duration{
		0, 100 * time.Millisecond, time.Second, 5 * time.Second, 20 * time.Second, 31 * time.Second, 59 * time.Second,
		60 * time.Second, 61 * time.Second, 119 * time.Second, 10 * time.Minute, 31 * time.Minute, 59 * time.Minute,
		61 * time.Minute, 125 * time.Minute, 5 * time.Hour, -100 * time.Millisecond, -5 * time.Second, -61 * time.Second,
	}
	if set {
		steps = append(steps, -3*time.Hour, -26*time.Hour, -10*time.Minute)
	}
	for len(script) >= 4 {
		who, whom, what, step := script[0], script[1], script[2], script[3]
		script = script[4:]
		if step < 64 { // most of the time, little passes
			step %= 8
		}
		now = now.Add(steps[int(step)%len(steps)])
		subscriber, peer := customer(int(who%6)), server(int(whom%40))
		for _, l := range to {
			switch what % 8 {
			case 5:
				l.AddReply(Reply{Time: now, Pool: "home", Subscriber: subscriber, Peer: peer, Kind: ReplyKind(what/8) % 3})
			case 6:
				l.Tick(now)
			case 7:
				l.Add(Attempt{Time: now, Pool: "other", Subscriber: subscriber, Destination: peer, Port: 465})
			default:
				l.Add(Attempt{Time: now, Pool: "home", Subscriber: subscriber, Destination: peer, Port: 25, Outcome: Outcome(what % 8)})
			}
		}
	}
}

// compare plays a script to books and the model. One has room for everything, and has to
// say exactly what the model says. The other has next to none, and may only say less.
//
// Once in some thousand books so many peers share a place in a subscriber's memory, by
// the book's own hash, that calls are forgotten and a reply is not held against anyone,
// as AddReply says. So a difference counts if three books have it.
func compare(t *testing.T, script []byte, set bool) {
	t.Helper()
	const fold, books = 60 * time.Second, 3
	for book := range books {
		roomy, got := newBook(Options{Fold: fold})
		tight, less := newBook(Options{Fold: fold, Exact: 3, Subscribers: 4})
		m := newModel(fold)
		play(script, set, roomy, tight, m)
		roomy.Close()
		tight.Close()
		if d := difference(m, got, set); d == "" || book == books-1 {
			exactly(t, roomy, got, m, d)
			atMost(t, tight, less, m)
			return
		}
	}
}

// difference is what a book has told, beside what the model says.
func difference(m *model, got *handed, set bool) string {
	options := gocmp.Options{equal()}
	if set { // sessions of before are remembered by the hours that went by
		options = append(options, cmpopts.IgnoreFields(Record{}, "Unsolicited"),
			cmpopts.IgnoreSliceElements(func(r Record) bool { return r.Packets == 0 }),
			cmpopts.IgnoreMapEntries(func(_ time.Time, r []Record) bool {
				return !slices.ContainsFunc(r, func(r Record) bool { return r.Packets > 0 })
			}))
	}
	return gocmp.Diff(m.all(), got.records, options)
}

func exactly(t *testing.T, b *Book, got *handed, m *model, d string) {
	t.Helper()
	if d != "" {
		t.Fatalf("the model (-) and the book (+):\n%s", d)
	}
	h := b.Health()
	if h.Attempts != m.attempts || h.Packets != m.packets || h.Overflowed != 0 {
		t.Errorf("%+v of %d attempts, %d packets", h, m.attempts, m.packets)
	}
	once := slices.Clone(got.hours)
	slices.SortFunc(once, time.Time.Compare)
	if len(slices.CompactFunc(once, time.Time.Equal)) != len(got.hours) {
		t.Errorf("hours were handed on twice: %s", got.hours)
	}
}

func atMost(t *testing.T, b *Book, less *handed, m *model) {
	t.Helper()
	h, sum := b.Health(), uint64(0)
	for hour, records := range less.records {
		if len(records) > 4 || !slices.IsSortedFunc(records, func(a, b Record) int { return a.Subscriber.Compare(b.Subscriber) }) {
			t.Errorf("%s: %d records, of 4 at most, or out of order", hour, len(records))
		}
		for _, r := range records {
			sum += r.Total()
			if !r.Estimated && len(r.Top) < int(r.Destinations) || len(r.Top) > MostTop {
				t.Errorf("%d destinations, %d named", r.Destinations, len(r.Top))
			}
			checkTop(t, r, m)
		}
	}
	if h.Packets != m.packets || h.Attempts != m.attempts || sum+h.Overflowed != total(h.Attempts) {
		t.Errorf("%+v, %d in records; the model: %d of %d", h, sum, m.attempts, m.packets)
	}
}

// checkTop compares with the model what a record names. Nobody has tried more often than
// the model knows.
func checkTop(t *testing.T, r Record, m *model) {
	t.Helper()
	for _, d := range r.Top {
		truth := &Destination{}
		for hour, of := range m.records {
			if c := of[r.Subscriber]; c != nil && hour.Equal(r.Hour) {
				truth = c.all[modelCall{r.Subscriber, d.Prefix.Addr(), d.Port}]
			}
		}
		if truth == nil || d.Attempts > truth.Attempts || d.Packets > truth.Packets || d.First.Before(truth.First) {
			t.Errorf("%+v is more than %+v", d, truth)
		}
	}
}

// Random packets, with clocks that run, jump and are set.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 25))
			script := make([]byte, 4*(1+random.IntN(500)))
			for i := range script {
				script[i] = byte(random.Uint32())
				if i%4 == 3 && random.IntN(8) > 0 {
					script[i] %= 64
				}
			}
			compare(t, script, seed%2 == 1)
		})
	}
}
