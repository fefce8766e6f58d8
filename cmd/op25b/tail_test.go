// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"op25b/control"
)

func tried() []control.TailEvent {
	return []control.TailEvent{
		{
			Time: at("2026-11-28 03:07:54"), Pool: "residential", Subscriber: "192.0.2.1", Source: netip.MustParseAddr("192.0.2.1"),
			Destination: netip.MustParseAddr("203.0.113.25"), Port: 25, Outcome: "refused",
		},
		{
			Time: at("2026-11-28 03:07:55"), Pool: "lte", Subscriber: "2001:db8:a:1::/64", Source: netip.MustParseAddr("2001:db8:a:1::7"),
			Destination: netip.MustParseAddr("2001:db8::25"), Port: 2525, Outcome: "not_in_force", Missed: 12,
		},
	}
}

func TestTailCommand(t *testing.T) {
	t.Parallel()
	socket := listen(t, &telling{events: tried(), stay: true})
	code, out, talk := op25b(t, "tail", "--socket", socket, "--count", "2")
	want := clockTime(at("2026-11-28 03:07:54")) + "  refused       residential   192.0.2.1 → 203.0.113.25:25\n" +
		clockTime(at("2026-11-28 03:07:55")) + "  not_in_force  lte           2001:db8:a:1::/64 → [2001:db8::25]:2525\n"
	if diff := cmp.Diff(want, out); diff != "" || code != exitOK || talk != "op25b: 12 attempts came faster than they could be shown, and were left out\n" {
		t.Errorf("exit %d, %s (-want +got):\n%s", code, talk, diff)
	}
	code, out, talk = op25b(t, "tail", "--socket", socket, "--count", "2", "--json")
	var got []control.TailEvent
	for line := range strings.Lines(out) {
		var e struct {
			SchemaVersion int `json:"schema_version"`
			control.TailEvent
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.SchemaVersion != schemaVersion {
			t.Errorf("%v, version %d: %s", err, e.SchemaVersion, line)
		}
		got = append(got, e.TailEvent)
	}
	if diff := cmp.Diff(tried(), got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || code != exitOK || talk != "" {
		t.Errorf("exit %d, %s (-want +got):\n%s", code, talk, diff)
	}
}

// Ctrl-C, and time that is over, are no failures; a gateway that ends is one.
func TestTailEnds(t *testing.T) {
	t.Parallel()
	g := &telling{stay: true, within: make(chan control.TailOptions, 1)}
	socket := listen(t, g)
	ctx, interrupt := context.WithCancel(t.Context())
	var tailing sync.WaitGroup
	tailing.Go(func() {
		var out, talk bytes.Buffer
		if code := run(ctx, []string{"tail", "--socket", socket, "--within", "192.0.2.1"}, &out, &talk); code != exitOK || out.Len()+talk.Len() > 0 {
			t.Errorf("interrupted: exit %d, %s%s", code, &out, &talk)
		}
	})
	if opts := <-g.within; opts.Within != netip.MustParsePrefix("192.0.2.1/32") {
		t.Errorf("asked for %+v", opts)
	}
	interrupt()
	tailing.Wait()
	if code, out, talk := op25b(t, "tail", "--socket", socket, "--for", "50ms"); code != exitOK || out+talk != "" {
		t.Errorf("time is over: exit %d, %s%s", code, out, talk)
	}
	code, out, talk := op25b(t, "tail", "--socket", listen(t, &telling{events: tried()}))
	if code != exitFailed || strings.Count(out, "\n") != 2 || !strings.Contains(talk, "the gateway has ended") {
		t.Errorf("the gateway ended: exit %d, %s%s", code, out, talk)
	}
}

func TestTailErrors(t *testing.T) {
	t.Parallel()
	failing := listen(t, &telling{answers: answers{err: &control.Error{Code: 503, Message: "there are 8", Fix: "end one"}}})
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"too many":         {[]string{"--socket", failing}, exitFailed, "there are 8: end one"},
		"no gateway":       {[]string{"--socket", "/nonexistent/s"}, exitNotRunning, "/nonexistent/s"},
		"no prefix":        {[]string{"--within", "residential"}, exitUsage, `--within "residential" is neither`},
		"host bits":        {[]string{"--within", "192.0.2.1/24"}, exitUsage, "192.0.2.0/24"},
		"no time":          {[]string{"--for", "soon"}, exitUsage, "soon"},
		"time in the past": {[]string{"--for", "-1s"}, exitUsage, "above zero"},
		"less than none":   {[]string{"--count", "-1"}, exitUsage, "above zero"},
	} {
		if code, out, talk := op25b(t, append([]string{"tail"}, tt.args...)...); code != tt.code || out != "" || !strings.Contains(talk, tt.says) {
			t.Errorf("%s: exit %d, want %d: %s%s", name, code, tt.code, out, talk)
		}
	}
	for name, command := range map[string]*tail{"text": {lasts: time.Minute}, "JSON": {lasts: time.Minute, asJSON: true}} {
		client := control.Dial(listen(t, &telling{events: tried(), stay: true}))
		if err := command.follow(t.Context(), client, full{}, &bytes.Buffer{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s, nowhere to write: %v", name, err)
		}
	}
}

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }
