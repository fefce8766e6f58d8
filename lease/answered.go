// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"net/netip"
	"time"

	"layeh.com/radius"
)

// answered remembers the requests that were answered lately. An access server that
// has lost the answer sends the request again, the same in every bit (RFC 2866
// section 2): it is answered again and does not count again.
type answered struct {
	seen map[requestID]seenRequest
	ring []requestID // the order in which they came
	next int
}

// requestID is what an access server tells its requests apart by.
type requestID struct {
	from       netip.AddrPort
	identifier byte
}

type seenRequest struct {
	authenticator [16]byte
	at            time.Time
}

const (
	// mostAnswered is how many requests are remembered.
	mostAnswered = 8192
	// repeated is for how long a request may be sent again.
	repeated = time.Minute
)

func newAnswered() *answered {
	return &answered{seen: map[requestID]seenRequest{}, ring: make([]requestID, mostAnswered)}
}

// before reports whether a request was here before, and remembers it.
func (a *answered) before(from netip.AddrPort, packet *radius.Packet, now time.Time) bool {
	id := requestID{from, packet.Identifier}
	last, known := a.seen[id]
	if known && last.authenticator == packet.Authenticator && now.Sub(last.at) < repeated {
		return true
	}
	if !known {
		delete(a.seen, a.ring[a.next])
		a.ring[a.next] = id
		a.next = (a.next + 1) % mostAnswered
	}
	a.seen[id] = seenRequest{packet.Authenticator, now}
	return false
}
