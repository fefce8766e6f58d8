// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	file := writeTokens(t, "precious", 0o600)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tokens := writeTokens(t, secret, 0o600)
	for _, tt := range []struct {
		listen, tokens string
		says           string
	}{
		{"0.0.0.0:9926", tokens, "ssh -L 9926:127.0.0.1:9926"},
		{"[::]:9926", tokens, "no TLS"},
		{"192.0.2.1:9926", tokens, "reachable from other machines"},
		{"[::ffff:192.0.2.1]:9926", tokens, "reachable from other machines"},
		{":9926", tokens, "127.0.0.1:9926"},
		{"localhost:9926", tokens, "127.0.0.1:9926"},
		{"", tokens, "unix:/run/op25b/console.sock"},
		{"unix:console.sock", "", "not absolute"},
		{"unix:" + file, "", "is not a socket: remove it"},
		{"unix:" + filepath.Join(t.TempDir(), "a/b/s"), "", "create"},
		{"127.0.0.1:0", "", "needs a token file"},
		{"127.0.0.1:0", filepath.Join(t.TempDir(), "none"), "no such file"},
		{"127.0.0.1:0", t.TempDir(), "is not a file"},
		{taken.Addr().String(), tokens, "ss -tlnp"},
	} {
		s, err := Listen(Options{Listen: tt.listen, TokenFile: tt.tokens, Gateway: &fake{now: then()}, Log: zap.NewNop()})
		if err == nil {
			s.Close()
			t.Errorf("it listens on %q", tt.listen)
		} else if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v", tt.listen, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// TestSocket: its rights, who takes it over, and who removes it.
func TestSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "op25b", "console.sock")
	listen := func() *Server {
		s, err := Listen(Options{Listen: "unix:" + path, Gateway: &fake{now: then()}, Log: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := listen()
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|rights {
		t.Fatalf("it is %v, %v", info, err)
	}
	second := listen()
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the predecessor has removed its successor's socket: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 0 {
		t.Errorf("left: %v, %v", files, err)
	}
	if err := second.Serve(); err != nil {
		t.Errorf("serving after the end: %v", err)
	}
}

// TestPeers: who is let in through a socket.
func TestPeers(t *testing.T) {
	t.Parallel()
	b := openSocket(t, Options{}, func(s *Server) {
		s.http.ConnContext = withPeer
		s.listener.Listener = &strangers{s.listener.Listener}
	})
	got := b.do("/subscriber?address=100.64.0.7", nil)
	b.has(got, http.StatusForbidden, "uid -1 may not use this console", "chgrp GROUP")
	if strings.Contains(got.body, "<nav") || strings.Contains(got.body, "v1.4.0") {
		t.Error("a stranger learns something")
	}
	p := &peer{uid: 1000, gid: 100, groups: []uint32{4, 27}}
	for gid, in := range map[int]bool{100: true, 4: true, 27: true, 5: false, 1000: false} {
		if p.in(gid) != in {
			t.Errorf("in group %d: %v", gid, !in)
		}
	}
}

// strangers hides from the server who connects.
type strangers struct{ net.Listener }

func (l *strangers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// TestConnections: there is room for so many, and again when some have gone.
func TestConnections(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	s := open(t, Options{Listen: "unix:" + path})
	dial := func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var open []net.Conn
	for range mostConns {
		open = append(open, dial())
	}
	over := dial()
	if _, err := over.Read(make([]byte, 1)); err == nil {
		t.Error("one too many was answered")
	}
	over.Close()
	if n := s.listener.open.Load(); n != mostConns {
		t.Errorf("%d are open", n)
	}
	for _, c := range open {
		c.Close()
	}
	for s.listener.open.Load() > 0 {
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
	}
	again := dial()
	defer again.Close()
	if _, err := again.Write([]byte("GET /samples HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 12)
	if _, err := again.Read(line); err != nil || string(line) != "HTTP/1.1 200" {
		t.Errorf("%q, %v", line, err)
	}
}
