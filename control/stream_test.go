// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"op25b/report"
)

func attempt(port uint16) TailEvent {
	return TailEvent{
		Time: time.Unix(7, 0).UTC(), Pool: "residential", Subscriber: "192.0.2.1", Source: netip.MustParseAddr("192.0.2.1"),
		Destination: netip.MustParseAddr("203.0.113.25"), Port: port, Outcome: "refused",
	}
}

// feed is a gateway that sends what comes on a channel, and ends when that is closed.
// It says whom it has begun and ended to serve.
func feed(events <-chan TailEvent) (g *fake, begun chan TailOptions, ended chan error) {
	begun, ended = make(chan TailOptions, mostTails), make(chan error, mostTails)
	return &fake{tail: func(ctx context.Context, opts TailOptions, send func(TailEvent) error) (err error) {
		begun <- opts
		defer func() { ended <- err }()
		for {
			select {
			case <-ctx.Done():
				return nil
			case e, more := <-events:
				if !more {
					return nil
				}
				if err := send(e); err != nil {
					return err
				}
			}
		}
	}}, begun, ended
}

func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(3 * hurry):
		t.Fatalf("%s: nothing comes", what)
	}
	return v
}

// Each event is there before the next one is made, and the end is told.
func TestTail(t *testing.T) {
	leakless(t)
	events := make(chan TailEvent)
	g, begun, ended := feed(events)
	path := socketPath(t)
	start(t, quiet(path), g)
	got, over := make(chan TailEvent), make(chan error, 1)
	go func() {
		over <- Dial(path).Tail(t.Context(), TailOptions{Within: netip.MustParsePrefix("192.0.2.0/24")}, func(e TailEvent) error {
			got <- e
			return nil
		})
	}()
	if opts := within(t, "the gateway", begun); opts.Within != netip.MustParsePrefix("192.0.2.0/24") {
		t.Errorf("asked for %+v", opts)
	}
	for port := range uint16(100) {
		events <- attempt(port)
		if diff := cmp.Diff(attempt(port), within(t, "an event", got), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	close(events)
	if err := within(t, "the gateway's end", ended); err != nil {
		t.Error(err)
	}
	if err := within(t, "the tail's end", over); !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), path) {
		t.Errorf("the gateway has ended, and the client is told %v", err)
	}
}

// A client that hangs up is noticed while nothing happens, longer than a request may take.
func TestTailHangUp(t *testing.T) {
	leakless(t)
	g, begun, ended := feed(make(chan TailEvent))
	path := socketPath(t)
	start(t, quiet(path), g)
	ctx, hangUp := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		over <- Dial(path).Tail(ctx, TailOptions{}, func(TailEvent) error { return errors.New("there is none") })
	}()
	within(t, "the gateway", begun)
	select {
	case err := <-ended:
		t.Fatalf("it ended by itself: %v", err)
	case <-time.After(hurry + time.Second):
	}
	hangUp()
	if err := within(t, "the tail's end", over); err != nil {
		t.Errorf("the client has ended it, and is told %v", err)
	}
	if err := within(t, "the gateway's end", ended); err != nil {
		t.Error(err)
	}
}

// Who has enough says so by an error, and gets that one.
func TestTailEnough(t *testing.T) {
	leakless(t)
	events := make(chan TailEvent, 1)
	events <- attempt(25)
	g, _, ended := feed(events)
	path := socketPath(t)
	start(t, quiet(path), g)
	enough := fmt.Errorf("enough: %w", io.EOF)                                                                      // whatever it wraps
	if err := Dial(path).Tail(t.Context(), TailOptions{}, func(TailEvent) error { return enough }); err != enough { //nolint:errorlint // this very one
		t.Errorf("the client is told %v", err)
	}
	_ = within(t, "the gateway's end", ended)
}

// A client that does not read is cut off, and its place is another's.
func TestTailSlowReader(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	path := socketPath(t)
	ended := make(chan error, 1)
	big := TailEvent{Pool: strings.Repeat("x", 32<<10)}
	s := start(t, Options{Path: path, Log: zap.New(core)}, &fake{tail: func(_ context.Context, _ TailOptions, send func(TailEvent) error) error {
		for { // it does not look at its context: only send can end it
			if err := send(big); err != nil {
				ended <- err
				return err
			}
		}
	}})
	c := connect(t, path)
	_, _ = io.WriteString(c, request("POST", "/v1/tail", ""))
	if err := within(t, "its end", ended); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the gateway is told %v", err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || bytes.HasSuffix(answer, []byte("0\r\n\r\n")) {
		t.Errorf("%v, the answer has an end: %q", err, answer[max(0, len(answer)-20):])
	}
	waitFree(t, s)
	if line := logs.FilterMessage("control request").All(); len(line) != 1 || !strings.Contains(fmt.Sprint(line[0].ContextMap()["answer"]), "send to the client") {
		t.Errorf("logged: %+v", logs.All())
	}
}

// waitFree waits until nobody tails.
func waitFree(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(3 * hurry); s.tails.taken.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d tails are left", s.tails.taken.Load())
		}
	}
}

// The ninth gets a 503, and eight leave every connection to others.
func TestTooManyTails(t *testing.T) {
	t.Parallel()
	g, begun, _ := feed(make(chan TailEvent))
	path := socketPath(t)
	s := start(t, quiet(path), g)
	ctx, hangUp := context.WithCancel(t.Context())
	var tails sync.WaitGroup
	for range mostTails {
		tails.Go(func() {
			if err := Dial(path).Tail(ctx, TailOptions{}, func(TailEvent) error { return nil }); err != nil {
				t.Error(err)
			}
		})
		within(t, "the gateway", begun)
	}
	var failure *Error
	err := Dial(path).Tail(ctx, TailOptions{}, func(TailEvent) error { return nil })
	if !errors.As(err, &failure) || failure.Code != 503 || !strings.Contains(err.Error(), "8 tails at once") || !strings.Contains(failure.Fix, "end one") {
		t.Errorf("the ninth is told %v", err)
	}
	waitOpen(t, s, 0)
	var held []net.Conn
	for range mostConns {
		held = append(held, connect(t, path))
	}
	waitOpen(t, s, mostConns)
	if _, err := Dial(path).Status(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many beside the tails: %v", err)
	}
	for _, c := range held {
		c.Close()
	}
	waitOpen(t, s, 0)
	hangUp()
	tails.Wait()
	waitFree(t, s)
	waitOpen(t, s, 0) // nobody's place was given back twice
	g.tail = nil      // ends at once
	if err := Dial(path).Tail(t.Context(), TailOptions{}, func(TailEvent) error { return nil }); !errors.Is(err, ErrEnded) {
		t.Errorf("there is room again: %v", err)
	}
}

// Close ends tails at once, one that is stuck with a client that does not read too, and
// whoever reads sees an end.
func TestCloseWhileTailing(t *testing.T) {
	leakless(t)
	begun, ended := make(chan struct{}, 2), make(chan error, 2)
	path := socketPath(t)
	s := start(t, quiet(path), &fake{tail: func(ctx context.Context, opts TailOptions, send func(TailEvent) error) (err error) {
		begun <- struct{}{}
		if opts.Within.IsValid() {
			err = send(TailEvent{Pool: strings.Repeat("x", 8<<20)}) // more than the kernel buffers
		}
		<-ctx.Done()
		ended <- err
		return err
	}})
	over := make(chan error, 1)
	go func() {
		over <- Dial(path).Tail(t.Context(), TailOptions{}, func(TailEvent) error { return nil })
	}()
	within(t, "the gateway", begun)
	_, _ = io.WriteString(connect(t, path), request("POST", "/v1/tail", `{"within":"192.0.2.0/24"}`))
	within(t, "the gateway", begun)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := within(t, "the tail's end", over); !errors.Is(err, ErrEnded) {
		t.Errorf("the client is told %v", err)
	}
	if errs := []error{within(t, "one end", ended), within(t, "the other one", ended)}; (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("the gateway is told %v", errs)
	}
}

// A tail's connection hangs up in the middle of what the gateway sends.
func TestTailFails(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	start(t, quiet(path), &fake{tail: func(_ context.Context, _ TailOptions, send func(TailEvent) error) error {
		return errors.Join(send(attempt(25)), errors.New("it broke"))
	}})
	n := 0
	err := Dial(path).Tail(t.Context(), TailOptions{}, func(TailEvent) error { n++; return nil })
	if err == nil || errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "cut off") || n != 1 {
		t.Errorf("after %d events: %v", n, err)
	}
}

// A fault in the middle is logged, cuts the answer off, and frees the place.
func TestTailPanics(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	path := socketPath(t)
	s := start(t, Options{Path: path, Log: zap.New(core)}, &fake{tail: func(_ context.Context, _ TailOptions, send func(TailEvent) error) error {
		_ = send(attempt(25))
		panic("a fault")
	}})
	if err := Dial(path).Tail(t.Context(), TailOptions{}, func(TailEvent) error { return nil }); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("the client is told %v", err)
	}
	waitFree(t, s)
	if logs.FilterMessage("panic in a control request").Len() != 1 {
		t.Errorf("logged: %+v", logs.All())
	}
}

// sink is a client that counts what arrives, and takes no more after some pieces.
type sink struct {
	*httptest.ResponseRecorder

	left int
}

func (s *sink) Write(p []byte) (int, error) {
	if s.left--; s.left < 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return s.ResponseRecorder.Write(p)
}

// Empty lines come after a second and then every fifteen, until one does not arrive.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &sink{httptest.NewRecorder(), 3}
		out := &stream{w: w, contentType: "application/x-ndjson"}
		over := make(chan error, 1)
		go func() { over <- keepAlive(t.Context(), out) }()
		for _, step := range []struct {
			after time.Duration
			lines string
		}{{firstBeat - 1, ""}, {1, "\n"}, {laterBeat - 1, "\n"}, {1, "\n\n"}, {laterBeat, "\n\n\n"}} {
			time.Sleep(step.after)
			synctest.Wait()
			out.mu.Lock()
			got := w.Body.String()
			out.mu.Unlock()
			if got != step.lines || out.begun() != (got != "") {
				t.Errorf("%q, want %q", got, step.lines)
			}
		}
		time.Sleep(laterBeat)
		if err := <-over; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A client is heard, and knows it, while nothing happens: the header and an empty line.
func TestTailIsHeard(t *testing.T) {
	t.Parallel()
	g, _, _ := feed(make(chan TailEvent))
	path := socketPath(t)
	start(t, quiet(path), g)
	c := connect(t, path)
	_ = c.SetDeadline(time.Now().Add(2 * hurry))
	_, _ = io.WriteString(c, request("POST", "/v1/tail", ""))
	var got []byte
	for !bytes.HasSuffix(got, []byte("\r\n\r\n1\r\n\n\r\n")) {
		b := make([]byte, 1)
		if _, err := c.Read(b); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, b...)
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 200 OK\r\n")) {
		t.Errorf("%q", got)
	}
}

// Who tails is in the log from the beginning, and whom it is about is not.
func TestTailIsLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	g, begun, _ := feed(make(chan TailEvent))
	path := socketPath(t)
	s := start(t, Options{Path: path, Log: zap.New(core)}, g)
	over := make(chan error, 1)
	go func() {
		over <- Dial(path).Tail(t.Context(), TailOptions{Within: netip.MustParsePrefix("192.0.2.0/24")}, func(TailEvent) error { return nil })
	}()
	within(t, "the gateway", begun)
	if line := logs.FilterMessage("control tail begins").All(); len(line) != 1 || line[0].ContextMap()["pid"] != int64(os.Getpid()) {
		t.Errorf("logged: %+v", logs.All())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := within(t, "the tail's end", over); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
	if logs.FilterMessage("control request").Len() != 1 || strings.Contains(fmt.Sprint(logs.All()), "192.0.2") {
		t.Errorf("logged: %+v", logs.All())
	}
}

func TestDiag(t *testing.T) {
	leakless(t)
	bundle := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	path := socketPath(t)
	start(t, quiet(path), &fake{diag: func(_ context.Context, opts DiagOptions, w io.Writer) error {
		_, err := w.Write(bundle)
		if !opts.Subscribers {
			err = errors.Join(err, errors.New("it broke"))
		}
		return err
	}})
	var got bytes.Buffer
	if err := Dial(path).Diag(t.Context(), DiagOptions{Subscribers: true}, &got); err != nil || !bytes.Equal(got.Bytes(), bundle) {
		t.Errorf("%d octets, %v", got.Len(), err)
	}
	if err := Dial(path).Diag(t.Context(), DiagOptions{}, io.Discard); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("a part of it: %v", err)
	}
	full := errors.New("no space left")
	if err := Dial(path).Diag(t.Context(), DiagOptions{Subscribers: true}, failing{full}); !errors.Is(err, full) || strings.Contains(err.Error(), "cut off") {
		t.Errorf("nowhere to write: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What takes long does not take every connection: one too many is told so at once.
func TestTooManyReportsAndBundles(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, mostReports+mostBundles), make(chan struct{})
	wait := func(ctx context.Context) error {
		begun <- struct{}{}
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	path := socketPath(t)
	start(t, quiet(path), &fake{
		report: func(ctx context.Context, _ ReportOptions) (report.Report, error) { return report.Report{}, wait(ctx) },
		diag: func(ctx context.Context, _ DiagOptions, w io.Writer) error {
			_, err := w.Write([]byte("PK"))
			return errors.Join(err, wait(ctx))
		},
	})
	asks := map[string]func() error{
		"reports": func() error { _, err := Dial(path).Report(t.Context(), ReportOptions{}); return err },
		"bundles": func() error { return Dial(path).Diag(t.Context(), DiagOptions{}, io.Discard) },
	}
	var asking sync.WaitGroup
	for what, ask := range asks {
		for range mostReports { // as many as mostBundles
			asking.Go(func() {
				if err := ask(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
			within(t, what, begun)
		}
		var failure *Error
		if err := ask(); !errors.As(err, &failure) || failure.Code != http.StatusServiceUnavailable || !strings.Contains(failure.Message, what) || failure.Fix == "" {
			t.Errorf("%s, one too many: %v", what, err)
		}
	}
	close(finish)
	asking.Wait()
	for what, ask := range asks {
		if err := ask(); err != nil {
			t.Errorf("%s, there is room again: %v", what, err)
		}
	}
}

func TestAskForMore(t *testing.T) {
	leakless(t)
	path := socketPath(t)
	from, to := time.Unix(0, 0).UTC(), time.Unix(7200, 0).UTC()
	start(t, quiet(path), &fake{
		top: func(_ context.Context, opts TopOptions) (Top, error) {
			return Top{Subscribers: make([]ActiveSubscriber, opts.Most), Attempts: map[string]uint64{"refused": 7}}, nil
		},
		subscriber: func(_ context.Context, opts SubscriberOptions) (Subscriber, error) {
			return Subscriber{Explanation: Explanation{Source: opts.Address}, Finding: &report.Finding{Kind: report.Infected, Hours: uint64(opts.Days)}}, nil
		},
		report: func(_ context.Context, opts ReportOptions) (report.Report, error) {
			r := report.Report{From: opts.From, To: opts.To}
			r.Totals.Counts.Refused = 7
			return r, nil
		},
		calendar: func(context.Context) (Calendar, error) { return Calendar{Events: []CalendarEvent{{What: "x"}}}, nil },
	})
	c, ctx := Dial(path), t.Context()
	if top, err := c.Top(ctx, TopOptions{Most: 3}); err != nil || len(top.Subscribers) != 3 || top.Attempts["refused"] != 7 || top.Destinations == nil {
		t.Errorf("top: %+v, %v", top, err)
	}
	address := netip.MustParseAddr("2001:db8::1")
	if s, err := c.Subscriber(ctx, SubscriberOptions{Address: address, Days: 9}); err != nil || s.Explanation.Source != address || s.Finding.Hours != 9 || s.Records == nil {
		t.Errorf("subscriber: %+v, %v", s, err)
	}
	if r, err := c.Report(ctx, ReportOptions{From: from, To: to}); err != nil || !r.From.Equal(from) || !r.To.Equal(to) || r.Totals.Refused != 7 || r.Trend == nil {
		t.Errorf("report: %+v, %v", r, err)
	}
	if cal, err := c.Calendar(ctx); err != nil || len(cal.Events) != 1 {
		t.Errorf("calendar: %+v, %v", cal, err)
	}
}

// Nobody listens: every question says so in the same way.
func TestNobodyAnswersMore(t *testing.T) {
	t.Parallel()
	c, ctx := Dial("/nonexistent/s"), t.Context()
	_, top := c.Top(ctx, TopOptions{})
	_, made := c.Report(ctx, ReportOptions{})
	for what, err := range map[string]error{
		"top": top, "report": made, "tail": c.Tail(ctx, TailOptions{}, nil), "diag": c.Diag(ctx, DiagOptions{}, io.Discard),
	} {
		if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "/nonexistent/s") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
