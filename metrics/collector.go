// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"op25b/control"
)

// Collector turns a status into metrics. It asks for one status each time that it
// is collected and keeps nothing.
type Collector struct {
	status   func() control.Status
	families []family
	descs    []*prometheus.Desc // by index of families
}

// NewCollector returns a collector over what status returns, which is called by
// the goroutine that collects and is only read.
func NewCollector(status func() control.Status) *Collector {
	c := &Collector{status: status, families: families()}
	for _, f := range c.families {
		c.descs = append(c.descs, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	return c
}

// Describe sends what every metric is. See [prometheus.Collector].
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect sends every metric of the status as it is now. See
// [prometheus.Collector].
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.status()
	for i, f := range c.families {
		seen := map[string]bool{}
		f.collect(&s, func(value float64, labels ...string) {
			for l := range labels {
				labels[l] = label(labels[l])
			}
			// One of a kind: Prometheus refuses all that comes with a twin. No label has
			// the octet that joins them.
			kind := strings.Join(labels, "\xff")
			if seen[kind] {
				return
			}
			seen[kind] = true
			to <- prometheus.MustNewConstMetric(c.descs[i], f.kind, value, labels...)
		})
	}
}

// longest is how many runes of a name become a label.
const longest = 64

// label makes a label of a name that somebody thought up.
func label(name string) string {
	name = strings.ToValidUTF8(name, string(utf8.RuneError))
	if utf8.RuneCountInString(name) > longest {
		name = string([]rune(name)[:longest])
	}
	return name
}

// sink takes a value and the labels that it has, in the order of the family's. It
// keeps the labels. Of two values with the same labels it takes the first.
type sink func(value float64, labels ...string)

// family is a metric: what is called alike and differs in labels.
type family struct {
	name, help string
	labels     []string
	kind       prometheus.ValueType
	collect    func(s *control.Status, out sink)
}

func counter(name, help string, labels []string, collect func(*control.Status, sink)) family {
	return family{name, help, labels, prometheus.CounterValue, collect}
}

func gauge(name, help string, labels []string, collect func(*control.Status, sink)) family {
	return family{name, help, labels, prometheus.GaugeValue, collect}
}

// total is a counter without labels.
func total(name, help string, of func(*control.Status) uint64) family {
	return counter(name, help, nil, func(s *control.Status, out sink) { out(float64(of(s))) })
}

// level is a gauge without labels.
func level(name, help string, of func(*control.Status) int) family {
	return gauge(name, help, nil, func(s *control.Status, out sink) { out(float64(of(s))) })
}

// families are all metrics, in the order in which docs/metrics.md has them.
func families() []family {
	return slices.Concat(gatewayFamilies(), packetFamilies(), attemptFamilies(), policyFamilies(), pathFamilies(), historyFamilies())
}
