// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"op25b/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terminal is a pseudo terminal, and what was written to it.
type terminal struct {
	master, user *os.File

	mu      sync.Mutex // protects written
	written strings.Builder
}

// openTerminal makes one of 80 columns and 24 lines.
func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: no pseudo terminals: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: no pseudo terminals: %v", err)
	}
	term := &terminal{master: master, user: user}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return // EIO: the other side is closed
			}
			term.mu.Lock()
			term.written.Write(buf[:n])
			term.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		user.Close()
		<-done
		master.Close()
	})
	return term
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.written.String()
}

// await waits until something was written; how long that takes is no one's claim.
func (term *terminal) await(t *testing.T, what string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(term.text(), what); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never written: %q; but: %q", what, term.text())
		}
	}
}

func (term *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// On a real terminal: it shows the gateway, says when it is gone and follows it when it
// is back, obeys keys, has no color where none is wanted, and leaves all as it was.
func TestTerminal(t *testing.T) { //nolint:paralleltest // goleak counts what others leave
	term := openTerminal(t)
	before, err := unix.IoctlGetTermios(int(term.user.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	var gone atomic.Bool
	var asked atomic.Int32
	done := make(chan error, 1)
	go func() {
		done <- Run(t.Context(), Options{
			Ask: func(context.Context) (control.Status, control.Top, error) {
				if gone.Load() {
					return control.Status{}, control.Top{}, errors.New("the socket is dead")
				}
				a := example(60 + int(asked.Add(1)))
				return *a.status, *a.top, nil
			},
			Interval: 10 * time.Millisecond, In: term.user, Out: term.user,
			Environ: []string{"TERM=xterm-256color", "LANG=C.UTF-8", "NO_COLOR=1"},
		})
	}()
	term.await(t, "203.0.113.10/32")
	gone.Store(true)
	term.await(t, "the socket is dead")
	gone.Store(false)
	at := asked.Load()
	for asked.Load() < at+2 {
		time.Sleep(time.Millisecond)
	}
	term.press(t, "\t")
	term.await(t, "198.51.100.25")
	term.press(t, "?")
	term.await(t, "the last two readings")
	term.press(t, "q")
	if err := <-done; err != nil {
		t.Error(err)
	}
	term.await(t, "\x1b[?1049l")
	if color := regexp.MustCompile(`\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;)[0-9;]*m`).FindString(term.text()); color != "" {
		t.Errorf("colored in spite of NO_COLOR: %q", color)
	}
	after, err := unix.IoctlGetTermios(int(term.user.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("%v: the terminal was %+v and is %+v", err, before, after)
	}
}

// The end of the context ends it, even while the gateway does not answer.
func TestEndOfContext(t *testing.T) { //nolint:paralleltest // goleak counts what others leave
	term := openTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{
			Ask: func(ctx context.Context) (control.Status, control.Top, error) {
				<-ctx.Done()
				return control.Status{}, control.Top{}, ctx.Err()
			},
			In: term.user, Out: term.user, Environ: []string{"TERM=xterm"},
		})
	}()
	term.await(t, "asking the gateway")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	term.await(t, "\x1b[?1049l")
}
