// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"hash/maphash"
	"net"
	"net/netip"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc3162"
	"layeh.com/radius/rfc4818"
	"layeh.com/radius/rfc6911"
)

// sessions are what an access server has said, by session: a stop need not repeat
// the addresses of its start.
type sessions = table[sessionID, session]

// sessionID is the hash of an Acct-Session-Id.
type sessionID uint64

// short tells the sessions of one prefix apart; it is never 0.
func (id sessionID) short() uint32 { return uint32(id>>32) | 1 }

// session is what is known of one: at most one prefix of each kind, 0 bits and no
// address for none.
type session struct {
	held  [4]place // as in prefixesOf
	heard uint32   // when it was last heard of
	over  bool     // it has stopped, and is kept for news that is late
}

const (
	// mostSessions bounds the sessions of an access server.
	mostSessions = 4_000_000
	// late is for how long a session that has stopped is remembered: a start that
	// comes after its stop must not bring it back.
	late = 10 * time.Minute
)

// prefixes returns what a session holds.
func (s *session) prefixes() (held []netip.Prefix) {
	for _, p := range s.held {
		if p != (place{}) {
			held = append(held, p.prefix())
		}
	}
	return held
}

// server is an access server that has said something.
type server struct {
	source   string // in leases
	seed     maphash.Seed
	sessions *sessions
}

func newServer(source string) *server {
	return &server{source: source, seed: maphash.MakeSeed(), sessions: newTable[sessionID, session]()}
}

// tidy ends the sessions of which nothing was heard for too long, as of the last
// word, and forgets those that have stopped long enough ago.
func (v *server) tidy(now time.Time, silence time.Duration, to Sink) {
	for id, s := range v.sessions.all() {
		quiet := now.Sub(moment(s.heard))
		if s.over && quiet >= late {
			v.sessions.remove(id)
		}
		if !s.over && quiet >= silence {
			for _, p := range s.held {
				v.release(id, p, moment(s.heard), to)
			}
			v.sessions.remove(id)
		}
	}
}

// id returns the session that a request is about; false: it does not say.
func (v *server) id(packet *radius.Packet) (sessionID, bool) {
	name := rfc2866.AcctSessionID_Get(packet)
	return sessionID(maphash.Bytes(v.seed, name)), len(name) > 0
}

// up takes the news that a session is there.
func (v *server) up(packet *radius.Packet, at time.Time, to Sink) bool {
	id, ok := v.id(packet)
	if !ok || v.sessions.len() >= mostSessions {
		return false
	}
	s, _ := v.sessions.put(id)
	if s.over && s.heard >= seconds(at) {
		return true // late news of a session that has stopped since
	}
	s.over, s.heard = false, max(s.heard, seconds(at))
	for i, p := range prefixesOf(packet) {
		if p.IsValid() && s.held[i] != placeOf(p) {
			v.release(id, s.held[i], at, to)
			s.held[i] = placeOf(p)
		}
	}
	for _, p := range s.prefixes() {
		to.Lease(Event{Kind: Granted, Lease: Lease{
			Prefix: p, Source: v.source, Holder: holderOf(packet), Start: began(packet, at), session: id.short(),
		}, Time: at})
	}
	return true
}

// began returns when a session began: it may have lasted a while already when we
// hear of it (RFC 2866 section 5.7).
func began(packet *radius.Packet, at time.Time) time.Time {
	const month = 31 * aDay
	return at.Add(-min(time.Duration(rfc2866.AcctSessionTime_Get(packet))*time.Second, month))
}

// down takes the news that a session is over.
func (v *server) down(packet *radius.Packet, at time.Time, to Sink) {
	id, ok := v.id(packet)
	if !ok {
		return
	}
	s := v.sessions.get(id)
	if s == nil {
		if v.sessions.len() >= mostSessions {
			return
		}
		s, _ = v.sessions.put(id)
	}
	for _, p := range s.held {
		v.release(id, p, at, to)
	}
	*s = session{over: true, heard: seconds(at)}
}

// release says that a session does not have a prefix any more.
func (v *server) release(id sessionID, p place, at time.Time, to Sink) {
	if p == (place{}) {
		return
	}
	to.Lease(Event{Kind: Released, Lease: Lease{Prefix: p.prefix(), Source: v.source, session: id.short()}, Time: at})
}

// restart takes the news that an access server begins or ends accounting: nothing
// that it has said before still holds.
func (v *server) restart(at time.Time, to Sink) {
	v.sessions = newTable[sessionID, session]()
	to.Lease(Event{Kind: AllGone, Lease: Lease{Source: v.source}, Time: at})
}

// holderOf returns who is connected: the user, or else the line or MAC address that
// calls.
func holderOf(packet *radius.Packet) string {
	return cmp.Or(rfc2865.UserName_GetString(packet), rfc2865.CallingStationID_GetString(packet))
}

// prefixesOf returns what a request says that its session holds, one of each kind;
// what it does not say is not valid.
func prefixesOf(packet *radius.Packet) (held [4]netip.Prefix) {
	if ip, err := rfc2865.FramedIPAddress_Lookup(packet); err == nil {
		held[0] = framedAddress(ip)
	}
	if n, err := rfc3162.FramedIPv6Prefix_Lookup(packet); err == nil {
		held[1] = framedPrefix(n)
	}
	if n, err := rfc4818.DelegatedIPv6Prefix_Lookup(packet); err == nil {
		held[2] = framedPrefix(n)
	}
	if ip, err := rfc6911.FramedIPv6Address_Lookup(packet); err == nil {
		if addr, ok := netip.AddrFromSlice(ip); ok && addr.Is6() && !addr.Is4In6() && !addr.IsUnspecified() {
			held[3] = netip.PrefixFrom(addr, addr.BitLen())
		}
	}
	return held
}

// framedAddress returns an IPv4 address as a prefix. Two of them are no addresses
// but ask for one, and 0.0.0.0 is what some say who have none (RFC 2865 section
// 5.8).
func framedAddress(ip net.IP) netip.Prefix {
	addr, ok := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	if !ok || !addr.Is4() || addr.IsUnspecified() ||
		addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || addr == netip.AddrFrom4([4]byte{255, 255, 255, 254}) {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, 32)
}

// framedPrefix returns an IPv6 prefix; ::/0 and what lies in IPv4's corner is none.
func framedPrefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || !addr.Is6() || addr.Is4In6() || size != addr.BitLen() || bits == 0 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
