// SPDX-License-Identifier: Apache-2.0

package report

import (
	"runtime"
	"testing"
	"time"

	"op25b/census"
)

// measured is a month's input, and what the heap has gained when its last record has
// been taken in.
func measured(subscribers int) (Input, *uint64) {
	var before, after runtime.MemStats
	gained := new(uint64)
	runtime.GC()
	runtime.ReadMemStats(&before)
	in := Input{
		From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Judge: scripted{},
		Records: func(yield func(census.Record, error) bool) {
			month(subscribers)(yield)
			runtime.GC()
			runtime.ReadMemStats(&after)
			*gained = max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
		},
	}
	return in, gained
}

// A month of 100,000 subscribers is ten times this. Nothing else may run meanwhile.
func TestMonthFitsMemory(t *testing.T) {
	const subscribers, each = 300, 330 // and so many records
	in, gained := measured(subscribers)
	r := build(t, in)
	if got := r.Totals.Subscribers; got != subscribers {
		t.Errorf("%d subscribers, want %d", got, subscribers)
	}
	const most = 160 // octets, for each record
	if of := *gained / (subscribers * each); of > most || of < 20 {
		t.Errorf("a record takes %d octets, want 20 to %d", of, most)
	}
}

// BenchmarkMonth is a month of 100,000 subscribers, 3 percent of whom try.
func BenchmarkMonth(b *testing.B) {
	var most uint64
	for b.Loop() {
		in, gained := measured(3000)
		build(b, in)
		most = max(most, *gained)
	}
	b.ReportMetric(float64(most)/1e6, "MB")
}
