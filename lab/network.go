// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// IPv6Mode says where a network has IPv6.
type IPv6Mode int

const (
	// IPv6On is IPv6 everywhere, the default, if the kernel has it.
	IPv6On IPv6Mode = iota
	// IPv6OffGateway is IPv6 everywhere but on the gateway.
	IPv6OffGateway
	// IPv6Off is no IPv6 at all.
	IPv6Off
)

// defaultMTU is a link's MTU in bytes where Options does not say otherwise.
const defaultMTU = 1500

// Options vary a network. The zero value is the network of the package comment.
type Options struct {
	// IPv6 says where the network has IPv6.
	IPv6 IPv6Mode
	// UpstreamMTU is the MTU between gateway and transit, in bytes; 0 means 1500.
	UpstreamMTU int
	// InternetMTU is the MTU between transit and internet, in bytes; 0 means 1500.
	InternetMTU int
	// NoOffloads turns checksum and segmentation offloads off on every link.
	NoOffloads bool
	// ReversePathFilter is the gateway's rp_filter: 0 off, 1 strict, 2 loose.
	ReversePathFilter int
	// NoForwarding leaves the gateway a host: the kernel forwards nothing.
	NoForwarding bool
}

// minMTUIPv6 is the least MTU, in bytes, of a link with IPv6 (RFC 8200 section 5).
const minMTUIPv6 = 1280

// validate is called once the defaults are in.
func (o Options) validate() error {
	least := min(o.UpstreamMTU, o.InternetMTU)
	if least < minMTUIPv6 && o.IPv6 != IPv6Off {
		return fmt.Errorf("build network: MTU %d is below %d, the least with IPv6", least, minMTUIPv6)
	}
	return nil
}

// Network is a set of connected nodes. Close removes it.
type Network struct {
	Dynamic  *Node // subscriber with a dynamically assigned address
	Static   *Node // subscriber with a static address
	Gateway  *Node // where op25b runs
	Transit  *Node // a plain router above the gateway
	Internet *Node // mail servers and web servers

	claim     *claim
	opts      Options
	nodes     []*Node // as far as they were made
	closeOnce sync.Once
	closeErr  error

	mu        sync.Mutex // protects the fields below; never held while closing or waiting
	closed    bool
	owned     []io.Closer
	processes map[*Process]struct{}
}

// New builds a network. Its error wraps os.ErrPermission if the caller may not
// create namespaces. The caller closes the network.
func New(opts Options) (*Network, error) {
	if !kernelHasIPv6() {
		opts.IPv6 = IPv6Off
	}
	if opts.UpstreamMTU == 0 {
		opts.UpstreamMTU = defaultMTU
	}
	if opts.InternetMTU == 0 {
		opts.InternetMTU = defaultMTU
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	claim, err := takeClaim()
	if err != nil {
		return nil, err
	}
	n := &Network{claim: claim, opts: opts, processes: map[*Process]struct{}{}}
	if err := n.build(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Network) build() error {
	if err := n.addNodes(); err != nil {
		return err
	}
	for _, c := range planCables(n.opts) {
		if err := n.addCable(c); err != nil {
			return err
		}
	}
	for _, node := range n.nodes {
		if err := node.waitLinks(); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) addNodes() error {
	for _, plan := range planNodes(n.opts) {
		node, err := newNode(n, plan)
		if err != nil {
			return err
		}
		n.nodes = append(n.nodes, node)
		if err := node.setKernelParameters(); err != nil {
			return err
		}
		if err := node.SetLinkUp(linkLoopback); err != nil {
			return err
		}
	}
	n.Dynamic, n.Static = n.node(roleDynamic), n.node(roleStatic)
	n.Gateway, n.Transit, n.Internet = n.node(roleGateway), n.node(roleTransit), n.node(roleInternet)
	return nil
}

// addCable connects two nodes and gives both ends their addresses and routes.
func (n *Network) addCable(c cable) error {
	near, far := n.node(c.near.role), n.node(c.far.role)
	if err := connect(c, near, far); err != nil {
		return err
	}
	for _, end := range []cableEnd{c.near, c.far} {
		node := n.node(end.role)
		if n.opts.NoOffloads {
			if err := node.SetOffloads(end.link, false); err != nil {
				return err
			}
		}
		if err := node.configure(end.link); err != nil {
			return err
		}
	}
	return nil
}

func (n *Network) node(role string) *Node {
	i := slices.IndexFunc(n.nodes, func(node *Node) bool { return node.plan.role == role })
	return n.nodes[i]
}

// Nodes returns the five nodes.
func (n *Network) Nodes() []*Node { return slices.Clone(n.nodes) }

// Dir returns a directory of the network's own, private to root and removed with
// the network.
func (n *Network) Dir() string { return n.claim.dir }

// Families returns the families that work from end to end.
func (n *Network) Families() []Family {
	if n.opts.IPv6 == IPv6On {
		return []Family{IPv4, IPv6}
	}
	return []Family{IPv4}
}

// kernelHasIPv6 reports whether the kernel has IPv6 at all; it may be off at boot
// (ipv6.disable=1).
func kernelHasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}
