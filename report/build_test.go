// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/census"
)

// scrambled is a sample in any order, with hours that come in two parts, and records
// from before and after.
func scrambled(seed uint64) *sample {
	s := newSample()
	random := rand.New(rand.NewPCG(seed, 1))
	s.records = slices.DeleteFunc(s.records, func(census.Record) bool { return random.IntN(20) > 0 })
	for range 200 {
		r := s.records[random.IntN(len(s.records))]
		switch random.IntN(4) {
		case 0:
			r.Hour = s.begin.Add(-time.Hour).UTC()
		case 1:
			r.Hour = s.begin.AddDate(0, 0, sampleDays).UTC()
		case 2:
			r.Pool = "guests" // the subscriber has moved within the hour
		}
		for o := range r.Attempts {
			r.Attempts[o] += uint64(random.IntN(3))
		}
		s.records = append(s.records, r)
	}
	random.Shuffle(len(s.records), func(i, j int) { s.records[i], s.records[j] = s.records[j], s.records[i] })
	return s
}

// naive counts the slow way: for each number it goes through all records again.
type naive struct {
	records []census.Record
}

func newNaive(in Input) naive {
	var n naive
	for r, err := range in.Records {
		if err != nil {
			panic(err) // there is none in what a test has made
		}
		if !r.Hour.Before(in.From) && r.Hour.Before(in.To) {
			n.records = append(n.records, r)
		}
	}
	return n
}

func (n naive) counts(belongs func(*census.Record) bool) Counts {
	var c Counts
	who := map[netip.Prefix]bool{}
	for i := range n.records {
		r := &n.records[i]
		if !belongs(r) {
			continue
		}
		c.Refused += r.Attempts[census.Refused]
		c.Monitored += r.Attempts[census.Monitored]
		c.NotInForce += r.Attempts[census.NotInForce]
		c.Exempt += r.Attempts[census.Exempt]
		c.Relayed += r.Attempts[census.Relayed]
		if r.Attempts[census.Refused]+r.Attempts[census.Monitored]+r.Attempts[census.NotInForce] > 0 {
			who[r.Subscriber] = true
		}
	}
	c.Subscribers = uint64(len(who))
	return c
}

func TestCountsAgreeWithNaiveOnes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		in := scrambled(seed).input()
		in.MostFindings = 0
		r, n := build(t, in), newNaive(in)
		all := n.counts(func(*census.Record) bool { return true })
		if diff := cmp.Diff(all, r.Totals.Counts); diff != "" {
			t.Errorf("seed %d: totals (-naive +built):\n%s", seed, diff)
		}
		var kinds uint64
		for _, row := range r.Pools {
			want := n.counts(func(r *census.Record) bool { return r.Pool == row.Pool })
			if diff := cmp.Diff(want, row.Counts); diff != "" {
				t.Errorf("seed %d: pool %s (-naive +built):\n%s", seed, row.Pool, diff)
			}
			kinds += row.Mailers + row.Infected + row.Unclear
		}
		if sum := r.Totals.Mailers + r.Totals.Infected + r.Totals.Unclear; kinds != all.Subscribers || sum != kinds {
			t.Errorf("seed %d: %d subscribers, but kinds sum up to %d in pools and %d in totals", seed, all.Subscribers, kinds, sum)
		}
		if uint64(len(r.Findings)) != all.Subscribers {
			t.Errorf("seed %d: %d findings for %d subscribers", seed, len(r.Findings), all.Subscribers)
		}
		for i, p := range r.Trend {
			want := n.counts(func(r *census.Record) bool {
				return !r.Hour.Before(p.Time) && r.Hour.Before(in.From.AddDate(0, 0, i+1))
			})
			if diff := cmp.Diff(want, p.Counts); diff != "" {
				t.Errorf("seed %d: day %s (-naive +built):\n%s", seed, p.Time, diff)
			}
		}
		n.phases(t, in, r)
		if got := r.Exemptions[1]; got.Prefix != "100.64.9.25/32" || got.Used != all.Exempt-n.exemptOfOthers() {
			t.Errorf("seed %d: exemption %+v, want %d used", seed, got, all.Exempt-n.exemptOfOthers())
		}
	}
}

func (n naive) exemptOfOthers() uint64 {
	return n.counts(func(r *census.Record) bool { return r.Subscriber != netip.MustParsePrefix("100.64.9.25/32") }).Exempt
}

// phases checks those that take in all destinations of their pools, for which counting
// is exact.
func (n naive) phases(t *testing.T, in Input, r *Report) {
	t.Helper()
	for i, p := range in.Phases {
		want := n.counts(func(r *census.Record) bool {
			return slices.Contains(in.TakenIn(r.Pool, r.Subscriber, netip.Prefix{}), i)
		})
		at := slices.IndexFunc(r.Phases, func(row PhaseRow) bool { return row.Phase == p.Phase })
		got := r.Phases[at]
		if got.Subscribers != want.Subscribers || got.Attempts != want.Blocked() {
			t.Errorf("phase %s has %d subscribers and %d attempts, want %d and %d",
				p.Phase, got.Subscribers, got.Attempts, want.Subscribers, want.Blocked())
		}
	}
}

// A phase that covers some destinations gets its part of those that are not named.
func TestPhaseOfSomeDestinations(t *testing.T) {
	t.Parallel()
	s := newSample()
	inside := netip.MustParsePrefix("198.51.100.0/32")
	r := census.Record{Hour: s.begin.UTC(), Subscriber: netip.MustParsePrefix("100.64.0.1/32"), Pool: "p", Destinations: 40}
	r.Attempts = [census.NumOutcomes]uint64{census.Refused: 30, census.Monitored: 10, census.Exempt: 7}
	r.Top = []census.Destination{
		{Prefix: inside, Port: 25, Attempts: 5, Outcome: census.Refused},
		{Prefix: netip.MustParsePrefix("192.0.2.0/32"), Port: 25, Attempts: 15, Outcome: census.Monitored},
		{Prefix: inside, Port: 25, Attempts: 7, Outcome: census.Exempt},
	}
	nameless := r
	nameless.Subscriber, nameless.Top = netip.MustParsePrefix("2001:db8::/56"), nil
	var asked []string
	in := Input{
		From: s.begin, To: s.begin.Add(time.Hour), Judge: scripted{}, Records: inOrder([]census.Record{r, nameless}),
		Phases: []PhaseRow{{Phase: "some"}, {Phase: "none"}},
		TakenIn: func(_ string, _, destination netip.Prefix) []int {
			asked = append(asked, destination.String())
			if destination == inside || destination.Bits() == 0 {
				return []int{0, 9, -1} // indices of no phase are no reason to fall over
			}
			return nil
		},
	}
	want := []PhaseRow{{Phase: "none"}, {Phase: "some", Subscribers: 2, Attempts: 40*5/20 + 40}}
	if diff := cmp.Diff(want, build(t, in).Phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"192.0.2.0/32", "198.51.100.0/32", "::/0"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestOrderAndEndOfLists(t *testing.T) {
	t.Parallel()
	in := newSample().input()
	in.MostFindings = 0
	whole := build(t, in)
	if !slices.IsSortedFunc(whole.Findings, findingOrder) {
		t.Error("findings are not in order")
	}
	if whole.Findings[0].Kind != Infected || whole.Findings[len(whole.Findings)-1].Kind != Unclear {
		t.Errorf("first is %s, last is %s", whole.Findings[0].Kind, whole.Findings[len(whole.Findings)-1].Kind)
	}
	for _, most := range []int{1, 7, 309, 310, 311} {
		in.MostFindings = most
		r := build(t, in)
		if diff := cmp.Diff(whole.Findings[:min(most, 310)], r.Findings, samePrefix()); diff != "" {
			t.Errorf("the first %d (-of all +listed):\n%s", most, diff)
		}
		said := slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "in the totals and not listed") })
		if said != (most < 310) {
			t.Errorf("most %d: notes are %q", most, r.Notes)
		}
		if r.Totals != whole.Totals {
			t.Errorf("most %d changes totals", most)
		}
	}
	if whole.Triangular[0].Kind != Triangular || whole.Triangular[1].Kind != Backscatter {
		t.Errorf("suspects: %+v", whole.Triangular)
	}
}

// Holders are asked for only where they are shown: that may be a question to a
// database each time.
func TestHolderIsAskedForWhatIsShown(t *testing.T) {
	t.Parallel()
	in := newSample().input()
	asked := map[netip.Prefix]int{}
	in.Holder = func(p netip.Prefix) string { asked[p]++; return "x" }
	r := build(t, in)
	want := map[netip.Prefix]int{}
	for _, f := range r.Findings {
		want[netip.MustParsePrefix(f.Subscriber)]++
	}
	for _, s := range r.Triangular {
		want[netip.MustParsePrefix(s.Subscriber)]++
	}
	if diff := cmp.Diff(want, asked, samePrefix()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	broken := errors.New("disk I/O error")
	failing := func(yield func(census.Record, error) bool) { yield(census.Record{}, broken) }
	for _, c := range []struct {
		name, want string
		in         Input
	}{
		{"no judge", "build a report: nobody judges: set Judge", Input{From: at, To: at.Add(time.Hour)}},
		{"no time", "build a report: it would end (2026-11-28T09:00:00Z) before it begins (2026-11-28T09:00:00Z): ask for a later end",
			Input{From: at, To: at, Judge: scripted{}}},
		{"records fail", "read what was counted: disk I/O error",
			Input{From: at, To: at.Add(time.Hour), Judge: scripted{}, Records: failing}},
	} {
		r, err := Build(c.in)
		if r != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, %v; want %q", c.name, r, err, c.want)
		}
	}
	if _, err := Build(Input{From: at, To: at.Add(1), Judge: scripted{}, Records: failing}); !errors.Is(err, broken) {
		t.Errorf("%v hides its cause", err)
	}
}

// Bounds are widened to whole hours, and a step of the trend is never lost or double.
func TestTrendSteps(t *testing.T) {
	t.Parallel()
	tokyo, berlin := japan(), berlin(t)
	for _, c := range []struct {
		name        string
		from, to    time.Time
		steps       int
		first, last string
	}{
		{"part of an hour", time.Date(2026, 5, 1, 9, 30, 0, 0, tokyo), time.Date(2026, 5, 1, 9, 31, 0, 0, tokyo), 1, "2026-05-01T09:00:00+09:00", "2026-05-01T09:00:00+09:00"},
		{"three days by hour", time.Date(2026, 5, 1, 0, 0, 0, 0, tokyo), time.Date(2026, 5, 4, 0, 0, 0, 0, tokyo), 72, "2026-05-01T00:00:00+09:00", "2026-05-03T23:00:00+09:00"},
		{"a week from noon", time.Date(2026, 5, 1, 12, 0, 0, 0, tokyo), time.Date(2026, 5, 8, 12, 0, 0, 0, tokyo), 8, "2026-05-01T12:00:00+09:00", "2026-05-08T00:00:00+09:00"},
		{"summer time begins", time.Date(2026, 3, 27, 0, 0, 0, 0, berlin), time.Date(2026, 4, 1, 0, 0, 0, 0, berlin), 5, "2026-03-27T00:00:00+01:00", "2026-03-31T00:00:00+02:00"},
		{"summer time ends", time.Date(2026, 10, 23, 0, 0, 0, 0, berlin), time.Date(2026, 10, 28, 0, 0, 0, 0, berlin), 5, "2026-10-23T00:00:00+02:00", "2026-10-27T00:00:00+01:00"},
	} {
		r := build(t, Input{From: c.from, To: c.to, Judge: scripted{}})
		first, last := r.Trend[0].Time.Format(time.RFC3339), r.Trend[len(r.Trend)-1].Time.Format(time.RFC3339)
		if len(r.Trend) != c.steps || first != c.first || last != c.last {
			t.Errorf("%s: %d steps from %s to %s, want %d from %s to %s", c.name, len(r.Trend), first, last, c.steps, c.first, c.last)
		}
		steps := trend{r.Trend}
		for at := r.From; at.Before(r.To); at = at.Add(time.Hour) {
			i := steps.step(at)
			if r.Trend[i].Time.After(at) || i+1 < len(r.Trend) && !r.Trend[i+1].Time.After(at) {
				t.Fatalf("%s: %s is in step %d", c.name, at, i)
			}
		}
	}
}

func samePrefix() cmp.Option { return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }) }

// berlin has summer time.
func berlin(t *testing.T) *time.Location {
	t.Helper()
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return l
}

// What is packed comes back as it was, down to the nanosecond.
func TestPackedRecords(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	hour := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	some := func() uint64 { return random.Uint64() >> random.IntN(64) }
	var want []part
	var packedSoFar []byte
	for range 500 {
		r := census.Record{Hour: hour.Add(time.Duration(random.IntN(10_000)-5000) * time.Hour), Packets: some(), Destinations: some(),
			Estimated: random.IntN(2) == 0, Minutes: some()}
		for o := range r.Attempts {
			r.Attempts[o] = some()
		}
		if random.IntN(2) == 0 {
			r.Unsolicited = census.Unsolicited{SYNACKs: some(), Resets: some(), Data: some(), Peers: some(), DataPeers: some()}
		}
		for range random.IntN(census.MostTop + 1) {
			d := census.Destination{Port: uint16(some()), Outcome: census.Outcome(random.IntN(int(census.NumOutcomes))), Attempts: some(), Packets: some()}
			switch random.IntN(4) {
			case 0:
				d.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{1, byte(some()), 3, 4}), random.IntN(33))
			case 1:
				d.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(some())}), random.IntN(129))
			case 2:
				d.Prefix = netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)
			}
			if random.IntN(3) > 0 {
				d.First = r.Hour.Add(time.Duration(random.Int64N(int64(time.Hour))))
				d.Last = d.First.Add(time.Duration(random.Int64N(int64(time.Minute))))
			}
			r.Top = append(r.Top, d)
		}
		p := part{random.IntN(300), r}
		packedSoFar = pack(packedSoFar, &r, p.pool)
		want = append(want, p)
	}
	got := unpack(packedSoFar)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(part{}), samePrefix()); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
}

// An hour in which the gateway was started anew is one hour.
func TestMergeHours(t *testing.T) {
	t.Parallel()
	hour := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	top := func(last byte, attempts uint64, minute int, outcome census.Outcome) census.Destination {
		return census.Destination{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 32), Port: 25, Outcome: outcome,
			Attempts: attempts, Packets: 2 * attempts, First: hour.Add(time.Duration(minute) * time.Minute), Last: hour.Add(time.Duration(minute+1) * time.Minute)}
	}
	first := census.Record{Hour: hour, Pool: "a", Destinations: 2, Packets: 10, Minutes: 0b11, Attempts: [census.NumOutcomes]uint64{3, 2},
		Top: []census.Destination{top(1, 3, 0, census.Refused), top(2, 2, 1, census.Monitored)}}
	second := census.Record{Hour: hour, Pool: "a", Destinations: 2, Packets: 22, Minutes: 0b110, Attempts: [census.NumOutcomes]uint64{11},
		Top:         []census.Destination{top(2, 7, 30, census.Refused), top(3, 4, 31, census.Refused)},
		Unsolicited: census.Unsolicited{SYNACKs: 1, Resets: 2, Data: 3, Peers: 4, DataPeers: 5}}
	other := census.Record{Hour: hour, Pool: "b", Destinations: 1}
	later := census.Record{Hour: hour.Add(time.Hour), Pool: "a", Destinations: 1}
	both := top(2, 9, 30, census.Refused)
	both.First = hour.Add(time.Minute)
	want := []census.Record{
		{Hour: hour, Pool: "a", Destinations: 3, Packets: 32, Minutes: 0b111, Attempts: [census.NumOutcomes]uint64{14, 2},
			Top:         []census.Destination{both, top(3, 4, 31, census.Refused), top(1, 3, 0, census.Refused)},
			Unsolicited: census.Unsolicited{SYNACKs: 1, Resets: 2, Data: 3, Peers: 4, DataPeers: 5}},
		other, later,
	}
	got := mergeHours([]census.Record{first, other, second, later})
	if diff := cmp.Diff(want, got, samePrefix()); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	first.Destinations = 200
	if got := mergeHours([]census.Record{first, second}); !got[0].Estimated || got[0].Destinations != 201 {
		t.Errorf("of 200 and 2 destinations, one in both: %d, estimated %v", got[0].Destinations, got[0].Estimated)
	}
}

// month is a month of so many subscribers who try 11 hours a day, one in twenty of them
// infected, handed on hour by hour as a journal does.
func month(subscribers int) func(yield func(census.Record, error) bool) {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return func(yield func(census.Record, error) bool) {
		for hour := range 30 * 24 {
			if hour%24 > 10 {
				continue
			}
			at := begin.Add(time.Duration(hour) * time.Hour)
			for s := range subscribers {
				if !yield(monthRecord(at, hour, s), nil) {
					return
				}
			}
		}
	}
}

func monthRecord(at time.Time, hour, s int) census.Record {
	subscriber := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(s >> 8), byte(s)}), 32)
	r := census.Record{Hour: at, Subscriber: subscriber, Pool: "residential", Destinations: 1, Packets: 9, Minutes: 1 << (s % 60)}
	if s%20 == 0 {
		r.Destinations, r.Minutes = 400, 1<<60-1
	}
	r.Attempts[census.Refused] = 3 * r.Destinations
	for i := range min(r.Destinations, census.MostTop) {
		destination := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(hour), byte(i)}), 32)
		first := at.Add(time.Duration(s%3000) * time.Second)
		r.Top = append(r.Top, census.Destination{Prefix: destination, Port: 25, Attempts: 3, Packets: 9, First: first, Last: first.Add(time.Minute)})
	}
	return r
}

func ExampleTables() {
	fmt.Println(strings.Join(Tables(), " "))
	// Output: pools phases findings triangular exemptions trend
}
