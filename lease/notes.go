// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"net/netip"
	"time"
)

// liveNotes tell a Sink at once.
type liveNotes struct {
	to           Sink
	source, file string
	now          time.Time
}

func (n *liveNotes) hold(l Lease) {
	l.Source = n.source
	n.to.Lease(Event{Kind: Granted, Lease: l, Time: n.now})
}

func (n *liveNotes) gone(p netip.Prefix) {
	n.to.Lease(Event{Kind: Released, Lease: Lease{Prefix: p, Source: n.source}, Time: n.now})
}

func (n *liveNotes) bad(number int, what, text, fix string) {
	n.to.Bad(n.source, Problem{File: n.file, Line: number, What: what, Text: text, Fix: fix})
}

// readingNotes are those of a whole reading.
type readingNotes struct {
	to         Reading
	file       string
	good, ill  int
	firstWrong *Problem
}

func (n *readingNotes) hold(l Lease) {
	n.good++
	n.to.Hold(l)
}

func (n *readingNotes) gone(p netip.Prefix) {
	n.good++
	n.to.Gone(p)
}

func (n *readingNotes) bad(number int, what, text, fix string) {
	p := Problem{File: n.file, Line: number, What: what, Text: text, Fix: fix}
	if n.ill++; n.firstWrong == nil {
		first := p.keep()
		n.firstWrong = &first
	}
	n.to.Bad(p)
}

// believable returns an error when there is more that makes no sense than that
// does: it is the wrong file, or a broken one, and must not end leases.
func (n *readingNotes) believable(path string) error {
	if n.ill <= n.good {
		return nil
	}
	return fmt.Errorf("%s: %d of %d lines or declarations make no sense, nothing of it is believed: "+
		"name the lease file and its kind; the first: %s", path, n.ill, n.ill+n.good, n.firstWrong)
}
