// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"op25b/control"
)

const (
	// sampleEvery is how often the gateway's counters are looked at.
	sampleEvery = 2 * time.Second
	// sampleRoom is a quarter of an hour of it.
	sampleRoom = int(15 * time.Minute / sampleEvery)
)

// sample is how fast things went between two looks.
type sample struct {
	time time.Time
	// outbound and inbound are in bits per second, refused and attempts per second.
	outbound, inbound, refused, attempts float64
}

// counters are what samples are differences of.
type counters struct {
	time                                 time.Time
	outbound, inbound, refused, attempts uint64
}

// ring holds the latest samples. Its zero value is ready.
type ring struct {
	mu   sync.Mutex
	last counters
	room [sampleRoom]sample
	next int // where the next goes
	full int // how many there are
}

// add takes what the counters say. Those that have gone back are another process's: it
// begins anew.
func (g *ring) add(c counters) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.last
	g.last = c
	took := c.time.Sub(was.time).Seconds()
	if was.time.IsZero() || took <= 0 || c.outbound < was.outbound || c.inbound < was.inbound || c.refused < was.refused || c.attempts < was.attempts {
		return
	}
	const bits = 8
	g.room[g.next] = sample{
		time:     c.time.Truncate(time.Millisecond), // what scripts ask with
		outbound: bits * float64(c.outbound-was.outbound) / took,
		inbound:  bits * float64(c.inbound-was.inbound) / took,
		refused:  float64(c.refused-was.refused) / took,
		attempts: float64(c.attempts-was.attempts) / took,
	}
	g.next = (g.next + 1) % sampleRoom
	g.full = min(g.full+1, sampleRoom)
}

// after returns the samples later than a time, the oldest first.
func (g *ring) after(t time.Time) []sample {
	g.mu.Lock()
	defer g.mu.Unlock()
	var later []sample
	for i := range g.full {
		if one := g.room[(g.next-g.full+i+sampleRoom)%sampleRoom]; one.time.After(t) {
			later = append(later, one)
		}
	}
	return later
}

// sample looks at the counters until ctx ends.
func (s *Server) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		status := s.gateway.Status()
		s.samples.add(count(&status, s.now()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func count(status *control.Status, now time.Time) counters {
	c := counters{
		time:     now,
		outbound: status.Packets["outbound"]["octets"],
		inbound:  status.Packets["inbound"]["octets"],
		refused:  status.Attempts.Outcomes["refused"],
	}
	for _, n := range status.Attempts.Outcomes {
		c.attempts += n
	}
	return c
}

// samplesDocument has a column for each line of the plots. Times are Unix time in
// milliseconds, which scripts count in.
type samplesDocument struct {
	Interval float64   `json:"interval_seconds"`
	Room     int       `json:"room"`
	Time     []int64   `json:"time"`
	Outbound []float64 `json:"outbound_bits_per_second"`
	Inbound  []float64 `json:"inbound_bits_per_second"`
	Refused  []float64 `json:"refused_per_second"`
	Attempts []float64 `json:"attempts_per_second"`
}

// answerSamples returns what is later than "after", which is in milliseconds too.
func (s *Server) answerSamples(_ context.Context, r *http.Request) (*reply, error) {
	var after time.Time
	if text := r.Form.Get("after"); text != "" {
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, &control.Error{Code: http.StatusBadRequest, Message: "after is not a Unix time in milliseconds"}
		}
		after = time.UnixMilli(at)
	}
	samples := s.samples.after(after)
	d := samplesDocument{
		Interval: sampleEvery.Seconds(), Room: sampleRoom,
		Time: make([]int64, len(samples)), Outbound: make([]float64, len(samples)), Inbound: make([]float64, len(samples)),
		Refused: make([]float64, len(samples)), Attempts: make([]float64, len(samples)),
	}
	for i, one := range samples {
		d.Time[i], d.Outbound[i], d.Inbound[i] = one.time.UnixMilli(), one.outbound, one.inbound
		d.Refused[i], d.Attempts[i] = one.refused, one.attempts
	}
	body, err := json.Marshal(&d)
	if err != nil {
		return nil, fmt.Errorf("write samples: %w", err)
	}
	return &reply{contentType: "application/json", body: body}, nil
}
