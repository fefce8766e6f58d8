// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestGatewayLife(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	var copied bytes.Buffer
	g, err := n.StartGateway(testContext(t), helper(t, partReject), "one", &copied)
	if err != nil {
		t.Fatal(err)
	}
	if !livesIn(map[namespaceID]bool{n.Gateway.id: true}, g.Pid()) {
		t.Error("the gateway is not in its node")
	}
	for _, f := range n.Families() {
		_, err := n.Dynamic.Dial(testContext(t), "tcp", netip.AddrPortFrom(f.Addrs().MX, PortSMTP).String())
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: stand-in does not refuse: %v", f, err)
		}
	}
	for i, config := range []string{"three", "fifteen letters"} {
		if err := g.WriteConfig(config); err != nil {
			t.Fatal(err)
		}
		if err := g.Reload(); err != nil {
			t.Fatal(err)
		}
		line, err := g.WaitLog(testContext(t), "reloaded", i+1)
		if err != nil {
			t.Fatal(err)
		}
		if line["bytes"] != float64(len(config)) {
			t.Errorf("reload %d read %v bytes, want %d", i+1, line["bytes"], len(config))
		}
	}
	if err := g.Stop(); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if err := g.Stop(); err != nil {
		t.Errorf("second Stop = %v", err)
	}
	if want := g.Logs() + "\n"; copied.String() != want || strings.Count(want, "\n") != 3 {
		t.Errorf("copied log %q, kept log %q", copied.String(), want)
	}
	if _, err := g.WaitLog(testContext(t), "never", 1); err == nil || !strings.Contains(err.Error(), "exit status 0") {
		t.Errorf("WaitLog after the end = %v", err)
	}
	// The same network takes another one.
	if g, err = n.StartGateway(testContext(t), helper(t, partOpen), "two", nil); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil {
		t.Errorf("Kill = %v", err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](g.Wait()); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("Wait after Kill = %v", g.Wait())
	}
}

func TestGatewayFailsToStart(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})

	_, err := n.StartGateway(testContext(t), helper(t, partCrash), "", nil)
	want := "start gateway: gateway ended before it logged \"ready\": exit status 2" +
		"\n  complaint 6\n  complaint 7\n  complaint 8\n  complaint 9\n  complaint 10"
	if err == nil || err.Error() != want || exitCode(err) != 2 {
		t.Errorf("crash: %v\nwant: %s", err, want)
	}

	_, err = n.StartGateway(testContext(t), "/no/such/program", "", nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing program: %v, want os.ErrNotExist", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	spoken := &watchedWriter{notice: func(string) { cancel() }}
	_, err = n.StartGateway(ctx, helper(t, partMute), "", spoken)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "cannot make up my mind") {
		t.Errorf("cancelled start: %v", err)
	}
}

func TestGatewayThatDoesNotStop(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	g, err := n.StartGateway(testContext(t), helper(t, partDeaf), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	err = g.stop(100 * time.Millisecond)
	if err == nil || err.Error() != "stop gateway: still running 100ms after SIGTERM" {
		t.Errorf("stop = %v", err)
	}
	if !isClosed(g.Done()) {
		t.Error("it still runs")
	}
}

// config mirrors the contract of the configuration file.
type config struct {
	Interfaces struct {
		Subscriber []string
		Upstream   string
	}
	Tunnel     map[string]string
	Forwarding map[string]string
	Policy     struct {
		Ports       []int
		Established string
		Relays      []struct {
			Name     string
			Prefixes []netip.Prefix
		}
		Pools []struct {
			Name       string
			Prefixes   []netip.Prefix
			Assignment string
			Response   string
		}
	}
	Control map[string]string
	Log     map[string]string
	Extra   map[string]int
}

func TestGatewayConfig(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	minimal := strings.ReplaceAll(`interfaces:
  subscriber: [dyn0, stat0]
  upstream: up0
policy:
  ports: [25]
  relays:
    - {name: isp-msa, prefixes: [192.0.2.25/32, "2001:db8:25::25/128"]}
  pools:
    - {name: residential, prefixes: [100.64.0.0/10, "2001:db8:a::/48"], assignment: dynamic}
    - {name: business, prefixes: [100.65.0.0/24, "2001:db8:a:ffff::/64"], assignment: static}
control:
  socket: DIR/op25b.sock
  metrics: ""
log: {format: json}
`, "DIR", n.Dir())
	full := strings.ReplaceAll(`interfaces:
  subscriber: [dyn0, stat0]
  upstream: up0
tunnel: {offload: "off", queues: "2"}
forwarding: {capture: smtp, return_path: router, hop: transparent, source_validation: "off", on_exit: blackhole}
policy:
  ports: [25, 2525]
  established: reset
  relays: []
  pools:
    - {name: residential, prefixes: [100.64.0.0/10, "2001:db8:a::/48"], assignment: dynamic, response: drop}
    - {name: business, prefixes: [100.65.0.0/24, "2001:db8:a:ffff::/64"], assignment: static}
control:
  socket: DIR/op25b.sock
  metrics: ""
log: {level: debug, format: json}
extra: {key: 1}
`, "DIR", n.Dir())
	tests := []struct {
		name string
		opts ConfigOptions
		want string
	}{
		{"minimal", ConfigOptions{}, minimal},
		{"full", ConfigOptions{
			Offload: "off", Capture: "smtp", ReturnPath: "router", Hop: "transparent", SourceValidation: "off",
			OnExit: "blackhole", Established: "reset", Response: "drop", LogLevel: "debug",
			Set: map[string]string{"policy.ports": "[25, 2525]", "policy.relays": "[]", "tunnel.queues": "2", "extra": "{key: 1}"},
		}, full},
	}
	for _, tt := range tests {
		var got, want config
		text := n.GatewayConfig(tt.opts)
		if err := yaml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v\n%s", tt.name, err, text)
		}
		if err := yaml.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", tt.name, diff, text)
		}
	}
}
