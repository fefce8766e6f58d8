// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// strangerAsks is the variable that turns the test binary into somebody else,
// who asks on the socket that it names.
const strangerAsks = "OP25B_TEST_STRANGER"

// identity is who a stranger is.
type identity struct {
	UID, GID int
	Groups   []int
}

// stranger becomes who OP25B_TEST_IDENTITY says, reads, reloads, asks about
// subscribers, and prints what came of it. The binary lies where only root can run it, so it drops its
// rights by itself.
func stranger(path string) int {
	var id identity
	err := json.Unmarshal([]byte(os.Getenv("OP25B_TEST_IDENTITY")), &id)
	err = errors.Join(err, syscall.Setgroups(id.Groups), syscall.Setgid(id.GID), syscall.Setuid(id.UID))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c := Dial(path)
	_, reading := c.Status(context.Background())
	_, changing := c.Reload(context.Background(), ReloadOptions{})
	if _, err := c.Calendar(context.Background()); outcome(err) != outcome(reading) { // it tells about nobody
		reading = fmt.Errorf("%s, but the calendar: %s", outcome(reading), outcome(err))
	}
	for what, err := range askAbout(c, netip.MustParseAddr("192.0.2.1")) { // that needs the same right
		if outcome(err) != outcome(changing) {
			changing = fmt.Errorf("%s, but %s: %s", outcome(changing), what, outcome(err))
		}
	}
	fmt.Printf("%s|%s", outcome(reading), outcome(changing))
	return 0
}

// askAbout asks each question that tells about subscribers, of one as far as possible.
func askAbout(c *Client, subscriber netip.Addr) map[string]error {
	ctx := context.Background()
	_, explaining := c.Explain(ctx, ExplainOptions{Source: subscriber, Destination: netip.MustParseAddrPort("203.0.113.25:25")})
	_, top := c.Top(ctx, TopOptions{})
	_, about := c.Subscriber(ctx, SubscriberOptions{Address: subscriber})
	_, made := c.Report(ctx, ReportOptions{})
	tailing := c.Tail(ctx, TailOptions{Within: netip.PrefixFrom(subscriber, subscriber.BitLen())}, func(TailEvent) error { return nil })
	if errors.Is(tailing, ErrEnded) { // a tail that was answered
		tailing = nil
	}
	return map[string]error{
		"explain": explaining, "top": top, "subscriber": about, "report": made, "tail": tailing,
		"diag": c.Diag(ctx, DiagOptions{}, io.Discard),
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrPermission):
		return "permission: " + err.Error()
	default:
		return err.Error()
	}
}

func TestWhoMay(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("NEEDS ROOT: it asks as other users")
	}
	const nobody, operators, others = 65534, 4025, 4026
	for _, tt := range []struct {
		name              string
		group             int // of the socket
		mode              os.FileMode
		who               identity
		reading, changing string
	}{
		{"root", 0, 0o660, identity{0, 0, nil}, "ok", "ok"},
		{"root, the socket is a group's", operators, 0o660, identity{0, 0, nil}, "ok", "ok"},
		{"nobody", 0, 0o660, identity{nobody, nobody, nil}, "run as root, or join", "run as root, or join"},
		{"nobody, opened by the operator", 0, 0o666, identity{nobody, nobody, nil}, "ok", "uid 65534 may read this gateway's status and no more"},
		{"root's group is no operator", 0, 0o660, identity{nobody, 0, nil}, "ok", "chgrp GROUP"},
		{"the group", operators, 0o660, identity{nobody, operators, nil}, "ok", "ok"},
		{"the group, among others", operators, 0o660, identity{nobody, nobody, []int{others, operators}}, "ok", "ok"},
		{"another group", operators, 0o660, identity{nobody, others, nil}, "permission: ", "permission: "},
		{"another group, opened", operators, 0o666, identity{nobody, others, []int{0}}, "ok", "permission: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(openDir(t), "s")
			start(t, quiet(path), &fake{})
			if err := errors.Join(os.Chown(path, 0, tt.group), os.Chmod(path, tt.mode)); err != nil {
				t.Fatal(err)
			}
			reading, changing := asStranger(t, path, tt.who)
			if !strings.Contains(reading, tt.reading) || !strings.Contains(changing, tt.changing) {
				t.Errorf("reading: %s\nchanging: %s", reading, changing)
			}
		})
	}
}

// openDir is a directory that everybody can look into.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "op25b-control") //nolint:usetesting // t.TempDir is for the user alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func asStranger(t *testing.T, path string, id identity) (reading, changing string) {
	t.Helper()
	text, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), strangerAsks+"="+path, "OP25B_TEST_IDENTITY="+string(text),
		"GORACE=atexit_sleep_ms=0") // the race detector's own second
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	reading, changing, _ = strings.Cut(string(out), "|")
	return reading, changing
}

func TestRoom(t *testing.T) {
	t.Parallel()
	a := &acceptor{trusts: func(p *Peer) bool { return p.UID == 0 }}
	for _, tt := range []struct {
		open               int32
		operator, stranger bool
	}{{0, true, true}, {11, true, true}, {12, true, false}, {15, true, false}, {16, false, false}} {
		a.open.Store(tt.open)
		if got := a.room(&Peer{}); got != tt.operator {
			t.Errorf("%d open: an operator gets in: %t", tt.open, got)
		}
		if got := a.room(&Peer{UID: 1}); got != tt.stranger {
			t.Errorf("%d open: a stranger gets in: %t", tt.open, got)
		}
	}
}
