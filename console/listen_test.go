// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
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
}

// TestGroup: of those whom the socket's file lets connect, the gateway lets in its own,
// and members of a group that the operator has given the file to.
func TestGroup(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can come as somebody else")
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed: apt install curl")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	open(t, Options{Listen: "unix:" + path})
	// Others must be able to get there.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	come := func(uid, gid uint32, groups ...uint32) string {
		cmd := exec.Command(curl, "-s", "-o", os.DevNull, "-w", "%{http_code}", "--max-time", "30", "--unix-socket", path, "http://localhost/calendar")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("curl: %v: %s", err, out)
		}
		return string(out)
	}
	const somebody, noc, others = 54321, 54322, 54323
	for _, tt := range []struct {
		name             string
		owner            int // the socket's group
		uid, gid, member uint32
		want             string
	}{
		{"root", 0, 0, 0, 0, "200"},
		{"somebody", 0, somebody, somebody, others, "403"},
		{"a member of root's group", 0, somebody, 0, 0, "403"},
		{"a member of the group", noc, somebody, somebody, noc, "200"},
		{"somebody of the group", noc, somebody, noc, others, "200"},
		{"a member of another group", noc, somebody, somebody, others, "403"},
	} {
		if err := os.Chown(path, 0, tt.owner); err != nil {
			t.Fatal(err)
		}
		if got := come(tt.uid, tt.gid, tt.member); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
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
