// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"op25b/lab"
)

// TestSoak has one gateway carry all sorts of traffic for as long as it is given, and
// reload all the time. Nothing is lost, nothing leaks, and at the end every frame that
// was read has exactly one fate.
//
// Settings: OP25B_SOAK_SECONDS (10).
func TestSoak(t *testing.T) {
	needTools(t, "iperf3")
	seconds := benchSetting(t, "OP25B_SOAK_SECONDS", 10)
	n := newNetwork(t, lab.Options{})
	g := newLineage(t, n, n.GatewayConfig(lab.ConfigOptions{ReturnPath: "router"}))
	door := startDoorman(t, n)
	spoof := newSpoofer(t, n)
	to := at(lab.IPv4.Addrs().Internet, portIperf)
	start(t, n.Internet, "iperf3", "--server", "--forceflush", "--bind", to.Addr().String(), "--port", fmt.Sprint(to.Port())).waitOutput(t, "Server listening")
	bulk := start(t, n.Static, "iperf3", "--client", to.Addr().String(), "--port", fmt.Sprint(to.Port()),
		"--time", fmt.Sprint(seconds), "--parallel", "4", "--bitrate", "50M", "--bidir", "--interval", "0")
	stream := sendSequence(t, n, 1000)
	g.reload(t)
	spoof.send(t, 20_000, 5_000) // whatever is allocated once
	before, memory := g.resources(t), resident(t, g.pid)
	reloads := 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); reloads++ {
		spoof.send(t, 1000, 2_000)
		g.reload(t)
	}
	after, now := g.resources(t), resident(t, g.pid)
	t.Logf("%d reloads in %d s; %+v, %d KiB before, %+v, %d KiB after", reloads, seconds, before, memory>>10, after, now>>10)
	if after.descriptors > before.descriptors+4 || after.threads > before.threads+4 || now > memory+16<<20 {
		t.Error("something leaks")
	}
	stream.wantThousandth(t, n)
	door.end(t)
	if code := bulk.wait(t); code != 0 {
		t.Errorf("iperf3 ended with %d:\n%s", code, bulk.output())
	}
	for direction, c := range g.stopConserved(t) {
		t.Logf("%s: %s", direction, c)
	}
}
