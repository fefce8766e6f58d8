// SPDX-License-Identifier: Apache-2.0

package census

import "net/netip"

// mostTargets is how many addresses and ports are counted for all subscribers
// together. A new one then takes the place of one of the least tried.
const mostTargets = 1 << 16

// network is who is tried, by all subscribers together.
type network struct {
	most     int
	targets  table[tried]
	sketches budget
}

// tried is what was counted of one address and port since it came into the table.
type tried struct {
	addr     netip.Addr
	port     uint16
	attempts uint64
	by       distinct // subscribers
}

// add counts an attempt. If the subscriber is known to have tried before, who it is
// need not be looked at.
func (n *network) add(a *Attempt, hash, subscriber uint64, unknown bool) {
	key := target(hash, a.Port)
	e := n.targets.find(key)
	if e == nil {
		if len(n.targets.entries) < n.most {
			e = n.targets.insert(key)
		} else {
			e = n.targets.replace(key)
		}
		e.value = tried{addr: a.Destination.Unmap(), port: a.Port}
		unknown = true
	}
	e.rank++
	e.value.attempts++
	if unknown {
		e.value.by.add(subscriber, &n.sketches)
	}
}
