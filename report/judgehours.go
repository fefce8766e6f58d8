// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math/bits"
	"slices"
	"time"

	"op25b/census"
)

// byHour sorts records by time, and makes one of those of the same hour, as there are
// when a gateway is started anew or a subscriber changes pools. Records that are so
// already are returned as they are: nobody changes them.
func byHour(records []census.Record) []census.Record {
	inOrder := true
	for i := 1; i < len(records); i++ {
		inOrder = inOrder && records[i-1].Hour.Before(records[i].Hour)
	}
	if inOrder {
		return records
	}
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b census.Record) int { return a.Hour.Compare(b.Hour) })
	var hours []census.Record
	for _, r := range sorted {
		last := len(hours) - 1
		if last < 0 || !hours[last].Hour.Equal(r.Hour) {
			hours = append(hours, r)
			continue
		}
		hours[last].Merge(&r)
		hours[last].Pool = r.Pool
	}
	return hours
}

// summarize fills what a finding says besides the judgment.
func summarize(hours []census.Record) Finding {
	f := Finding{Attempts: map[string]uint64{}}
	var tops [][]census.Destination
	for i := range hours {
		r := &hours[i]
		f.Subscriber, f.Pool = r.Subscriber.String(), r.Pool
		for o := range census.NumOutcomes {
			if r.Attempts[o] > 0 {
				f.Attempts[o.String()] += r.Attempts[o]
			}
		}
		f.Packets += r.Packets
		f.Destinations += r.Destinations
		tops = append(tops, r.Top)
		if r.Total() == 0 && r.Minutes == 0 {
			continue
		}
		f.Hours++
		first, last := bounds(r)
		if f.First.IsZero() || first.Before(f.First) {
			f.First = first
		}
		if last.After(f.Last) {
			f.Last = last
		}
	}
	if f.Hours == 0 {
		f.First, f.Last = hours[0].Hour, hours[len(hours)-1].Hour
	}
	f.Top = census.MergeTop(tops...)
	return f
}

// bounds are the first and the last attempt of an hour, to the minute if destinations
// say no more.
func bounds(r *census.Record) (first, last time.Time) {
	first, last = r.Hour, r.Hour
	if r.Minutes != 0 {
		first = r.Hour.Add(time.Duration(bits.TrailingZeros64(r.Minutes)) * time.Minute)
		last = r.Hour.Add(time.Duration(bits.Len64(r.Minutes)-1) * time.Minute)
	}
	exact := false
	for _, d := range r.Top {
		if d.First.Before(first.Add(time.Minute)) && (!exact || d.First.Before(first)) {
			first, exact = d.First, true
		}
		if d.Last.After(last) {
			last = d.Last
		}
	}
	return first, last
}
