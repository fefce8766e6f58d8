// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// watchedWriter keeps what is written and calls notice after each write.
type watchedWriter struct {
	notice func(written string)

	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.buf.Write(p)
	written := w.buf.String()
	w.mu.Unlock()
	if w.notice != nil {
		w.notice(written)
	}
	return len(p), nil
}

func (w *watchedWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func TestDemoTellsTheStory(t *testing.T) {
	t.Parallel()
	needRoot(t)
	var out watchedWriter
	start := time.Now()
	if err := Demo(testContext(t), DemoOptions{Binary: helper(t, partReject), Out: &out}); err != nil {
		t.Fatalf("Demo: %v\n%s", err, out.String())
	}
	t.Logf("in %s:\n%s", time.Since(start), out.String())
	story := out.String()
	for _, want := range []string{
		"IPv4\n", "IPv6\n", "refused at once", "All 12 checks went as expected", "Everything was removed again.\n",
	} {
		if !strings.Contains(story, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	for line := range strings.Lines(story) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 100 {
			t.Errorf("line of %d characters: %s", n, line)
		}
	}
}

func TestDemoReports(t *testing.T) {
	t.Parallel()
	needRoot(t)
	passes := map[string]string{"IPv4": "refused at once", "IPv6": "refused at once"}
	tests := []struct {
		part   string
		direct map[string]string // outcome of the first step, by family
		err    string
	}{
		{partReject, passes, ""},
		{partOpen, map[string]string{"IPv4": "connected: port 25 is open", "IPv6": "connected: port 25 is open"}, "2 of 12 checks failed"},
		{partDrop, map[string]string{"IPv4": "no answer", "IPv6": "no answer"}, "2 of 12 checks failed"},
		{partDies, map[string]string{"IPv4": "connected: port 25 is open", "IPv6": "connected: port 25 is open"},
			"the gateway ended in the middle of the demo\n  " + readyLine},
	}
	for _, tt := range tests {
		t.Run(tt.part, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := Demo(testContext(t), DemoOptions{Binary: helper(t, tt.part), Out: &out, JSON: true})
			if got := errorText(err); got != tt.err {
				t.Errorf("Demo = %q, want %q", got, tt.err)
			}
			var got DemoReport
			decodeOnly(t, &out, &got)
			want := DemoReport{SchemaVersion: 1, OK: tt.err == "", Error: tt.err}
			for _, family := range []string{"IPv4", "IPv6"} {
				want.Steps = append(want.Steps,
					DemoStep{Name: "dynamic -> any mail server, port 25", Expect: "refused at once", Got: tt.direct[family], Family: family, OK: tt.direct[family] == "refused at once"},
					DemoStep{Name: "dynamic -> mail provider, port 587, login", Expect: "delivered", Got: "delivered", Family: family, OK: true},
					DemoStep{Name: "dynamic -> the ISP's mail server, port 25", Expect: "delivered", Got: "delivered", Family: family, OK: true},
					DemoStep{Name: "static -> any mail server, port 25", Expect: "delivered", Got: "delivered", Family: family, OK: true},
					DemoStep{Name: "dynamic -> web server, port 80", Expect: "page received", Got: "page received", Family: family, OK: true},
					DemoStep{Name: "dynamic -> UDP service, port 7", Expect: "answer received", Got: "answer received", Family: family, OK: true},
				)
			}
			options := cmp.Options{cmpopts.IgnoreUnexported(DemoReport{}), cmpopts.IgnoreFields(DemoStep{}, "Milliseconds")}
			if diff := cmp.Diff(want, got, options); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			for _, step := range got.Steps {
				if step.Milliseconds <= 0 {
					t.Errorf("%s took %v ms", step.Name, step.Milliseconds)
				}
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// decodeOnly decodes the only JSON document in r.
func decodeOnly(t *testing.T, r io.Reader, into any) {
	t.Helper()
	decoder := json.NewDecoder(r)
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("more than one document: %v", err)
	}
}

func TestDemoWithoutGateway(t *testing.T) {
	t.Parallel()
	needRoot(t)
	var out bytes.Buffer
	err := Demo(testContext(t), DemoOptions{Binary: helper(t, partCrash), Out: &out, JSON: true})
	if err == nil || !strings.HasPrefix(err.Error(), "start gateway: ") || !strings.HasSuffix(err.Error(), "complaint 10") {
		t.Errorf("Demo = %v", err)
	}
	var got DemoReport
	decodeOnly(t, &out, &got)
	if got.OK || got.Error != errorText(err) || got.Steps == nil || len(got.Steps) != 0 {
		t.Errorf("report: %+v", got)
	}
}

// Ctrl-C ends the demo soon, wherever it is.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tests := []struct {
		name  string
		part  string
		at    string        // interrupt when this was printed
		delay time.Duration // and so much later
	}{
		{"at the start", partReject, "Outbound", 0},
		{"while building", partReject, "Outbound", 20 * time.Millisecond},
		{"while the gateway starts", partMute, "Outbound", 500 * time.Millisecond},
		{"at the first step", partReject, "IPv4\n", 0},
		{"while a step waits", partDrop, "IPv4\n", 500 * time.Millisecond},
		{"between steps", partReject, "587", 0},
		{"in a delivery", partReject, "ISP's mail server, port 25", time.Millisecond},
		{"in the second family", partReject, "IPv6\n", 0},
		{"with a gateway that does not listen", partDeaf, "IPv4\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			var once sync.Once
			var interrupted time.Time
			out := &watchedWriter{notice: func(written string) {
				if strings.Contains(written, tt.at) {
					once.Do(func() {
						interrupted = time.Now().Add(tt.delay)
						time.AfterFunc(tt.delay, cancel)
						if tt.delay == 0 {
							cancel()
						}
					})
				}
			}}
			err := Demo(ctx, DemoOptions{Binary: helper(t, tt.part), Out: out})
			limit := 2 * time.Second
			if tt.part == partDeaf {
				limit += demoStopTimeout
			}
			if took := time.Since(interrupted); took > limit {
				t.Errorf("it took %s to end", took)
			}
			if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "demo interrupted: context canceled") {
				t.Errorf("Demo = %v", err)
			}
			if strings.Contains(out.String(), "All 12") || strings.Contains(out.String(), "NOT") {
				t.Errorf("an interrupted demo judges:\n%s", out.String())
			}
		})
	}
}

func TestDemoKeepsTheNetwork(t *testing.T) {
	t.Parallel()
	needRoot(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var out watchedWriter
	ready := make(chan struct{})
	var once sync.Once
	out.notice = func(written string) {
		if strings.Contains(written, "Ctrl-C") {
			once.Do(func() { close(ready) })
		}
	}
	done := make(chan error)
	go func() { done <- Demo(ctx, DemoOptions{Binary: helper(t, partReject), Out: &out, Keep: true}) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("Demo did not keep anything: %v\n%s", err, out.String())
	}
	t.Logf("%s", out.String())

	// What it tells the reader to do works.
	for line := range strings.Lines(strings.ReplaceAll(out.String(), "\\\n", " ")) {
		command := strings.TrimSpace(line)
		if !strings.HasPrefix(command, "ip netns exec") || strings.Contains(command, "bash") || strings.Contains(command, "tcpdump") {
			continue
		}
		refused := strings.Contains(command, "-dynamic curl")
		words := strings.Fields(command)
		if _, err := exec.LookPath(words[4]); err != nil {
			t.Logf("SKIPPED: needs %s: %s", words[4], command)
			continue
		}
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		output, err := cmd.CombinedOutput()
		if connected := strings.Contains(string(output), "220 mail.example"); connected == refused {
			t.Errorf("%s: %v\n%s", command, err, output)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Demo = %v", err)
	}
	if !strings.HasSuffix(out.String(), "Everything was removed again.\n") {
		t.Errorf("no word about the end:\n%s", out.String())
	}
}

func TestDemoKeepsTheNetworkInJSON(t *testing.T) {
	t.Parallel()
	needRoot(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	out := &watchedWriter{notice: func(string) { cancel() }} // the document comes before the end
	if err := Demo(ctx, DemoOptions{Binary: helper(t, partReject), Out: out, Keep: true, JSON: true}); err != nil {
		t.Fatal(err)
	}
	var got DemoReport
	decodeOnly(t, strings.NewReader(out.String()), &got)
	if !got.OK || len(got.Namespaces) != 5 || !strings.HasSuffix(got.Namespaces["gateway"], "-gateway") {
		t.Errorf("report: %+v", got)
	}
}
