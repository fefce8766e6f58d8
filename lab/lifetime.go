// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
)

// Close ends every process in the nodes (SIGTERM, then SIGKILL after a second),
// stops the services, and removes the namespaces. Connections that were dialled
// stay the caller's. Close is safe twice and for a network in any state; later
// calls return what the first one did.
func (n *Network) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Network) close() error {
	owned, processes := n.shut()
	ids := map[namespaceID]bool{}
	for _, node := range n.nodes {
		ids[node.id] = true
	}
	endProcessesIn(ids)

	var errs []error
	for _, p := range processes { // ended already, unless they left the node
		errs = append(errs, p.Kill())
	}
	for _, c := range slices.Backward(owned) {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close network: %w", err))
		}
	}
	for _, node := range n.nodes {
		if err := node.close(); err != nil {
			n.claim.taint()
			errs = append(errs, err)
		}
	}
	// The claim goes last: until then no other network takes the name.
	return errors.Join(append(errs, n.claim.release())...)
}

// shut lets nothing new start and returns what is to be ended.
func (n *Network) shut() ([]io.Closer, []*Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	processes := make([]*Process, 0, len(n.processes))
	for p := range n.processes {
		processes = append(processes, p)
	}
	return n.owned, processes
}

// own has c closed with the network. Closers must be safe twice.
func (n *Network) own(c io.Closer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	n.owned = append(n.owned, c)
	return nil
}

// adopt has p killed with the network, until disown.
func (n *Network) adopt(p *Process) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	n.processes[p] = struct{}{}
	return nil
}

func (n *Network) disown(p *Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.processes, p)
}
