// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"op25b/lab"
)

const (
	// portReflect is where the messages turn round.
	portReflect = 4001
	// messageSize is their length, in octets of payload.
	messageSize = 64
	// overdue is how long a message may take; it is lost then.
	overdue = 200 * time.Millisecond
)

// roundTrips sends one message after the other over UDP and back. Both ends block in
// a thread of their own, without Go's poller.
func roundTrips(name, title string, loaded bool) measurement {
	run := func(t *turn) values {
		if loaded {
			defer load(t)()
		}
		trips, lost := pingPong(t, at(lab.IPv4.Addrs().Internet, portReflect))
		if len(trips) == 0 {
			t.Fatalf("%s: no message comes back", t.peer.name)
		}
		if lost > 0 {
			t.Logf("%s, %s: %d of %d messages lost", t.peer.name, name, lost, lost+len(trips))
		}
		slices.Sort(trips)
		micros := func(share float64) float64 { return float64(percentile(trips, share)) / float64(time.Microsecond) }
		return values{name + "_p50": micros(0.5), name + "_p99": micros(0.99), name + "_p999": micros(0.999)}
	}
	return measurement{name, false, []figure{
		{name + "_p50", title + ", p50", "µs"},
		{name + "_p99", title + ", p99", "µs"},
		{name + "_p999", title + ", p99.9", "µs"},
	}, run}
}

// load keeps a TCP flow up until it is stopped.
func load(t *turn) (stop func()) {
	t.Helper()
	const settle = 300 * time.Millisecond
	to, port := lab.IPv4.Addrs().Internet.String(), strconv.Itoa(portIperf)
	listening := start(t, t.network.Internet, "iperf3", "--server", "--one-off", "--forceflush", "--bind", to, "--port", port)
	listening.waitOutput(t, "Server listening")
	sending := start(t, t.network.Dynamic, "iperf3", "--client", to, "--port", port, "--time", strconv.Itoa(t.seconds+60))
	time.Sleep(settle)
	return func() {
		select {
		case <-sending.ended:
			t.Errorf("%s: the load ended before its time:\n%s", t.peer.name, sending.output())
		default:
		}
		sending.signal(t, syscall.SIGTERM)
		listening.signal(t, syscall.SIGTERM)
	}
}

// pingPong returns how long each message took there and back, and how many did not
// come back.
func pingPong(t *turn, to netip.AddrPort) (trips []time.Duration, lost int) {
	t.Helper()
	var stop atomic.Bool
	reflected, bound := make(chan error, 1), make(chan struct{})
	go func() {
		reflected <- t.network.Internet.Do(func() error { return reflect(to, bound, &stop) })
	}()
	select {
	case <-bound:
	case err := <-reflected:
		t.Fatalf("reflect messages: %v", err)
	}
	err := t.network.Dynamic.Do(func() (err error) {
		trips, lost, err = ping(to, time.Duration(t.seconds)*time.Second)
		return err
	})
	stop.Store(true)
	if err := errors.Join(err, <-reflected); err != nil {
		t.Fatalf("measure round trips: %v", err)
	}
	return trips, lost
}

// reflect sends every message back to where it came from, until stop.
func reflect(here netip.AddrPort, bound chan<- struct{}, stop *atomic.Bool) error {
	fd, err := blockingSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, socketAddress(here)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	close(bound)
	message := make([]byte, messageSize)
	for !stop.Load() {
		n, from, err := unix.Recvfrom(fd, message, 0)
		if err != nil {
			if nothingCame(err) {
				continue
			}
			return fmt.Errorf("receive: %w", err)
		}
		if err := unix.Sendto(fd, message[:n], 0, from); err != nil {
			return fmt.Errorf("send back: %w", err)
		}
	}
	return nil
}

// ping sends numbered messages for a time, each after the one before has come back
// or is overdue.
func ping(to netip.AddrPort, duration time.Duration) (trips []time.Duration, lost int, err error) {
	fd, err := blockingSocket()
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, socketAddress(to)); err != nil {
		return nil, 0, fmt.Errorf("connect: %w", err)
	}
	trips = make([]time.Duration, 0, 1<<18)
	message, answer := make([]byte, messageSize), make([]byte, messageSize)
	begun := time.Now()
	for number, end := uint64(1), begun.Add(duration); begun.Before(end); number++ {
		binary.NativeEndian.PutUint64(message, number)
		begun = time.Now()
		if _, err := unix.Write(fd, message); err != nil {
			return nil, 0, fmt.Errorf("send: %w", err)
		}
		came, err := await(fd, answer, number)
		switch {
		case err != nil:
			return nil, 0, err
		case came:
			trips = append(trips, time.Since(begun))
		default:
			lost++
		}
	}
	return trips, lost, nil
}

// await receives the message with this number; those before it are late.
func await(fd int, answer []byte, number uint64) (came bool, err error) {
	for {
		_, err := unix.Read(fd, answer)
		switch {
		case err == nil && binary.NativeEndian.Uint64(answer) == number:
			return true, nil
		case err != nil && errors.Is(err, unix.EAGAIN):
			return false, nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("receive: %w", err)
		}
	}
}

func nothingCame(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) }

// blockingSocket is a UDP socket whose receiver waits until a message is overdue.
func blockingSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	timeout := unix.NsecToTimeval(overdue.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return -1, errors.Join(fmt.Errorf("set timeout: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// percentile returns the value that the share of the sorted samples does not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
