// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// signals is a pipe out of which poll can read what Go hands out by channel:
// each octet is the number of a signal.
type signals struct {
	fd     int // the end to read
	cancel context.CancelFunc
	relay  sync.WaitGroup
}

// catch begins to catch signals. The end of ctx is SIGTERM.
func catch(ctx context.Context) (*signals, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make the signal pipe: %w", err)
	}
	caught := make(chan os.Signal, 16)
	signal.Notify(caught, syscall.SIGCHLD, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	closing, cancel := context.WithCancel(context.Background())
	s := &signals{fd: ends[0], cancel: cancel}
	s.relay.Go(func() {
		defer unix.Close(ends[1])
		defer signal.Stop(caught)
		asked := ctx.Done()
		for {
			sig := syscall.SIGTERM
			select {
			case <-closing.Done():
				return
			case <-asked:
				asked = nil
			case c := <-caught:
				sig, _ = c.(syscall.Signal)
			}
			// A full pipe wakes the reader all the same.
			_, _ = unix.Write(ends[1], []byte{byte(sig)})
		}
	})
	return s, nil
}

// read returns what has come since.
func (s *signals) read() []unix.Signal {
	var buf [64]byte
	n, err := unix.Read(s.fd, buf[:])
	if err != nil {
		return nil
	}
	got := make([]unix.Signal, n)
	for i := range got {
		got[i] = unix.Signal(buf[i])
	}
	return got
}

func (s *signals) close() {
	s.cancel()
	s.relay.Wait()
	_ = unix.Close(s.fd)
}
