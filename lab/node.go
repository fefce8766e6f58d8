// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrClosed is returned once the network of a node is closed. Ask for it with
// errors.Is, or for os.ErrClosed, which it wraps.
var ErrClosed = fmt.Errorf("lab network: %w", os.ErrClosed)

// Node is one host of a network: a network namespace and what happens in it.
type Node struct {
	name    string
	plan    nodePlan
	network *Network
	id      namespaceID
	handle  *netlink.Handle

	mu sync.RWMutex   // protects ns
	ns netns.NsHandle // None once closed
}

// newNode creates the namespace. The caller closes the node.
func newNode(network *Network, plan nodePlan) (*Node, error) {
	name := network.claim.base + "-" + plan.role
	ns, err := createNamespace(name)
	if err != nil {
		return nil, err
	}
	n := &Node{name: name, plan: plan, network: network, ns: ns}
	if n.id, err = statNamespace(filepath.Join(namespaceDir, name)); err != nil {
		return nil, errors.Join(err, n.close())
	}
	if n.handle, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink in %s: %w", name, err), n.close())
	}
	return n, nil
}

// Name returns the namespace's name, as in `ip netns exec NAME`.
func (n *Node) Name() string { return n.name }

// Netlink returns a handle to the node's links, addresses, routes and rules. It
// belongs to the node and must not be used after [Network.Close].
func (n *Node) Netlink() *netlink.Handle { return n.handle }

// Do runs fn in the node, on a goroutine and an OS thread of their own, and
// returns its error once it has returned. What fn opens stays in the node;
// goroutines that it starts do not run there. Do not call t.Fatal or
// runtime.Goexit in fn.
func (n *Node) Do(fn func() error) error {
	return onThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// enter moves the calling thread into the node. The caller has locked its
// goroutine to the thread and puts the thread back.
func (n *Node) enter() error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if !n.ns.IsOpen() {
		return ErrClosed
	}
	if err := netns.Set(n.ns); err != nil {
		return fmt.Errorf("enter %s: %w", n.name, err)
	}
	return nil
}

// close gives up the namespace. It is safe twice.
func (n *Node) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.ns.IsOpen() {
		return nil
	}
	if n.handle != nil {
		n.handle.Close()
	}
	n.ns.Close()
	return removeNamespace(n.name)
}

// Dial connects from the node. The address is an IP address and a port: a name
// would be looked up outside the node. It fits http.Transport's DialContext. The
// caller closes the connection.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from %s: %w", n.name, err)
	}
	var conn net.Conn
	err := n.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a TCP listener in the node. It is closed with the network, or
// earlier by the caller.
func (n *Node) Listen(network, address string) (net.Listener, error) {
	// Plain TCP: the default, multipath TCP, adds an option to every handshake.
	config := new(net.ListenConfig)
	config.SetMultipathTCP(false)
	return open(n, func() (net.Listener, error) {
		return config.Listen(context.Background(), network, address)
	})
}

// ListenPacket opens a packet socket in the node. It is closed with the network,
// or earlier by the caller.
func (n *Node) ListenPacket(network, address string) (net.PacketConn, error) {
	return open(n, func() (net.PacketConn, error) { return net.ListenPacket(network, address) })
}

// open opens a socket in the node and hands it to the network to close.
func open[T io.Closer](n *Node, socket func() (T, error)) (T, error) {
	var opened, none T
	err := n.Do(func() (err error) {
		opened, err = socket()
		return err
	})
	if err != nil {
		return none, err
	}
	if err := n.network.own(opened); err != nil {
		opened.Close()
		return none, err
	}
	return opened, nil
}

// Sysctl reads a kernel parameter of the node, such as "net.ipv4.ip_forward".
func (n *Node) Sysctl(key string) (value string, err error) {
	err = n.Do(func() error {
		content, err := os.ReadFile(sysctlPath(key))
		value = strings.TrimSpace(string(content))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read %s in %s: %w", key, n.name, err)
	}
	return value, nil
}

// SetSysctl writes a kernel parameter of the node. Parameters outside net.* are
// the whole machine's: leave them alone.
func (n *Node) SetSysctl(key, value string) error {
	err := n.Do(func() error { return os.WriteFile(sysctlPath(key), []byte(value), 0) })
	if err != nil {
		return fmt.Errorf("set %s=%s in %s: %w", key, value, n.name, err)
	}
	return nil
}

// sysctlPath follows the thread that opens it: /proc/sys/net is per namespace.
func sysctlPath(key string) string {
	return "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
}
