// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// benchReport is what BenchmarkGateway found out, as it is written to a file.
type benchReport struct {
	SchemaVersion int            `json:"schema_version"`
	Machine       string         `json:"machine"`
	Processors    int            `json:"processors"`
	Kernel        string         `json:"kernel"`
	Go            string         `json:"go"`
	Rounds        int            `json:"rounds"`
	Seconds       int            `json:"seconds"` // for each measurement
	Figures       []figureReport `json:"figures"`
	Peers         []*peerReport  `json:"peers"`

	// relays are the C relays that op25b's modes are compared with, by the names of
	// the modes.
	relays map[string]string
}

// figureReport says what a figure is.
type figureReport struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Unit  string `json:"unit"`
}

// peerReport holds one peer's figures by their names. One is missing where it means
// nothing.
type peerReport struct {
	Name    string               `json:"name"`
	Mode    string               `json:"mode"`
	Samples map[string][]float64 `json:"samples"` // by round
	Medians map[string]float64   `json:"medians"`
	// Ratios of the medians to other peers', by the names of those and of the figures:
	// to the kernel's, and for op25b to the C relay's that goes the same way.
	Ratios map[string]map[string]float64 `json:"ratios"`
}

func newBenchReport(all []peer, what []measurement, rounds, seconds int) *benchReport {
	r := &benchReport{
		SchemaVersion: 2, Machine: processorModel(), Processors: runtime.NumCPU(), Kernel: kernelRelease(), Go: runtime.Version(),
		Rounds: rounds, Seconds: seconds, relays: map[string]string{},
	}
	for _, m := range what {
		for _, f := range m.figures {
			r.Figures = append(r.Figures, figureReport{f.name, f.title, f.unit})
		}
	}
	for _, p := range all {
		r.Peers = append(r.Peers, &peerReport{
			Name: p.name, Mode: p.mode, Samples: map[string][]float64{}, Medians: map[string]float64{}, Ratios: map[string]map[string]float64{},
		})
		if p.relay != "" {
			r.relays[p.name] = p.relay
		}
	}
	return r
}

// peer returns one peer's report, or nil.
func (r *benchReport) peer(name string) *peerReport {
	i := slices.IndexFunc(r.Peers, func(p *peerReport) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return r.Peers[i]
}

func (r *benchReport) add(peer string, v values) {
	p := r.peer(peer)
	for figure, value := range v {
		p.Samples[figure] = append(p.Samples[figure], value)
	}
}

// finish computes the medians and the ratios.
func (r *benchReport) finish() {
	for _, p := range r.Peers {
		for name, samples := range p.Samples {
			p.Medians[name] = median(samples)
		}
	}
	for _, p := range r.Peers {
		for _, other := range []string{kernelPeer, r.relays[p.Name]} {
			if yardstick := r.peer(other); yardstick != nil {
				p.Ratios[other] = ratios(p.Medians, yardstick.Medians)
			}
		}
	}
}

// ratios divides what both have.
func ratios(medians, yardstick map[string]float64) map[string]float64 {
	found := map[string]float64{}
	for name, value := range medians {
		if yardstick[name] > 0 {
			found[name] = value / yardstick[name]
		}
	}
	return found
}

func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// table renders the medians, each with its ratio to the kernel's, and then op25b's
// ratios to the C relay.
func (r *benchReport) table() string {
	var b strings.Builder
	basis := "one round"
	if r.Rounds > 1 {
		basis = fmt.Sprintf("medians of %d rounds", r.Rounds)
	}
	fmt.Fprintf(&b, "\n%s, %d processors, Linux %s, %s; %s, %d s for each measurement\n\n",
		r.Machine, r.Processors, r.Kernel, r.Go, basis, r.Seconds)
	for _, p := range r.Peers {
		fmt.Fprintf(&b, "%-12s %s\n", p.Name, p.Mode)
	}
	fmt.Fprint(&b, "\nIn brackets the ratio to the kernel.\n\n")
	r.render(&b, r.Peers, func(p *peerReport, figure string) string {
		value, known := p.Medians[figure]
		if !known {
			return "-"
		}
		cell := short(value)
		if ratio, known := p.Ratios[kernelPeer][figure]; known && p.Name != kernelPeer {
			cell += " (" + short(ratio) + ")"
		}
		return cell
	})
	r.compare(&b)
	return b.String() + "\n"
}

// compare renders op25b's ratios to the C relay.
func (r *benchReport) compare(b *strings.Builder) {
	compared := slices.DeleteFunc(slices.Clone(r.Peers), func(p *peerReport) bool { return p.Ratios[r.relays[p.Name]] == nil })
	if len(compared) == 0 {
		return
	}
	fmt.Fprint(b, "\nRatio to the C relay that goes the same way.\n\n")
	r.render(b, compared, func(p *peerReport, figure string) string {
		if ratio, known := p.Ratios[r.relays[p.Name]][figure]; known {
			return short(ratio)
		}
		return "-"
	})
}

// render writes a table with a line for each figure and a column for each peer.
func (r *benchReport) render(b *strings.Builder, peers []*peerReport, cell func(p *peerReport, figure string) string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, p := range peers {
		fmt.Fprint(w, "\t", p.Name)
	}
	fmt.Fprintln(w)
	for _, f := range r.Figures {
		fmt.Fprintf(w, "%s, %s", f.Title, f.Unit)
		for _, p := range peers {
			fmt.Fprint(w, "\t", cell(p, f.Name))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
}

// short writes a number with three digits that matter.
func short(v float64) string {
	suffix := ""
	switch {
	case v >= 1e6:
		v, suffix = v/1e6, "M"
	case v >= 1e4:
		v, suffix = v/1e3, "k"
	}
	digits := 2
	switch {
	case v >= 99.95:
		digits = 0
	case v >= 9.995:
		digits = 1
	}
	return fmt.Sprintf("%.*f%s", digits, v, suffix)
}

func (r *benchReport) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
