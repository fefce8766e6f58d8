// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func connect(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Clients that send nothing, or a little at a time, or do not read what they
// asked for, are gone after five seconds.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	huge := strings.Repeat("x", 8<<20) // more than the kernel buffers
	s := start(t, quiet(path), &fake{status: func() Status { return Status{Version: huge} }})
	slow := []func(c net.Conn){
		func(net.Conn) {},
		func(c net.Conn) {
			for _, b := range []byte("GET /v1/status HTTP/1.1\r\nHost: op25b\r\n") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(200 * time.Millisecond)
			}
		},
		func(c net.Conn) {
			_, _ = io.WriteString(c, "POST /v1/reload HTTP/1.1\r\nHost: op25b\r\nContent-Length: 1000\r\n\r\n{")
		},
		func(c net.Conn) { _, _ = io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: op25b\r\n\r\n") },
	}
	begin := time.Now()
	for _, act := range slow {
		go act(connect(t, path))
	}
	waitOpen(t, s, int32(len(slow)))
	time.Sleep(hurry/2 - time.Since(begin))
	if open := s.acceptor.open.Load(); open != int32(len(slow)) {
		t.Errorf("%d are open before their time is over", open)
	}
	waitOpen(t, s, 0)
	if took := time.Since(begin); took > 2*hurry {
		t.Errorf("gone after %v", took)
	}
	if got, err := Dial(path).Status(t.Context()); err != nil || got.Version != huge {
		t.Error(err)
	}
}

// waitOpen waits until a server has so many connections.
func waitOpen(t *testing.T, s *Server, n int32) {
	t.Helper()
	for deadline := time.Now().Add(3 * hurry); s.acceptor.open.Load() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, want %d", s.acceptor.open.Load(), n)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	s := start(t, quiet(path), &fake{})
	var held []net.Conn
	for range mostConns {
		held = append(held, connect(t, path))
	}
	waitOpen(t, s, mostConns)
	begin := time.Now()
	for range 100 {
		if _, err := Dial(path).Status(t.Context()); !errors.Is(err, ErrBusy) {
			t.Fatalf("one too many: %v", err)
		}
	}
	if took := time.Since(begin); took > hurry/2 {
		t.Errorf("they waited: %v", took)
	}
	for _, c := range held {
		c.Close()
	}
	waitOpen(t, s, 0)
	if _, err := Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// A reload takes longer than a client may over its request: neither the
// request's deadline nor the answer's may end it.
func TestLongReload(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	start(t, quiet(path), &fake{reload: func(ctx context.Context, _ ReloadOptions) (ReloadResult, error) {
		select {
		case <-ctx.Done():
			return ReloadResult{}, ctx.Err()
		case <-time.After(hurry + time.Second):
			return ReloadResult{Generation: 2}, nil
		}
	}})
	if r, err := Dial(path).Reload(t.Context(), ReloadOptions{}); err != nil || r.Generation != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// waiting is a gateway that yields and reloads when its context has ended.
func waiting() (g *fake, begun, ended chan struct{}) {
	begun, ended = make(chan struct{}), make(chan struct{})
	wait := func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}
	return &fake{
		reload: func(ctx context.Context, _ ReloadOptions) (ReloadResult, error) { return ReloadResult{}, wait(ctx) },
		yield:  func(ctx context.Context, _ Peer) (Handover, error) { return Handover{}, wait(ctx) },
	}, begun, ended
}

func TestClientHangsUp(t *testing.T) {
	t.Parallel()
	g, begun, ended := waiting()
	path := socketPath(t)
	start(t, quiet(path), g)
	ctx, hangUp := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		if _, err := Dial(path).Yield(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-begun
	hangUp()
	select {
	case <-ended:
	case <-time.After(hurry):
		t.Error("the gateway was not told")
	}
	asking.Wait()
}

// A gateway that has yielded ends, and its successor still hears of it.
func TestCloseAfterYield(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	yielded := make(chan struct{})
	s := start(t, quiet(path), &fake{yield: func(context.Context, Peer) (Handover, error) {
		close(yielded)
		time.Sleep(10 * time.Millisecond) // Close is first
		return Handover{Version: HandoverVersion, Generation: 7}, nil
	}})
	var closing sync.WaitGroup
	closing.Go(func() {
		<-yielded
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if h, err := Dial(path).Yield(t.Context()); err != nil || h.Generation != 7 {
		t.Errorf("%+v, %v", h, err)
	}
	closing.Wait()
}

// Close while a reload runs and connections idle: the reload is told, its client
// answered, and nothing is left of it.
func TestCloseWhileBusy(t *testing.T) {
	leakless(t)
	before := runtime.NumGoroutine()
	g, begun, _ := waiting()
	path := socketPath(t)
	s := start(t, quiet(path), g)
	for range 5 {
		connect(t, path)
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		var failure *Error
		if _, err := Dial(path).Reload(t.Context(), ReloadOptions{}); !errors.As(err, &failure) || failure.Code != 503 {
			t.Errorf("the client was told: %v", err)
		}
	})
	<-begun
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*grace {
		t.Errorf("closing took %v", took)
	}
	asking.Wait()
	for deadline := time.Now().Add(hurry); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	path := socketPath(t)
	start(t, Options{Path: path, Log: zap.New(core)}, &fake{reload: func(context.Context, ReloadOptions) (ReloadResult, error) {
		panic("a fault")
	}})
	var failure *Error
	if _, err := Dial(path).Reload(t.Context(), ReloadOptions{}); !errors.As(err, &failure) || failure.Code != 500 ||
		!strings.Contains(err.Error(), "a fault of op25b") {
		t.Errorf("the client was told: %v", err)
	}
	panics := logs.FilterMessage("panic in a control request").All()
	if len(panics) != 1 || !strings.Contains(panics[0].ContextMap()["stack"].(string), "abuse_test.go") {
		t.Errorf("logged: %+v", logs.All())
	}
	for deadline := time.Now().Add(hurry); logs.FilterMessage("control request").Len() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // it is written once the answer is on its way
	}
	requests := logs.FilterMessage("control request").All()
	if len(requests) != 1 || requests[0].ContextMap()["pid"] != int64(os.Getpid()) || requests[0].ContextMap()["status"] != int64(500) {
		t.Errorf("logged: %+v", requests)
	}
	if _, err := Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever asks about subscribers is in the log, and whom it was about is not.
func TestQuestionsAreLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	path := socketPath(t)
	s := start(t, Options{Path: path, Log: zap.New(core)}, &fake{})
	want := map[string]int{"/v1/explain": 400, "/v1/top": 200, "/v1/subscriber": 200, "/v1/report": 200, "/v1/tail": 200, "/v1/diag": 200}
	subscriber := netip.MustParseAddr("2001:db8::1") // of another family than who is to be explained
	for what, err := range askAbout(Dial(path), subscriber) {
		if (err != nil) != (what == "explain") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Close(); err != nil { // waits for the lines
		t.Error(err)
	}
	got := map[string]int{}
	for _, entry := range logs.FilterMessage("control request").All() {
		line := entry.ContextMap()
		got[line["path"].(string)] = int(line["status"].(int64))
		if line["method"] != "POST" || line["pid"] != int64(os.Getpid()) {
			t.Errorf("logged: %v", line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
	for _, entry := range logs.All() {
		for _, address := range []string{"203.0.113.25", "2001:db8"} {
			if line := fmt.Sprint(entry.ContextMap()); strings.Contains(line, address) {
				t.Errorf("%s is logged: %s", address, line)
			}
		}
	}
}
