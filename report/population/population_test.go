// SPDX-License-Identifier: Apache-2.0

package population

import (
	"encoding/json"
	"math/bits"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/census"
)

func TestSameSeedSamePopulation(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 5, Each: 3, Location: time.FixedZone("CET", 3600)}
	first, err := json.Marshal(Make(o))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(Make(o)); err != nil || string(again) != string(first) {
		t.Errorf("another population: %v", err)
	}
	o.Seed++
	if other, err := json.Marshal(Make(o)); err != nil || string(other) == string(first) {
		t.Errorf("another seed makes the same population: %v", err)
	}
}

// Records are what a census could have made.
func TestRecordsAreConsistent(t *testing.T) {
	t.Parallel()
	count := map[Kind]int{}
	for seed := range uint64(6) {
		for _, s := range Make(Options{Seed: seed, Each: 4, Location: time.FixedZone("CET", 3600)}) {
			count[s.Kind]++
			for i := range s.Records {
				if i > 0 && !s.Records[i-1].Hour.Before(s.Records[i].Hour) {
					t.Errorf("%s: hours are out of order", s.Kind)
				}
				consistent(t, s.Kind, &s.Records[i])
			}
		}
	}
	for _, k := range Kinds() {
		if count[k] != 24 {
			t.Errorf("there are %d of kind %s, want 24", count[k], k)
		}
	}
}

func consistent(t *testing.T, k Kind, r *census.Record) {
	t.Helper()
	var named, packets uint64
	for i, d := range r.Top {
		named += d.Attempts
		packets += d.Packets
		if i > 0 && r.Top[i-1].Attempts < d.Attempts {
			t.Errorf("%s: top destinations are out of order", k)
		}
		if d.First.Before(r.Hour) || d.Last.Before(d.First) || !d.Last.Before(r.Hour.Add(time.Hour)) {
			t.Errorf("%s: %v to %v in the hour of %v", k, d.First, d.Last, r.Hour)
		}
	}
	switch {
	case named > r.Total() || packets > r.Packets || r.Packets < r.Total():
		t.Errorf("%s: %d of %d attempts and %d of %d packets have names", k, named, r.Total(), packets, r.Packets)
	case r.Minutes>>60 != 0 || (r.Minutes == 0) != (r.Total() == 0) || uint64(bits.OnesCount64(r.Minutes)) > r.Total():
		t.Errorf("%s: %d attempts in minutes %x", k, r.Total(), r.Minutes)
	case r.Destinations > 0 && !r.Estimated && r.Destinations < uint64(len(r.Top)):
		t.Errorf("%s: %d destinations, %d named", k, r.Destinations, len(r.Top))
	case r.Total() == 0 && r.Unsolicited == (census.Unsolicited{}):
		t.Errorf("%s: nothing happened in an hour with a record", k)
	}
}

// What is shortened adds up to what was there, and is as known as before.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for _, s := range Make(Options{Seed: 9, Each: 4, Location: time.UTC}) {
		short := Truncated.Apply(s.Records)
		for i := range s.Records {
			all, kept := map[bool]uint64{}, map[bool]uint64{}
			for _, d := range s.Records[i].Top {
				all[Known(d.Prefix)] += d.Attempts
			}
			for _, d := range short[i].Top {
				kept[Known(d.Prefix)] += d.Attempts
				if d.Prefix.IsSingleIP() || d.Prefix != d.Prefix.Masked() {
					t.Errorf("%v is not shortened", d.Prefix)
				}
			}
			if diff := cmp.Diff(all, kept); diff != "" {
				t.Errorf("%s: attempts by whether known (-full +truncated):\n%s", s.Kind, diff)
			}
		}
		for _, r := range Absent.Apply(s.Records) {
			if r.Top != nil {
				t.Errorf("%s: destinations are kept", s.Kind)
			}
		}
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{
		"10.25.0.25/32": true, "10.25.27.0/24": true, "10.25.28.25/32": false, "10.25.0.0/16": false,
		"198.19.251.26/32": true, "198.19.252.26/32": false, "198.18.251.26/32": false,
	} {
		if got := Known(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s is known: %v", prefix, got)
		}
	}
	for _, a := range []netip.Addr{submission(3, 0, true), exchanger(0, 0, true)} {
		if p, _ := a.Prefix(48); !Known(netip.PrefixFrom(a, 128)) || !Known(p) {
			t.Errorf("%s is not known", a)
		}
	}
	if Known(netip.PrefixFrom(submission(known, 0, true), 128)) || Known(netip.PrefixFrom(exchanger(1, 0, true), 128)) {
		t.Error("a provider is known that is not on the list")
	}
}
