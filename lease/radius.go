// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2866"
)

// RADIUSOptions say which access servers tell a [RADIUS] source who is connected.
type RADIUSOptions struct {
	// Name is the source's name.
	Name string
	// Listen is the address and UDP port to listen on, usually port 1813.
	Listen netip.AddrPort
	// Clients are the access servers; nobody else is listened to.
	Clients []netip.Prefix
	// Secret is what they share with us.
	Secret []byte
	// Silence is how long a session lasts of which nothing is heard; 0: a day. Access
	// servers must send interim updates more often.
	Silence time.Duration
}

// RADIUS is a source that receives RADIUS accounting (RFC 2866). The leases of an
// access server have the source's name, a slash and the server's address as their
// source. Access servers send the same to a RADIUS server, or a RADIUS server sends
// us copies: we authenticate nobody.
//
// One goroutine takes the requests in the order in which they come, so that the
// start and the stop of a session never overtake one another.
type RADIUS struct {
	opts     RADIUSOptions
	now      func() time.Time
	listen   func() (net.PacketConn, error)
	servers  map[netip.Addr]*server
	answered *answered
	heard    time.Time // when an access server last said something
}

const (
	// aDay is for how long a session is believed without a word.
	aDay = 24 * time.Hour
	// glance is how often the source looks up from the socket.
	glance = 2 * time.Second
	// tidyEvery is how often it looks for sessions that are over.
	tidyEvery = time.Minute
)

// NewRADIUS returns a source that receives accounting.
func NewRADIUS(opts RADIUSOptions) (*RADIUS, error) {
	switch {
	case len(opts.Secret) == 0:
		return nil, errors.New("receive accounting: there is no secret, and anybody could make up sessions")
	case len(opts.Clients) == 0:
		return nil, errors.New("receive accounting: no access server is on the list")
	}
	if opts.Silence == 0 {
		opts.Silence = aDay
	}
	r := &RADIUS{opts: opts, now: time.Now, servers: map[netip.Addr]*server{}, answered: newAnswered()}
	r.listen = func() (net.PacketConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(opts.Listen))
	}
	return r, nil
}

// Name returns the source's name.
func (r *RADIUS) Name() string { return r.opts.Name }

// Run receives until the context ends.
func (r *RADIUS) Run(ctx context.Context, to Sink) error {
	conn, err := r.listen()
	if err != nil {
		return fmt.Errorf("receive accounting: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r.heard = r.now()
	to.Asked(r.opts.Name, r.now(), nil)
	buf := make([]byte, radius.MaxPacketLength+1)
	for tidied, looked := r.now(), r.now(); ; {
		if now := r.now(); now.Sub(tidied) >= tidyEvery {
			tidied = now
			r.tidy(to)
		}
		if now := r.now(); now.Sub(looked) >= glance {
			looked = now
			to.Asked(r.opts.Name, now, r.silence())
		}
		if err := conn.SetReadDeadline(time.Now().Add(glance)); err != nil {
			return ended(ctx, err)
		}
		n, from, err := conn.ReadFrom(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return ended(ctx, err)
		default:
			if answer := r.receive(buf[:n], addrPortOf(from), to); answer != nil {
				_, _ = conn.WriteTo(answer, from) // lost like any packet: it is asked again
			}
		}
	}
}

// ended returns the context's error when that is why the socket failed.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("receive accounting: %w", err)
}

func addrPortOf(addr net.Addr) netip.AddrPort {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	from := udp.AddrPort()
	return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// silence returns an error when no access server has said anything for so long that
// its sessions are no longer believed.
func (r *RADIUS) silence() error {
	if quiet := r.now().Sub(r.heard); quiet > r.opts.Silence {
		return fmt.Errorf("no access server has sent accounting for %s: let them send it to %s", quiet.Round(time.Minute), r.opts.Listen)
	}
	return nil
}

// receive takes a datagram and returns the answer, or nil for none: what is not
// authentic is not answered (RFC 2866 section 3).
func (r *RADIUS) receive(datagram []byte, from netip.AddrPort, to Sink) []byte {
	bad := func(what, fix string) {
		to.Bad(r.opts.Name, Problem{File: "accounting from " + from.Addr().String(), What: what, Fix: fix})
	}
	if !r.allowed(from.Addr()) {
		bad("not on the list of access servers", "add it to clients, if it is one")
		return nil
	}
	request, ok := wholeRequest(datagram)
	if !ok {
		bad("not a RADIUS packet", "")
		return nil
	}
	if radius.Code(request[0]) != radius.CodeAccountingRequest {
		bad("not an Accounting-Request", "send accounting only")
		return nil
	}
	if !radius.IsAuthenticRequest(request, r.opts.Secret) {
		bad("a wrong authenticator", "use the same secret at both ends")
		return nil
	}
	packet, err := radius.Parse(request, r.opts.Secret)
	if err != nil {
		bad("attributes that make no sense", "")
		return nil
	}
	r.heard = r.now()
	if !r.answered.before(from, packet, r.now()) {
		r.take(packet, from.Addr(), bad, to)
	}
	return answerTo(packet)
}

// wholeRequest cuts off what lies behind the packet in the datagram: it is padding
// (RFC 2865 section 3).
func wholeRequest(datagram []byte) ([]byte, bool) {
	const header = 20
	if len(datagram) < header {
		return nil, false
	}
	length := int(datagram[2])<<8 | int(datagram[3])
	if length < header || length > len(datagram) || length > radius.MaxPacketLength {
		return nil, false
	}
	return datagram[:length], true
}

func (r *RADIUS) allowed(addr netip.Addr) bool {
	for _, p := range r.opts.Clients {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// answerTo returns an Accounting-Response, with the proxies' state as it came
// (RFC 2865 section 5.33).
func answerTo(packet *radius.Packet) []byte {
	const proxyState = 33
	response := packet.Response(radius.CodeAccountingResponse)
	for _, a := range packet.Attributes {
		if a.Type == proxyState {
			response.Attributes = append(response.Attributes, a)
		}
	}
	encoded, err := response.Encode()
	if err != nil {
		return nil
	}
	return encoded
}

// take does what a request says.
func (r *RADIUS) take(packet *radius.Packet, nas netip.Addr, bad func(what, fix string), to Sink) {
	s := r.servers[nas]
	if s == nil {
		s = newServer(r.opts.Name + "/" + nas.String())
		r.servers[nas] = s
	}
	at := happened(packet, r.now())
	switch kind := rfc2866.AcctStatusType_Get(packet); kind {
	case rfc2866.AcctStatusType_Value_Start, rfc2866.AcctStatusType_Value_InterimUpdate:
		if !s.up(packet, at, to) {
			bad("a session without an Acct-Session-Id, or one too many", "let the access server send it (RFC 2866 section 5.5)")
		}
	case rfc2866.AcctStatusType_Value_Stop:
		s.down(packet, at, to)
	case rfc2866.AcctStatusType_Value_AccountingOn, rfc2866.AcctStatusType_Value_AccountingOff:
		s.restart(at, to)
	default:
		// Tunnels and links, failed calls: answered, and nothing to us.
	}
}

// happened returns when it happened: the access server says how long it has tried
// to tell (RFC 2866 section 5.2). Its clock is not asked.
func happened(packet *radius.Packet, now time.Time) time.Time {
	delay := time.Duration(rfc2866.AcctDelayTime_Get(packet)) * time.Second
	return now.Add(-min(delay, aDay))
}

// tidy ends what was not heard of for too long.
func (r *RADIUS) tidy(to Sink) {
	for _, s := range r.servers {
		s.tidy(r.now(), r.opts.Silence, to)
	}
}
