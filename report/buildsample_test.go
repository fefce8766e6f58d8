// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"op25b/census"
)

// japan is where the sample's provider is.
func japan() *time.Location { return time.FixedZone("JST", 9*60*60) }

// sample is four weeks of a provider that has begun to refuse: monitored from the 9th
// day on, refused from the 16th on for pool mobile, from the 23rd for the others.
type sample struct {
	begin   time.Time
	random  *rand.Rand
	records []census.Record
}

const sampleDays = 28

func newSample() *sample {
	s := &sample{
		begin:  time.Date(2026, 10, 31, 0, 0, 0, 0, japan()),
		random: rand.New(rand.NewPCG(25, 587)),
	}
	pools := []string{"residential", "residential", "mobile", "fiber-east"}
	for i := range 310 {
		pool := pools[i%len(pools)]
		subscriber := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 + byte(i%len(pools)), byte(i / 7), byte(17 * i)}), 32)
		if i%9 == 8 {
			subscriber = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(i / 9), byte(i)}), 56)
		}
		switch {
		case i%77 == 3:
			s.infected(pool, subscriber)
		case i%41 == 5:
			s.once(pool, subscriber)
		default:
			s.mailer(pool, subscriber, byte(i))
		}
	}
	s.exempt(netip.MustParsePrefix("100.64.9.25/32"))
	s.triangular(netip.MustParsePrefix("100.64.4.77/32"), 3100)
	s.triangular(netip.MustParsePrefix("100.64.200.9/32"), 0)
	return s
}

func (s *sample) outcome(pool string, at time.Time) census.Outcome {
	day := int(at.Sub(s.begin) / (24 * time.Hour))
	switch {
	case day >= 22, day >= 15 && pool == "mobile":
		return census.Refused
	case day >= 8:
		return census.Monitored
	default:
		return census.NotInForce
	}
}

// add makes a record of an hour in which so many destinations were tried so often each.
func (s *sample) add(pool string, subscriber netip.Prefix, at time.Time, destinations, attempts int, to byte) {
	outcome := s.outcome(pool, at)
	r := census.Record{Hour: at.UTC(), Subscriber: subscriber, Pool: pool, Destinations: uint64(destinations)}
	r.Attempts[outcome] = uint64(destinations * attempts)
	r.Packets = 2 * r.Attempts[outcome]
	r.Minutes = 1<<10 | 1<<40
	for i := range min(destinations, 3) {
		addr := netip.AddrFrom4([4]byte{198, 51, 100, to + byte(i)})
		if subscriber.Addr().Is6() {
			addr = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, 15: to + byte(i)})
		}
		r.Top = append(r.Top, census.Destination{
			Prefix: netip.PrefixFrom(addr, addr.BitLen()), Port: 25, Outcome: outcome, Attempts: uint64(attempts), Packets: 2 * uint64(attempts),
			First: at.UTC().Add(10 * time.Minute), Last: at.UTC().Add(40 * time.Minute),
		})
	}
	s.records = append(s.records, r)
}

// mailer tries the same server in the morning and the evening of most days, until
// refusals teach some of them.
func (s *sample) mailer(pool string, subscriber netip.Prefix, to byte) {
	learns := 12 + s.random.IntN(30)
	for day := range min(learns, sampleDays) {
		for _, hour := range []int{8, 19 + s.random.IntN(4)} {
			if s.random.IntN(3) > 0 {
				s.add(pool, subscriber, s.begin.AddDate(0, 0, day).Add(time.Duration(hour)*time.Hour), 1, 1+s.random.IntN(4), to)
			}
		}
	}
}

// infected tries hundreds at any hour for some days.
func (s *sample) infected(pool string, subscriber netip.Prefix) {
	first := 2 + s.random.IntN(18)
	for hour := range 24 * (1 + s.random.IntN(7)) {
		at := s.begin.AddDate(0, 0, first).Add(time.Duration(hour) * time.Hour)
		if at.Before(s.begin.AddDate(0, 0, sampleDays)) {
			s.add(pool, subscriber, at, 5+s.random.IntN(60), 1, byte(s.random.IntN(200)))
		}
	}
}

func (s *sample) once(pool string, subscriber netip.Prefix) {
	s.add(pool, subscriber, s.begin.Add(time.Duration(s.random.IntN(24*sampleDays))*time.Hour), 2, 1, 9)
}

func (s *sample) exempt(subscriber netip.Prefix) {
	for day := range sampleDays {
		r := census.Record{Hour: s.begin.AddDate(0, 0, day).UTC(), Subscriber: subscriber, Pool: "residential", Destinations: 5}
		r.Attempts[census.Exempt], r.Attempts[census.Relayed] = 31, 12
		s.records = append(s.records, r)
	}
}

func (s *sample) triangular(subscriber netip.Prefix, data uint64) {
	u := census.Unsolicited{SYNACKs: 212, Resets: 40, Peers: 180}
	if data > 0 {
		u.Data, u.DataPeers = data, 160
	}
	s.records = append(s.records, census.Record{
		Hour: s.begin.AddDate(0, 0, 20).UTC(), Subscriber: subscriber, Pool: "residential", Unsolicited: u,
	})
}

// input is all of the sample, with judgments that follow its making.
func (s *sample) input() Input {
	end := s.begin.AddDate(0, 0, sampleDays)
	return Input{
		From: s.begin, To: end, Made: end.Add(2 * time.Minute),
		Records: inOrder(s.records), Judge: scripted{},
		Phases: []PhaseRow{
			{Phase: "watch", Mode: "monitor", State: "over", Start: s.begin.AddDate(0, 0, 8), End: s.begin.AddDate(0, 0, 22)},
			{Phase: "mobile", Mode: "refuse", State: "active", Start: s.begin.AddDate(0, 0, 15)},
			{Phase: "everybody", Mode: "refuse", State: "active", Start: s.begin.AddDate(0, 0, 22)},
			{Phase: "guests", Mode: "refuse", State: "planned", Start: s.begin.AddDate(0, 1, 0)},
		},
		TakenIn: func(pool string, _, _ netip.Prefix) []int {
			return map[string][]int{"mobile": {0, 1, 2}, "residential": {0, 2}, "fiber-east": {0, 2}}[pool]
		},
		Exemptions: []Exemption{
			{Prefix: "100.64.9.25/32", Until: end.AddDate(0, 0, 5), Reason: "mail server of the parish, moves to a static address", Ticket: "T-4711", By: "yamada"},
			{Prefix: "100.65.8.0/29", Until: end.AddDate(0, 0, -3), Reason: "camera with built-in mail; its maker has no other port", Ticket: "T-4602"},
		},
		ExemptionOf: func(subscriber netip.Prefix) int {
			return map[bool]int{true: 0, false: -1}[subscriber == netip.MustParsePrefix("100.64.9.25/32")]
		},
		Pools: []string{"residential", "mobile", "fiber-east", "guests"},
		Holder: func(subscriber netip.Prefix) string {
			return fmt.Sprintf("02:00:5e:00:53:%02x", subscriber.Addr().AsSlice()[3])
		},
		Notes:        []string{"The gateway was down from 2026-11-11 02:00 to 02:20 JST: what was tried then is missing."},
		MostFindings: 8,
	}
}

func inOrder(records []census.Record) iter.Seq2[census.Record, error] {
	return func(yield func(census.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// scripted is a judge whose rules can be read at a glance, so that a better one does
// not change what is expected here.
type scripted struct{}

func (scripted) Find(records []census.Record) Finding {
	f := Finding{Attempts: map[string]uint64{}, Hours: uint64(len(records))}
	top := map[netip.Prefix]census.Destination{}
	most := uint64(0)
	for i := range records {
		r := &records[i]
		for o, n := range r.Attempts {
			if n > 0 {
				f.Attempts[census.Outcome(o).String()] += n
			}
		}
		f.Packets += r.Packets
		f.Destinations += r.Destinations
		most = max(most, r.Destinations)
		for _, d := range r.Top {
			known := top[d.Prefix]
			d.Attempts += known.Attempts
			top[d.Prefix] = d
		}
	}
	f.First, f.Last = records[0].Hour.Add(10*time.Minute), records[len(records)-1].Hour.Add(40*time.Minute)
	for _, prefix := range slices.SortedFunc(maps.Keys(top), netip.Prefix.Compare) {
		f.Top = append(f.Top, top[prefix])
	}
	slices.SortStableFunc(f.Top, func(a, b census.Destination) int { return int(b.Attempts) - int(a.Attempts) })
	f.Top = f.Top[:min(len(f.Top), 4)]
	switch {
	case most > 3:
		f.Kind, f.Confidence = Infected, 0.97
		f.Evidence = []Evidence{
			{"destinations_per_hour", float64(most), 2.8, fmt.Sprintf("%d different destinations in one hour", most)},
			{"night", 0.33, 0.9, "as many attempts between 1 and 5 at night as by day"},
			{"repeat", 0.1, -0.4, "a tenth of the attempts went where one went before"},
		}
	case len(records) > 2:
		f.Kind, f.Confidence = Mailer, 0.94
		f.Evidence = []Evidence{
			{"one_destination", 1, -2.2, fmt.Sprintf("all attempts in %d hours went to one mail server", len(records))},
			{"hours", 2, -0.7, "attempts only when people are awake"},
		}
	default:
		f.Kind, f.Confidence = Unclear, 0.5
	}
	return f
}

func (scripted) Suspect(records []census.Record) (Suspect, bool) {
	s := Suspect{Kind: Backscatter}
	for i := range records {
		u := records[i].Unsolicited
		if u == (census.Unsolicited{}) {
			continue
		}
		if s.First.IsZero() {
			s.First = records[i].Hour
		}
		s.Last = records[i].Hour
		s.Unsolicited = u
		if u.Data > 0 {
			s.Kind = Triangular
		}
	}
	return s, !s.First.IsZero()
}

func sampleReport(t testing.TB) *Report {
	t.Helper()
	return build(t, newSample().input())
}

func build(t testing.TB, in Input) *Report {
	t.Helper()
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
