// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"op25b/control"
	"op25b/human"
)

// pane is one of the tables that share the lower half.
type pane uint8

const (
	paneSubscribers pane = iota
	paneDestinations
	paneWorkers
	panePackets
	numPanes
)

func (p pane) title() string {
	return [...]string{"subscribers", "destinations", "workers", "packets"}[p]
}

// short is the title where there is no room.
func (p pane) short() string { return [...]string{"subs", "dests", "workers", "packets"}[p] }

// notTold is where who tries is not for the one who asks.
const notTold = "not shown: who tries is only for those who may change the gateway"

// table makes a pane's table, sorted in one of the ways that it has.
func (p pane) table(now *reading, r *rates, zone *time.Location, order int) *table {
	switch p {
	case paneSubscribers:
		return subscribers(now.top, zone, order)
	case paneDestinations:
		return destinations(now.top, order)
	case paneWorkers:
		return workers(now, r, order)
	default:
		return packets(now.status, r, order)
	}
}

func total(attempts map[string]uint64) (n uint64) {
	for _, a := range attempts {
		n += a
	}
	return n
}

// byMost compares for a descending order.
func byMost[T cmp.Ordered](a, b T) int { return cmp.Compare(b, a) }

func subscribers(top *control.Top, zone *time.Location, order int) *table {
	t := &table{titles: []string{"subscriber", "attempts", "refused", "monitored", "destinations", "last", "pool"}, empty: "nobody has tried in this hour"}
	if top.Time.IsZero() {
		t.empty = notTold
	}
	orders := []struct {
		column  int
		compare func(a, b control.ActiveSubscriber) int
	}{
		{1, func(a, b control.ActiveSubscriber) int { return byMost(total(a.Attempts), total(b.Attempts)) }},
		{2, func(a, b control.ActiveSubscriber) int { return byMost(a.Attempts["refused"], b.Attempts["refused"]) }},
		{4, func(a, b control.ActiveSubscriber) int { return byMost(a.Destinations, b.Destinations) }},
		{5, func(a, b control.ActiveSubscriber) int { return b.Last.Compare(a.Last) }},
		{0, func(a, b control.ActiveSubscriber) int { return compareNames(a.Subscriber, b.Subscriber) }},
	}
	by := orders[order%len(orders)]
	t.sorted = by.column
	for _, s := range slices.SortedStableFunc(slices.Values(top.Subscribers), by.compare) {
		about := ""
		if s.Estimated {
			about = "~"
		}
		l := tableLine{cells: []string{
			s.Subscriber, human.Count(total(s.Attempts)), human.Count(s.Attempts["refused"]), human.Count(s.Attempts["monitored"]),
			about + human.Count(s.Destinations), clock(s.Last, zone), s.Pool,
		}}
		t.lines = append(t.lines, l)
	}
	return t
}

func destinations(top *control.Top, order int) *table {
	t := &table{titles: []string{"destination", "attempts", "subscribers", "port"}, empty: "nobody has been tried in this hour"}
	if top.Time.IsZero() {
		t.empty = notTold
	}
	orders := []struct {
		column  int
		compare func(a, b control.ActiveDestination) int
	}{
		{1, func(a, b control.ActiveDestination) int { return byMost(a.Attempts, b.Attempts) }},
		{2, func(a, b control.ActiveDestination) int { return byMost(a.Subscribers, b.Subscribers) }},
		{0, func(a, b control.ActiveDestination) int { return compareNames(a.Destination, b.Destination) }},
	}
	by := orders[order%len(orders)]
	t.sorted = by.column
	for _, d := range slices.SortedStableFunc(slices.Values(top.Destinations), by.compare) {
		t.lines = append(t.lines, tableLine{cells: []string{
			d.Destination, human.Count(d.Attempts), human.Count(d.Subscribers), strconv.Itoa(int(d.Port)),
		}})
	}
	return t
}

func workers(now *reading, r *rates, order int) *table {
	t := &table{titles: []string{"worker", "bits", "frames", "moved", "state"}, empty: "no packets flow yet"}
	list := slices.Clone(now.status.Workers)
	if order%2 == 1 {
		t.sorted = 1
		slices.SortStableFunc(list, func(a, b control.WorkerStatus) int {
			return byMost(r.workers[worker{a.Direction, a.Queue}].bits, r.workers[worker{b.Direction, b.Queue}].bits)
		})
	}
	for _, w := range list {
		f := r.workers[worker{w.Direction, w.Queue}]
		l := tableLine{cells: []string{
			w.Direction + " " + strconv.Itoa(w.Queue), bitRate(f.bits, r.known), perSecond(f.frames, r.known),
			since(w.Progress, now.at), "ok",
		}}
		if !w.Progress.IsZero() {
			l.cells[3] += " ago"
		}
		if w.Stalled {
			l.cells[0], l.cells[4], l.look = l.cells[0]+" STALLED", "stalled", lookBad
		}
		t.lines = append(t.lines, l)
	}
	return t
}

func packets(s *control.Status, r *rates, order int) *table {
	t := &table{titles: []string{"packets", "out/s", "in/s", "outbound", "inbound"}, empty: "no packets yet"}
	names := map[string]uint64{}
	for _, counts := range s.Packets {
		for name, n := range counts {
			if n > 0 && name != "octets" {
				names[name] += n
			}
		}
	}
	rate := func(name string) float64 { return r.packets["outbound"][name] + r.packets["inbound"][name] }
	sorted := slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		if order%2 == 1 {
			return cmp.Or(byMost(rate(a), rate(b)), cmp.Compare(a, b))
		}
		return cmp.Or(byMost(names[a], names[b]), cmp.Compare(a, b))
	})
	t.sorted = 3
	if order%2 == 1 {
		t.sorted = 1
	}
	for _, name := range sorted {
		t.lines = append(t.lines, tableLine{cells: []string{
			name,
			perSecond(r.packets["outbound"][name], r.known), perSecond(r.packets["inbound"][name], r.known),
			human.Count(s.Packets["outbound"][name]), human.Count(s.Packets["inbound"][name]),
		}})
	}
	return t
}

// compareNames orders addresses and prefixes by number, what is none by its letters.
func compareNames(a, b string) int {
	x, err1 := netip.ParsePrefix(a)
	y, err2 := netip.ParsePrefix(b)
	if err1 == nil && err2 == nil {
		return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Bits(), y.Bits()))
	}
	u, err1 := netip.ParseAddr(a)
	v, err2 := netip.ParseAddr(b)
	if err1 == nil && err2 == nil {
		return u.Compare(v)
	}
	return cmp.Compare(a, b)
}

// clock writes a time of day.
func clock(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(zone).Format(time.TimeOnly)
}
