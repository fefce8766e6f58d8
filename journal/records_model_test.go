// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"op25b/census"
)

// recordModel is what records mean: sums by hour, subscriber and pool, and all whom
// a subscriber tried. It is exact as long as nobody tries more than a record names.
type recordModel map[recordKey]map[serverKey]*census.Destination

type recordKey struct {
	hour       time.Time
	subscriber netip.Prefix
	pool       string
}

type serverKey struct {
	prefix netip.Prefix
	port   uint16
}

func (m recordModel) add(r *census.Record) {
	key := recordKey{r.Hour, r.Subscriber, r.Pool}
	if m[key] == nil {
		m[key] = make(map[serverKey]*census.Destination)
	}
	for _, d := range r.Top {
		old := m[key][serverKey{d.Prefix, d.Port}]
		if old == nil {
			m[key][serverKey{d.Prefix, d.Port}] = &d
			continue
		}
		old.Attempts += d.Attempts
		old.Packets += d.Packets
		if d.First.Before(old.First) {
			old.First = d.First
		}
		if !d.Last.Before(old.Last) {
			old.Last, old.Outcome = d.Last, d.Outcome
		}
	}
}

func (m recordModel) forget(edge time.Time) {
	for key := range m {
		if !key.hour.Add(time.Hour).After(edge) {
			delete(m, key)
		}
	}
}

// records are those from one hour to another, of subscribers in a prefix.
func (m recordModel) records(from, to time.Time, within netip.Prefix) (all []census.Record) {
	for key, servers := range m {
		if key.hour.Before(from) || !key.hour.Before(to) ||
			within.IsValid() && (!within.Contains(key.subscriber.Addr()) || key.subscriber.Bits() < within.Bits()) {
			continue
		}
		r := census.Record{Hour: key.hour, Subscriber: key.subscriber, Pool: key.pool}
		addrs := make(map[netip.Prefix]bool)
		for _, d := range servers {
			addrs[d.Prefix] = true
			r.Top = append(r.Top, *d)
		}
		r.Destinations = uint64(len(addrs))
		all = append(all, r)
	}
	return all
}

// sorted makes records of a journal and of a model alike: in one order, and without
// what the model does not have.
func sorted(records []census.Record) []census.Record {
	for i := range records {
		r := &records[i]
		r.Attempts, r.Packets, r.Minutes = [census.NumOutcomes]uint64{}, 0, 0
		slices.SortFunc(r.Top, func(a, b census.Destination) int {
			return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Port, b.Port))
		})
	}
	slices.SortFunc(records, func(a, b census.Record) int {
		return cmp.Or(a.Hour.Compare(b.Hour), a.Subscriber.Compare(b.Subscriber), cmp.Compare(a.Pool, b.Pool))
	})
	return records
}

// record is of one of few hours, subscribers and pools, so that they meet.
func (p *program) record() census.Record {
	r := census.Record{Hour: at(float64(p.choose(12))), Subscriber: p.prefix(), Pool: fmt.Sprint("pool", p.choose(2))}
	addrs := make(map[netip.Prefix]bool)
	servers := make(map[serverKey]bool)
	for range p.choose(4) {
		d := census.Destination{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(p.choose(5))}), 32), Port: []uint16{25, 25, 587}[p.choose(3)],
			Outcome: census.Outcome(p.choose(int(census.NumOutcomes))), Attempts: uint64(p.choose(200) + 1),
		}
		if servers[serverKey{d.Prefix, d.Port}] {
			continue
		}
		servers[serverKey{d.Prefix, d.Port}], addrs[d.Prefix] = true, true
		d.Packets = d.Attempts * uint64(1+p.choose(2))
		d.First = r.Hour.Add(time.Duration(p.choose(256)) * 7 * time.Second)
		d.Last = d.First.Add(time.Duration(p.choose(256)) * 7 * time.Second)
		r.Attempts[d.Outcome] += d.Attempts
		r.Packets += d.Packets
		r.Minutes |= 1 << (d.First.Sub(r.Hour) / time.Minute)
		r.Top = append(r.Top, d)
	}
	r.Destinations = uint64(len(addrs))
	return r
}

// runRecords does the program to an empty journal and to the model, and compares
// what they say.
func (p *program) runRecords(t *testing.T, j *Journal) {
	t.Helper()
	m := make(recordModel)
	compare := func(from, to time.Time, within netip.Prefix) {
		t.Helper()
		var attempts, packets, named, namedPackets uint64
		got := collect(t, j.Records(t.Context(), from, to, within))
		for i := range got {
			attempts, packets = attempts+got[i].Total(), packets+got[i].Packets
			for _, d := range got[i].Top {
				named, namedPackets = named+d.Attempts, namedPackets+d.Packets
			}
		}
		if attempts != named || packets != namedPackets {
			t.Fatalf("%d attempts, named %d; %d packets, named %d", attempts, named, packets, namedPackets)
		}
		if !slices.IsSortedFunc(got, func(a, b census.Record) int { return a.Hour.Compare(b.Hour) }) {
			t.Fatal("not in the order of hours")
		}
		if diff := gocmp.Diff(sorted(m.records(from, to, within)), sorted(got), comparePrefixes()); diff != "" {
			t.Fatalf("%s-%s of %s: %s", from, to, within, diff)
		}
	}
	for p.more() {
		switch action := p.choose(64); {
		case action < 40:
			var records []census.Record
			for range 1 + p.choose(6) {
				r := p.record()
				m.add(&r)
				records = append(records, r)
			}
			j.AddRecords(records)
		case action < 62:
			flush(t, j)
			from := at(float64(p.choose(13)))
			compare(from, from.Add(time.Duration(p.choose(13))*time.Hour), p.prefix())
		default:
			edge := at(float64(p.choose(8)))
			sweepAll(t, j, edge)
			m.forget(edge)
		}
	}
	flush(t, j)
	compare(at(-1), at(99), netip.Prefix{})
	if h := j.Health(); h.Lost != 0 || h.Err != nil {
		t.Errorf("%+v", h)
	}
}

// TestRecordsModel is TestModel for records. Settings: OP25B_JOURNAL_MODELS (6).
func TestRecordsModel(t *testing.T) {
	t.Parallel()
	for seed := range setting(t, "OP25B_JOURNAL_MODELS", 6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			j := open(t, options(t))
			dice(uint64(seed)+1000, 6000).runRecords(t, j)
			check(t, j.opts.Path)
		})
	}
}
