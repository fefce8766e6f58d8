// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"op25b/lab"
)

// halt stops a gateway that is measured.
func halt(b *testing.B, g *lab.Gateway) {
	b.Helper()
	if err := g.Stop(); err != nil {
		b.Fatal(err)
	}
}

// samples are what a benchmark of a few figures found, by what was measured.
type samples struct {
	names  []string // in order
	units  map[string][]string
	values map[string][]float64 // by name and unit
}

func newSamples() *samples {
	return &samples{units: map[string][]string{}, values: map[string][]float64{}}
}

func (s *samples) add(name, unit string, value float64) {
	key := name + "\x00" + unit
	if len(s.values[key]) == 0 {
		if len(s.units[name]) == 0 {
			s.names = append(s.names, name)
		}
		s.units[name] = append(s.units[name], unit)
	}
	s.values[key] = append(s.values[key], value)
}

// median returns the median of what was added, or 0.
func (s *samples) median(name, unit string) float64 {
	all := s.values[name+"\x00"+unit]
	if len(all) == 0 {
		return 0
	}
	return median(all)
}

// print writes the medians, a line for each name.
func (s *samples) print() {
	for _, name := range s.names {
		var b strings.Builder
		for _, unit := range s.units[name] {
			fmt.Fprintf(&b, "  %s %s", short(s.median(name, unit)), unit)
		}
		fmt.Printf("%-55s%s  (medians of %d)\n", name, b.String(), len(s.values[name+"\x00"+s.units[name][0]]))
	}
}
