// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"op25b/control"
)

// busy is a gateway that forwards more with each look at it.
type busy struct {
	answers

	looks uint64 // by one client, one request after another
	top   error
}

func (g *busy) Status() control.Status {
	g.looks++
	return control.Status{
		Version: "v1.3.0", State: control.StateOK, PID: 1, Refused: 10 * g.looks,
		Packets: map[string]map[string]uint64{"outbound": {"frames": 1000 * g.looks, "octets": 1e6 * g.looks}},
	}
}

func (g *busy) Top(_ context.Context, opts control.TopOptions) (control.Top, error) {
	if g.top != nil {
		return control.Top{}, g.top
	}
	top := control.Top{Time: time.Unix(1e9, 0), Since: time.Unix(1e9-60, 0), Attempts: map[string]uint64{"refused": 42}}
	for range min(opts.Most, 3) {
		top.Subscribers = append(top.Subscribers, control.ActiveSubscriber{Subscriber: "203.0.113.7/32", Pool: "homes"})
	}
	return top, nil
}

func TestTopText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		pages int
	}{{"", 1}, {"--once", 1}, {"--count 3", 3}} {
		socket := listen(t, &busy{})
		var stdout, stderr bytes.Buffer
		args := append([]string{"top", "--interval", "100ms", "--most", "2", "--socket", socket}, strings.Fields(c.args)...)
		if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
			t.Fatalf("%q: exit code %d: %s", c.args, code, &stderr)
		}
		got := stdout.String()
		if strings.Count(got, "op25b ok") != c.pages || strings.Count(got, "203.0.113.7/32") != 2*c.pages ||
			strings.Contains(got, "\x1b") || strings.Contains(got, "refused              -") {
			t.Errorf("%q:\n%s", c.args, got)
		}
	}
}

func TestTopJSON(t *testing.T) {
	t.Parallel()
	var doc struct {
		SchemaVersion int             `json:"schema_version"`
		Status        *control.Status `json:"status"`
		Top           *control.Top    `json:"top"`
	}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"top", "--json", "--socket", listen(t, &busy{})}, &stdout, &stderr)
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil || code != exitOK || doc.SchemaVersion != schemaVersion ||
		doc.Status.Refused != 10 || doc.Top.Attempts["refused"] != 42 || len(doc.Top.Subscribers) != 3 {
		t.Errorf("exit code %d, %v: %s%s", code, err, &stdout, &stderr)
	}
}

// Who may only read the status sees that, and why there is no more.
func TestTopWithoutRight(t *testing.T) {
	t.Parallel()
	forbidden := &control.Error{Code: 403, Message: "not for you"}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"top", "--json", "--socket", listen(t, &busy{top: forbidden})}, &stdout, &stderr)
	if code != exitOK || !strings.Contains(stdout.String(), `"top": null`) {
		t.Errorf("exit code %d: %s%s", code, &stdout, &stderr)
	}
	stdout.Reset()
	code = run(t.Context(), []string{"top", "--interval", "100ms", "--socket", listen(t, &busy{top: forbidden})}, &stdout, &stderr)
	if code != exitOK || !strings.Contains(stdout.String(), "not shown: who tries") {
		t.Errorf("exit code %d: %s%s", code, &stdout, &stderr)
	}
}

// An interruption is how a person ends it, whatever it does at that moment.
func TestTopInterrupted(t *testing.T) {
	t.Parallel()
	for _, interval := range []string{"100ms", "1h"} {
		socket := listen(t, &busy{})
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		done := make(chan int)
		go func() {
			done <- run(ctx, []string{"top", "--count", "0", "--interval", interval, "--socket", socket}, &stdout, &stderr)
		}()
		cancel()
		if code := <-done; code != exitOK || stderr.Len() > 0 {
			t.Errorf("every %s: exit code %d: %s", interval, code, &stderr)
		}
	}
}

func TestTopUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--interval 1ms":    "--interval 1ms is not 100ms to 1h",
		"--interval 2h":     "--interval 2h0m0s is not 100ms to 1h",
		"--most 0":          "--most 0 is not 1 to 1000",
		"--most 1001":       "--most 1001 is not 1 to 1000",
		"--count -1":        "--count -1 is negative",
		"--json --count 2":  "leave --count out",
		"--once --count 2":  "leave one out",
		"--interval 1s now": "unknown command",
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"top"}, strings.Fields(args)...), &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("%q: exit code %d: %s", args, code, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"top", "--socket", t.TempDir() + "/none"}, &stdout, &stderr); code != exitNotRunning {
		t.Errorf("no gateway: exit code %d: %s", code, &stderr)
	}
}
