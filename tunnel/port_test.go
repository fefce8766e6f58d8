// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(name string, queues int) PortOptions {
	return PortOptions{Name: name, MTU: 1400, Queues: queues, Offload: Offload{Checksum: true, TSO: true, USO: true}}
}

// address puts a port's link up and a route through it, so that a datagram to
// 192.0.2.2 comes out of a queue.
func address(t *testing.T, p *Port) {
	t.Helper()
	link, err := netlink.LinkByName(p.Name())
	must(t, err)
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	must(t, err)
	must(t, netlink.AddrAdd(link, addr))
	must(t, netlink.LinkSetUp(link))
}

// send sends one datagram from the namespace of the calling thread.
func send(t *testing.T, payload string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer func() { must(t, unix.Close(fd)) }()
	must(t, unix.Sendto(fd, []byte(payload), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 2}}))
}

func TestPortReadsWholeFrames(t *testing.T) {
	inNamespace(t, func() {
		p, err := OpenPort(options("op25b-t0", 1))
		must(t, err)
		defer func() { must(t, p.Close()) }()
		if p.Name() != "op25b-t0" || p.MTU() != 1400 || len(p.Queues()) != 1 {
			t.Errorf("name %s, MTU %d, %d queues", p.Name(), p.MTU(), len(p.Queues()))
		}
		if granted, missing := p.Offload(); !granted.TSO || missing != "" {
			t.Errorf("offload %s, missing %q", granted, missing)
		}
		address(t, p)
		must(t, p.Probe())
		if granted, missing := p.Offload(); !granted.TSO || missing != "" {
			t.Errorf("after the probe: offload %s, missing %q", granted, missing)
		}
		send(t, "hello")
		frame := make([]byte, FrameSize)
		for {
			n, err := p.Queues()[0].read(frame)
			must(t, err)
			if n > 0 && frame[HeaderSize]>>4 == 4 { // not the kernel's own IPv6 chatter
				if !bytes.HasSuffix(frame[:n], []byte("hello")) || n != HeaderSize+28+5 {
					t.Errorf("%d octets: %x", n, frame[:n])
				}
				return
			}
		}
	})
}

func TestCloseRemovesTheInterface(t *testing.T) {
	inNamespace(t, func() {
		p, err := OpenPort(options("op25b-t0", 2))
		must(t, err)
		must(t, p.Close())
		must(t, p.Close()) // safe twice
		if _, err := netlink.LinkByName("op25b-t0"); err == nil {
			t.Error("the interface is still there")
		}
	})
}

// Somebody deletes the interface as soon as it can be seen. A port closes what it has
// opened, once: descriptors that are opened meanwhile stay open.
func TestDeletedAtOnce(t *testing.T) {
	inNamespace(t, func() {
		links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		must(t, err)
		defer links.Close()
		var over atomic.Bool
		var deleter sync.WaitGroup
		deleted := 0
		deleter.Go(func() {
			for !over.Load() {
				link, err := links.LinkByName("op25b-t0")
				if err == nil && links.LinkDel(link) == nil {
					deleted++
				}
			}
		})
		for range 50 {
			p, err := OpenPort(options("op25b-t0", 2))
			must(t, err)
			bystander, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
			must(t, err)
			time.Sleep(time.Millisecond)
			must(t, p.Close())
			runtime.GC() // what is left to it is closed now
			must(t, unix.Close(bystander))
		}
		over.Store(true)
		deleter.Wait()
		if deleted < 25 {
			t.Errorf("deleted %d times", deleted)
		}
	})
}

func TestWriteErrorsAreStates(t *testing.T) {
	inNamespace(t, func() {
		p, err := OpenPort(options("op25b-t0", 1))
		must(t, err)
		q := p.Queues()[0]
		frame := make([]byte, HeaderSize+20)
		frame[HeaderSize] = 0x45
		if err := q.Write(frame); !errors.Is(err, ErrLinkDown) {
			t.Errorf("link down: %v", err)
		}
		link, err := netlink.LinkByName(p.Name())
		must(t, err)
		must(t, netlink.LinkSetUp(link))
		if err := q.Write(frame); err != nil {
			t.Errorf("link up: %v", err)
		}
		if err := q.Write(nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("empty frame: %v", err)
		}
		must(t, netlink.LinkDel(link))
		if err := q.Write(frame); !errors.Is(err, ErrGone) {
			t.Errorf("device deleted: %v", err)
		}
		if _, err := q.read(make([]byte, 100)); !errors.Is(err, ErrGone) {
			t.Errorf("read, device deleted: %v", err)
		}
		must(t, p.Close())
	})
}

func TestNameTaken(t *testing.T) {
	inNamespace(t, func() {
		links(t)
		first, err := OpenPort(options("op25b-t0", 2))
		must(t, err)
		defer func() { must(t, first.Close()) }()
		for name, want := range map[string]string{
			"op25b-t0":             "has the interface op25b-t0; stop it, or choose other names",
			"sub0":                 "an interface",
			"a-name-that-is-long!": "name the interface",
		} {
			p, err := OpenPort(options(name, 1))
			if err == nil {
				t.Errorf("%s: opened", name)
				must(t, p.Close())
				continue
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", name, err, want)
			}
		}
	})
}

// What offload: off means, and what the kernel grants when asked for less.
func TestOffloadChoices(t *testing.T) {
	inNamespace(t, func() {
		for want, o := range map[string]Offload{
			"off": {}, "checksum": {Checksum: true}, "checksum+tso": {Checksum: true, TSO: true},
		} {
			opts := options("op25b-t0", 1)
			opts.Offload = o
			p, err := OpenPort(opts)
			must(t, err)
			if granted, missing := p.Offload(); granted.String() != want || missing != "" {
				t.Errorf("%s: granted %s, missing %q", want, granted, missing)
			}
			must(t, p.Close())
		}
	})
}
