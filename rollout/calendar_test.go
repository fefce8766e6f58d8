// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	both := []string{"residential", "hotel"}
	one := []string{"residential"}
	want := []Event{
		{tokyo(t, "2026-11-01 00:00"), "phase census begins", both},
		{tokyo(t, "2026-11-18 10:00"), "brownout first begins", one},
		{tokyo(t, "2026-11-25 10:00"), "brownout second begins", nil},
		{tokyo(t, "2026-11-25 10:15"), "brownout first ends", one},
		{tokyo(t, "2026-11-25 10:30"), "brownout second ends", nil},
		{tokyo(t, "2026-12-01 02:00"), "phase trial begins", one},
		{tokyo(t, "2026-12-15 02:00"), "phase mobile begins", one},
		{tokyo(t, "2027-01-15 02:00"), "phase all begins", nil},
		{tokyo(t, "2027-01-15 02:00"), "relay reseller-msa ends", nil},
	}
	if diff := cmp.Diff(want, announced(t).Events()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// From boundary to boundary, and the same by Boundaries, each once.
func TestNext(t *testing.T) {
	t.Parallel()
	s := announced(t)
	var events []time.Time
	for _, e := range s.Events()[:8] { // the last two are at one moment
		events = append(events, e.Time)
	}
	var walked []time.Time
	first, ok := s.Next(time.Time{})
	for at := first; ok; at, ok = s.Next(at) {
		walked = append(walked, at)
	}
	last := walked[len(walked)-1]
	if !slices.EqualFunc(walked, events, time.Time.Equal) {
		t.Errorf("walked %v", walked)
	}
	if all := s.Boundaries(time.Time{}, last); !slices.EqualFunc(all, events, time.Time.Equal) {
		t.Errorf("all are %v", all)
	}
	if rest := s.Boundaries(first, last.Add(-1)); !slices.EqualFunc(rest, events[1:7], time.Time.Equal) {
		t.Errorf("between first and last: %v", rest)
	}
	if none := s.Boundaries(last, first); none != nil {
		t.Errorf("backwards: %v", none)
	}
	if at, ok := (&Schedule{}).Next(time.Time{}); ok || !at.IsZero() {
		t.Errorf("nothing announced, and %v comes", at)
	}
}
