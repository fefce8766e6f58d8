// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"op25b/census"
	"op25b/report/population"
)

// monday is the beginning of a working day.
func monday() time.Time { return time.Date(2026, time.November, 23, 0, 0, 0, 0, time.UTC) }

// tried is an hour of refused attempts, as many to each destination, at so many minutes.
func tried(hour, minutes, each int, to ...string) census.Record {
	r := census.Record{
		Hour: monday().Add(time.Duration(hour) * time.Hour), Subscriber: netip.MustParsePrefix("100.64.3.7/32"),
		Pool: "residential", Destinations: uint64(len(to)), Minutes: 1<<minutes - 1,
	}
	for _, a := range to {
		p := netip.MustParseAddr(a)
		r.Top = append(r.Top, census.Destination{
			Prefix: netip.PrefixFrom(p, p.BitLen()), Port: 25, Attempts: uint64(each), Packets: uint64(each),
			First: r.Hour.Add(10 * time.Second), Last: r.Hour.Add(50 * time.Second),
		})
		r.Attempts[census.Refused] += uint64(each)
	}
	r.Packets = r.Attempts[census.Refused]
	return r
}

// sprayed is an hour of a bot: each destination once, most of them without a name.
func sprayed(hour, destinations int) census.Record {
	var to []string
	for i := range census.MostTop {
		to = append(to, netip.AddrFrom4([4]byte{198, 18, byte(hour), byte(i)}).String())
	}
	r := tried(hour, 60, 1, to...)
	r.Destinations = uint64(destinations)
	r.Attempts[census.Refused], r.Packets = uint64(destinations), uint64(destinations)
	return r
}

func known(p netip.Prefix) bool { return netip.MustParsePrefix("10.25.0.0/16").Overlaps(p) }

// evenings are a mail program's hours: one server, a mail now and then.
func evenings() (records []census.Record) {
	for day := range 4 {
		records = append(records, tried(24*day+18, 2, 1, "10.25.1.25"), tried(24*day+20, 3, 2, "10.25.1.25"))
	}
	return records
}

// nights are a bot's.
func nights() (records []census.Record) {
	for hour := range 12 {
		records = append(records, sprayed(hour, 200))
	}
	return records
}

func TestJudgedKinds(t *testing.T) {
	t.Parallel()
	crowd := evenings()
	for i := range crowd {
		crowd[i].Top[0].Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 25, byte(i), 25}), 32)
	}
	relayed := tried(9, 3, 4, "192.0.2.25")
	relayed.Attempts = [census.NumOutcomes]uint64{census.Relayed: 4}
	relayed.Top[0].Outcome = census.Relayed
	nameless := nights()
	for i := range nameless {
		nameless[i].Top = nil
	}
	for _, test := range []struct {
		name    string
		records []census.Record
		kind    Kind
		first   string // the weightiest evidence, where it matters
	}{
		{"a mail program", evenings(), Mailer, ""},
		{"a bot", nights(), Infected, ""},
		{"a bot, destinations not kept", nameless, Infected, ""},
		{"one attempt", []census.Record{tried(9, 1, 1, "198.18.0.1")}, Unclear, ""},
		{"by the relay only", []census.Record{relayed}, Unclear, "attempts"},
		{"a mail program, and a bot", slices.Concat(evenings(), nights()), Unclear, "some_of_both"},
		{"mail programs of eight providers", crowd, Unclear, "some_of_both"},
		{"a mail program that also uses the relay", append(evenings(), relayed), Mailer, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := (&Judge{Known: known}).Find(test.records)
			if f.Kind != test.kind || test.first != "" && f.Evidence[0].Feature != test.first {
				t.Errorf("found %s, %.2f, by %+v", f.Kind, f.Confidence, f.Evidence)
			}
			if sure := f.Kind != Unclear; sure != (f.Confidence >= claim) || !sure && f.Confidence != 0.5 {
				t.Errorf("%s with a confidence of %v", f.Kind, f.Confidence)
			}
		})
	}
}

// The order of records, and what a restart splits, make no difference; nor is a record
// changed.
func TestJudgedInAnyOrder(t *testing.T) {
	t.Parallel()
	judge := &Judge{Known: known}
	for _, s := range population.Make(population.Options{Seed: 77, Each: 2, Location: time.UTC}) {
		want := judge.Find(s.Records)
		before, err := json.Marshal(s.Records)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := slices.Clone(s.Records)
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
		if diff := gocmp.Diff(want, judge.Find(shuffled), gocmp.Comparer(samePrefixes)); diff != "" {
			t.Errorf("%s, shuffled (-want +got):\n%s", s.Kind, diff)
		}
		if after, err := json.Marshal(s.Records); err != nil || string(after) != string(before) {
			t.Errorf("%s: the records were changed", s.Kind)
		}
	}
}

func samePrefixes(a, b netip.Prefix) bool { return a == b }

func TestSummary(t *testing.T) {
	t.Parallel()
	a, b := tried(9, 1, 2, "198.18.0.1", "198.18.0.2"), tried(9, 2, 3, "198.18.0.2")
	c := tried(11, 5, 1, "198.18.0.3")
	c.Top = nil // not kept
	c.Attempts[census.Monitored] = 2
	f := (&Judge{}).Find([]census.Record{c, b, a})
	at := func(hour, minute, second int) time.Time {
		return monday().Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	}
	named := func(address string, n uint64) census.Destination {
		return census.Destination{
			Prefix: netip.MustParsePrefix(address), Port: 25, Attempts: n, Packets: n, First: at(9, 0, 10), Last: at(9, 0, 50),
		}
	}
	want := Finding{
		Subscriber: "100.64.3.7/32", Pool: "residential",
		Kind: f.Kind, Confidence: f.Confidence, Evidence: f.Evidence, // not this test's
		Attempts: map[string]uint64{"refused": 8, "monitored": 2}, Packets: 8, Destinations: 3, Hours: 2,
		First: at(9, 0, 10), Last: at(11, 4, 0),
		Top: []census.Destination{named("198.18.0.2/32", 5), named("198.18.0.1/32", 2)},
	}
	if diff := gocmp.Diff(want, f, gocmp.Comparer(samePrefixes)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where it is day decides what are working hours.
func TestLocation(t *testing.T) {
	t.Parallel()
	records := []census.Record{tried(1, 1, 1, "198.18.0.1"), tried(2, 1, 1, "198.18.0.1")}
	for _, test := range []struct {
		zone *time.Location
		want float64
	}{
		{nil, 0},
		{time.FixedZone("JST", 9*3600), 1},
		{time.FixedZone("PST", -8*3600), 0}, // Sunday afternoon
	} {
		got, ok := workShare((&Judge{Location: test.zone}).observe(records))
		if !ok || got != test.want {
			t.Errorf("in %v %v of the attempts are in working hours, want %v", test.zone, got, test.want)
		}
	}
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	plain := feature{points: []point{{0, -2}, {0.5, 0}, {1, 4}}}
	ratio := feature{points: []point{{1, 0}, {10, 1}, {1000, 3}}, byRatio: true}
	for _, test := range []struct {
		f           feature
		value, want float64
	}{
		{plain, -1, -2}, {plain, 0, -2}, {plain, 0.25, -1}, {plain, 0.5, 0}, {plain, 0.75, 2}, {plain, 1, 4}, {plain, 9, 4},
		{ratio, 0, 0}, {ratio, 1, 0}, {ratio, 10, 1}, {ratio, 100, 2}, {ratio, 1e6, 3},
	} {
		if got := test.f.weigh(test.value); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%v weighs %v, want %v", test.value, got, test.want)
		}
	}
}

// Weights of a feature only rise or only fall, so that evidence reads as it weighs.
func TestWeightsHaveOneDirection(t *testing.T) {
	t.Parallel()
	for _, f := range features() {
		rising := slices.IsSortedFunc(f.points, func(a, b point) int { return cmp.Compare(a.weight, b.weight) })
		falling := slices.IsSortedFunc(f.points, func(a, b point) int { return cmp.Compare(b.weight, a.weight) })
		values := slices.IsSortedFunc(f.points, func(a, b point) int { return cmp.Compare(a.value, b.value) })
		if !values || falls(f.name) && !falling || !falls(f.name) && !rising {
			t.Errorf("%s: %v", f.name, f.points)
		}
	}
}

// Whatever a record says, a finding can be written as JSON and its figures are in range.
func TestJudgedNonsense(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(25, 25))
	for range 3000 {
		var records []census.Record
		for range 1 + rng.IntN(6) {
			r := tried(rng.IntN(200), rng.IntN(64), 1+rng.IntN(3), "198.18.0.1", "2001:db8::1", "10.25.1.1")
			r.Destinations = rng.Uint64N(1 << uint(rng.IntN(20)))
			r.Minutes = rng.Uint64()
			r.Attempts[rng.IntN(int(census.NumOutcomes))] = rng.Uint64N(1 << uint(rng.IntN(40)))
			r.Attempts[census.Refused] = rng.Uint64N(4)
			r.Top = r.Top[:rng.IntN(4)]
			for i := range r.Top {
				r.Top[i].Outcome = census.Outcome(rng.IntN(int(census.NumOutcomes)))
			}
			records = append(records, r)
		}
		f := (&Judge{Known: known}).Find(records)
		if _, err := json.Marshal(f); err != nil || f.Confidence < 0.5 || f.Confidence > mostConfident || f.Top == nil || f.Evidence == nil {
			t.Fatalf("%v: %+v", err, f)
		}
	}
}

func TestSuspect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		of   census.Unsolicited
		kind string // empty: nobody
	}{
		{"nothing", census.Unsolicited{}, ""},
		{"a stray answer", census.Unsolicited{SYNACKs: 2, Peers: 1}, ""},
		{"answers to a forger", census.Unsolicited{SYNACKs: 40, Resets: 12, Peers: 30}, Backscatter},
		{"refusals only", census.Unsolicited{Resets: 12, Peers: 12}, Backscatter},
		{"a session that is older than the counting", census.Unsolicited{Data: 30, Resets: 1, Peers: 1, DataPeers: 1}, ""},
		{"one segment in much backscatter", census.Unsolicited{SYNACKs: 40, Data: 1, Peers: 30, DataPeers: 1}, Backscatter},
		{"a mail to one server", census.Unsolicited{SYNACKs: 1, Data: 9, Peers: 1, DataPeers: 1}, Triangular},
		{"mails to many", census.Unsolicited{SYNACKs: 90, Data: 700, Peers: 90, DataPeers: 80}, Triangular},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := census.Record{Hour: monday(), Subscriber: netip.MustParsePrefix("2001:db8:25::/56"), Pool: "fiber", Unsolicited: test.of}
			got, ok := (&Judge{}).Suspect([]census.Record{r, tried(3, 1, 1, "198.18.0.1")})
			if !ok {
				if test.kind != "" {
					t.Errorf("nobody is suspected, want %s", test.kind)
				}
				return
			}
			want := Suspect{
				Subscriber: "2001:db8:25::/56", Pool: "fiber", Kind: test.kind, Unsolicited: test.of, First: monday(), Last: monday(),
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
