// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// Offload says which super-packets the kernel may hand to a Port.
type Offload struct {
	// Checksum: packets may come with a partial checksum. Without it there is
	// no segmentation either.
	Checksum bool
	// TSO: TCP super-packets, with and without ECN marks.
	TSO bool
	// USO: UDP super-packets (Linux 6.2).
	USO bool
}

// String returns "checksum+tso+uso", a part of it, or "off".
func (o Offload) String() string {
	switch {
	case o.USO:
		return "checksum+tso+uso"
	case o.TSO:
		return "checksum+tso"
	case o.Checksum:
		return "checksum"
	default:
		return "off"
	}
}

// PortOptions say what a Port should be.
type PortOptions struct {
	// Name of the interface, at most 15 octets.
	Name string
	// MTU in octets.
	MTU int
	// Queues to open, 1 to 16.
	Queues int
	// Offload to ask for. What the kernel refuses is left out; see Port.Offload.
	Offload Offload
	// Adopt has queues of an interface that exists already: of a gateway that was
	// killed, or that this one succeeds. The Port takes them over, and closes those
	// that it has no use for. Empty: the interface is created.
	Adopt []*os.File
}

// Port is one TUN interface and its queues. It exists as long as its queues are
// open: when the process dies, the kernel removes the interface and every route
// through it. Its methods may be called from any goroutine.
type Port struct {
	name    string
	offload Offload
	missing string // what was asked for and not granted, and why
	queues  []*Queue
	adopted bool
	links   *netlink.Handle // of the namespace that the port was opened in
	index   int             // of the interface
	dev     tun.Device      // holds the first queue's file; tells of link events

	mtu       atomic.Int64
	closed    sync.Once
	over      chan struct{} // closed by Close
	listening sync.WaitGroup
}

// OpenPort creates the interface, which must not exist, and leaves it down:
// [Host] brings it up once everything around it is in place. One whose queues are
// adopted stays as it is. The error is a *Hint where the operator can do something
// about it.
func OpenPort(opts PortOptions) (*Port, error) {
	p := &Port{name: opts.Name, over: make(chan struct{})}
	if err := p.open(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("open TUN %s: %w", opts.Name, err), p.Close())
	}
	return p, nil
}

func (p *Port) open(opts PortOptions) (err error) {
	if p.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	name, err := p.openQueues(opts)
	if err != nil {
		return err
	}
	link, err := p.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	p.index = link.Attrs().Index
	if err := p.follow(opts.MTU); err != nil {
		return err
	}
	// The library has set the offloads that it can handle itself; ours replace
	// them, for the whole interface.
	if p.offload, p.missing, err = setOffload(p.queues[0].fd, opts.Offload); err != nil || p.adopted {
		return err
	}
	// Only now somebody may know it, and delete it: where an interface goes away while
	// the library takes it over, that closes a descriptor of its own twice, and the second
	// time it may be another's.
	return rename(p.links, link, p.name)
}

// follow gives the first queue to wireguard's device, which sets the interface's MTU and
// hears of changes.
func (p *Port) follow(mtu int) error {
	file := os.NewFile(uintptr(p.queues[0].fd), clonePath)
	p.queues[0].shared = true
	dev, err := tun.CreateTUNFromFile(file, mtu)
	if err != nil {
		// Left to the garbage collector, it would be closed when its number is another's.
		return errors.Join(fmt.Errorf("hand the queue to the TUN library: %w", err), file.Close())
	}
	p.dev = dev
	p.mtu.Store(int64(mtu))
	p.listening.Go(p.listen)
	return nil
}

// openQueues returns the name that the interface has for now.
func (p *Port) openQueues(opts PortOptions) (name string, err error) {
	adopted, err := adopt(opts.Name, opts.Adopt)
	if err != nil {
		return "", err
	}
	name = unfinished
	if p.adopted = len(adopted) > 0; p.adopted {
		name = opts.Name
	}
	for i := range max(opts.Queues, len(adopted), 1) {
		var fd int
		if i < len(adopted) {
			fd = adopted[i]
		} else if fd, name, err = openQueue(name); err != nil {
			return "", err
		}
		q, err := newQueue(fd)
		if err != nil {
			return "", errors.Join(err, unix.Close(fd))
		}
		p.queues = append(p.queues, q)
	}
	return name, p.drop(max(opts.Queues, 1))
}

// drop closes the queues behind the first n. The kernel sends packets into every
// queue that is open, whether anybody reads it or not.
func (p *Port) drop(n int) error {
	var errs []error
	for _, q := range p.queues[min(n, len(p.queues)):] {
		errs = append(errs, q.close())
	}
	p.queues = p.queues[:min(n, len(p.queues))]
	return errors.Join(errs...)
}

// lookOut is how often a port looks itself at its interface.
const lookOut = time.Second

// listen keeps MTU up to date and drains the device's events, without which its
// listeners would block. It ends when port and device are closed. Once the kernel had more
// to tell than the library's socket holds, the library hears nothing any more and closes
// Events, so the port looks for itself as well.
//
// It also wakes the readers of an interface that was deleted. The kernel does so itself,
// yet a moment too early (tun_detach_all): what reads just then by io_uring finds
// nothing, and is not woken again.
func (p *Port) listen() {
	timer := time.NewTicker(lookOut)
	defer timer.Stop()
	events, over, look := p.dev.Events(), p.over, timer.C
	for events != nil || over != nil {
		select {
		case <-over:
			over, look = nil, nil
		case event, open := <-events:
			if !open {
				events = nil
			}
			if event&tun.EventMTUUpdate != 0 {
				p.readMTU()
			}
		case <-look:
			p.readMTU()
			for _, q := range p.queues {
				if q.deleted() && !q.gone.Swap(true) {
					q.wake()
				}
			}
		}
	}
}

func (p *Port) readMTU() {
	if link, err := p.links.LinkByIndex(p.index); err == nil {
		p.mtu.Store(int64(link.Attrs().MTU))
	}
}

// Name returns the interface's name.
func (p *Port) Name() string { return p.name }

// MTU returns the largest IP packet, in octets, that leaves by this interface,
// as the kernel reported it last. Super-packets are measured by their segments.
func (p *Port) MTU() int { return int(p.mtu.Load()) }

// Offload returns what was granted, and in words what was not and why; the
// words are empty when all that was asked for is in force.
func (p *Port) Offload() (granted Offload, missing string) { return p.offload, p.missing }

// Queues returns the queues, one for each worker.
func (p *Port) Queues() []*Queue { return p.queues }

// Adopted reports whether the interface was there before.
func (p *Port) Adopted() bool { return p.adopted }

// Descriptors returns the queues' descriptors, for somebody who keeps a copy of
// each: as long as there is one, the interface stays, and so do the packets that
// wait in the queue. They stay the port's.
func (p *Port) Descriptors() []int {
	var fds []int
	for _, q := range p.queues {
		fds = append(fds, q.fd)
	}
	return fds
}

// Interrupt makes every reader return ErrClosed, now and later. The interface
// stays, and writing still works.
func (p *Port) Interrupt() {
	for _, q := range p.queues {
		q.wake()
	}
}

// Close removes the interface. Nobody may be in Read or Write any more: call
// Interrupt and wait for the readers first, since the kernel gives the numbers
// of closed descriptors to others at once. It is safe to call twice.
func (p *Port) Close() error {
	var errs []error
	p.closed.Do(func() {
		if p.dev != nil {
			close(p.over)
			errs = append(errs, p.dev.Close())
			p.listening.Wait()
		}
		for _, q := range p.queues {
			errs = append(errs, q.close())
		}
		if p.links != nil {
			p.links.Close()
		}
	})
	return errors.Join(errs...)
}
