// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"fmt"
	"io"
	"slices"
	"time"

	"op25b/control"
)

// plainWidth is in columns, and more than any line has: what somebody wants to search
// is not cut.
const plainWidth = 1 << 16

// Plain writes what Run shows, all panes below each other, in ASCII as far as the
// gateway's own words are. What is per second is the difference of two readings that are
// so long apart; before nil: it is left out.
func Plain(w io.Writer, before, now *control.Status, top *control.Top, elapsed time.Duration) error {
	return plain(w, before, reading{at: time.Now(), status: now, top: top}, elapsed, time.Local)
}

func plain(w io.Writer, before *control.Status, now reading, elapsed time.Duration, zone *time.Location) error {
	m := newModel(nil, elapsed, &painter{}, zone)
	m.now, m.rates = now, between(before, now.status, elapsed)
	m.paint.ascii = true
	rows := slices.Concat(m.head(), m.traffic())
	for p := range numPanes {
		t := p.table(&m.now, &m.rates, zone, 0)
		t.sorted = -1
		rows = append(rows, row{})
		rows = append(rows, t.rows(m.paint, plainWidth, len(t.lines)+1, 0)...)
	}
	if _, err := fmt.Fprintln(w, m.paint.paint(rows, plainWidth)); err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	return nil
}
