// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

// This file holds what a gateway has counted against itself: each frame that was read
// has one fate, and each that was judged one reason. Every gateway that a test starts
// and that ends by a signal is asked.

// counted is what a gateway says about one direction when it stops.
type counted struct {
	frames, octets uint64
	fates          map[string]uint64
}

func (c counted) String() string {
	return fmt.Sprintf("%d frames of %d octets on average: %v", c.frames, c.mean(), c.fates)
}

// mean returns the average length of a frame, in octets.
func (c counted) mean() uint64 { return c.octets / max(c.frames, 1) }

// stopAndCount stops the gateway and returns what it counted. It fails the test
// when frames are missing from the count, or were dropped for want of something.
func stopAndCount(t testing.TB, g *lab.Gateway) (outbound, inbound counted) {
	t.Helper()
	directions := stopConserved(t, g)
	for name, c := range directions {
		for _, fate := range []string{"dropped_short", "dropped_on_write", "dropped_by_host"} {
			if c.fates[fate] > 0 {
				t.Errorf("%s: %d frames %s", name, c.fates[fate], fate)
			}
		}
	}
	return directions["outbound"], directions["inbound"]
}

// stopConserved stops the gateway and returns what it counted, by direction.
func stopConserved(t testing.TB, g *lab.Gateway) map[string]counted {
	t.Helper()
	if err := g.Stop(); err != nil {
		t.Errorf("stop gateway: %v", err)
		return nil
	}
	line, err := g.WaitLog(context.WithoutCancel(t.Context()), stoppedMessage, 1) // also when the test has ended
	if err != nil {
		t.Error(err)
		return nil
	}
	return wantConserved(t, line)
}

// stopConserved stops the gateway that runs and holds its counters against each other.
func (l *lineage) stopConserved(t testing.TB) map[string]counted {
	t.Helper()
	if code := l.current.signal(t, unix.SIGTERM); code != 0 {
		t.Errorf("the gateway ended with %d:\n%s", code, l.current.output())
		return nil
	}
	for text := range strings.Lines(l.current.output()) {
		line := map[string]any{}
		if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == stoppedMessage {
			return wantConserved(t, line)
		}
	}
	t.Errorf("the gateway does not say what it counted:\n%s", l.current.output())
	return nil
}

// stoppedMessage is the last line of a gateway's log, which has all counters.
const stoppedMessage = "stopped"

// wantConserved holds the counters of a gateway that has stopped against each other.
func wantConserved(t testing.TB, stopped map[string]any) map[string]counted {
	t.Helper()
	packets, _ := stopped["packets"].(map[string]any)
	directions := map[string]counted{}
	for _, name := range []string{"outbound", "inbound"} {
		c, reasons := readCount(packets[name])
		directions[name] = c
		var sum uint64
		for _, n := range c.fates {
			sum += n
		}
		if sum != c.frames {
			t.Errorf("%s: %d frames, but the fates add up to %d: %v", name, c.frames, sum, c.fates)
		}
		if judged := c.frames - c.fates["dropped_short"]; reasons != judged {
			t.Errorf("%s: %d frames judged, but the reasons add up to %d: %v", name, judged, reasons, packets[name])
		}
	}
	return directions
}

// readCount reads one direction of the line "stopped", and the sum of its reasons.
func readCount(direction any) (c counted, reasons uint64) {
	c.fates = map[string]uint64{}
	fields, _ := direction.(map[string]any)
	for key, value := range fields {
		switch v := value.(type) {
		case float64:
			c.fates[key] = uint64(v)
		case map[string]any:
			for _, n := range v {
				f, _ := n.(float64)
				reasons += uint64(f)
			}
		}
	}
	c.frames, c.octets = c.fates["frames"], c.fates["octets"]
	delete(c.fates, "frames")
	delete(c.fates, "octets")
	return c, reasons
}
