// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"bytes"
	"crypto/md5"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc3162"
	"layeh.com/radius/rfc4818"
	"layeh.com/radius/rfc6911"
)

var (
	secret = []byte("testing123")
	nas    = netip.MustParseAddrPort("192.0.2.10:1646")
)

// bras is a RADIUS source that is given datagrams by hand.
type bras struct {
	*desk
	t      testing.TB
	source *RADIUS
	number byte
}

func newBRAS(t testing.TB) *bras {
	t.Helper()
	source, err := NewRADIUS(RADIUSOptions{
		Name: "bras", Listen: netip.MustParseAddrPort("127.0.0.1:0"), Secret: secret,
		Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32"), netip.MustParsePrefix("192.0.2.12/31"), netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bras{desk: newDesk(), t: t, source: source}
	source.now = func() time.Time { return b.now }
	return b
}

// request makes a request with the attributes that the functions add.
func (b *bras) request(status rfc2866.AcctStatusType, add ...func(*radius.Packet) error) []byte {
	b.t.Helper()
	p := radius.New(radius.CodeAccountingRequest, secret)
	b.number++
	p.Identifier = b.number
	for _, f := range append(add, func(p *radius.Packet) error { return rfc2866.AcctStatusType_Set(p, status) }) {
		if err := f(p); err != nil {
			b.t.Fatal(err)
		}
	}
	encoded, err := p.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	return encoded
}

// send sends a request from the first access server and wants an answer.
func (b *bras) send(status rfc2866.AcctStatusType, add ...func(*radius.Packet) error) {
	b.t.Helper()
	b.sendFrom(nas, status, add...)
}

func (b *bras) sendFrom(from netip.AddrPort, status rfc2866.AcctStatusType, add ...func(*radius.Packet) error) {
	b.t.Helper()
	request := b.request(status, add...)
	answer := b.source.receive(request, from, b)
	if !radius.IsAuthenticResponse(answer, request, secret) {
		b.t.Errorf("answer %x", answer)
	}
}

const (
	start   = rfc2866.AcctStatusType_Value_Start
	stop    = rfc2866.AcctStatusType_Value_Stop
	interim = rfc2866.AcctStatusType_Value_InterimUpdate
)

func session1(p *radius.Packet) error { return rfc2866.AcctSessionID_SetString(p, "1") }
func session2(p *radius.Packet) error { return rfc2866.AcctSessionID_SetString(p, "2") }
func user(name string) func(*radius.Packet) error {
	return func(p *radius.Packet) error { return rfc2865.UserName_SetString(p, name) }
}

func address(addr string) func(*radius.Packet) error {
	return func(p *radius.Packet) error { return rfc2865.FramedIPAddress_Set(p, net.ParseIP(addr)) }
}

func delegated(prefix string) func(*radius.Packet) error {
	return func(p *radius.Packet) error {
		_, n, err := net.ParseCIDR(prefix)
		if err != nil {
			return err
		}
		return rfc4818.DelegatedIPv6Prefix_Set(p, n)
	}
}

func framed(prefix string) func(*radius.Packet) error {
	return func(p *radius.Packet) error {
		_, n, err := net.ParseCIDR(prefix)
		if err != nil {
			return err
		}
		return rfc3162.FramedIPv6Prefix_Set(p, n)
	}
}

func delay(seconds uint32) func(*radius.Packet) error {
	return func(p *radius.Packet) error {
		return rfc2866.AcctDelayTime_Set(p, rfc2866.AcctDelayTime(seconds))
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	b := newBRAS(t)
	b.send(start, session1, user("alice"), address("100.64.0.1"), framed("2001:db8:1::/64"), delegated("2001:db8:2::/56"), delay(5))
	b.want(t, "07:59:55 granted bras/192.0.2.10 100.64.0.1/32 alice",
		"07:59:55 granted bras/192.0.2.10 2001:db8:1::/64 alice", "07:59:55 granted bras/192.0.2.10 2001:db8:2::/56 alice")
	b.after(10 * time.Minute)
	b.send(interim, session1, user("alice"), address("100.64.0.1"))
	b.want(t)
	b.after(50 * time.Minute)
	b.send(interim, session1, user("alice"), address("100.64.0.1")) // the prefixes are not repeated, and still there
	b.want(t, "09:00:00 renewed bras/192.0.2.10 100.64.0.1/32 alice",
		"09:00:00 renewed bras/192.0.2.10 2001:db8:1::/64 alice", "09:00:00 renewed bras/192.0.2.10 2001:db8:2::/56 alice")
	b.send(interim, session1, user("alice"), address("100.64.0.9")) // another address
	b.want(t, "09:00:00 released bras/192.0.2.10 100.64.0.1/32 alice", "09:00:00 granted bras/192.0.2.10 100.64.0.9/32 alice")
	b.send(stop, session1)
	b.want(t, "09:00:00 released bras/192.0.2.10 100.64.0.9/32 alice",
		"09:00:00 released bras/192.0.2.10 2001:db8:1::/64 alice", "09:00:00 released bras/192.0.2.10 2001:db8:2::/56 alice")
	b.send(start, session1, user("alice"), address("100.64.0.9"), delay(60)) // came too late
	b.send(stop, session2)                                                   // nobody knows it
	b.send(start, session2)                                                  // no address yet
	b.want(t)
	b.after(time.Minute)
	b.send(interim, session2, user("carol"), func(p *radius.Packet) error { return rfc6911.FramedIPv6Address_Set(p, net.ParseIP("2001:db8::7")) })
	b.want(t, "09:01:00 granted bras/192.0.2.10 2001:db8::7/128 carol")
}

// The user connects again, with the same address, before the old session's stop
// comes in.
func TestReconnect(t *testing.T) {
	t.Parallel()
	b := newBRAS(t)
	b.send(start, session1, user("alice"), address("100.64.0.1"))
	b.after(time.Minute)
	b.send(start, session2, user("alice"), address("100.64.0.1"))
	b.want(t, "08:00:00 granted bras/192.0.2.10 100.64.0.1/32 alice",
		"08:01:00 released bras/192.0.2.10 100.64.0.1/32 alice", "08:01:00 granted bras/192.0.2.10 100.64.0.1/32 alice")
	b.send(stop, session1, user("alice"), address("100.64.0.1"))
	b.want(t)
	if got := b.holder("100.64.0.1"); got != "bras/192.0.2.10 100.64.0.1/32 alice" {
		t.Error(got)
	}
}

func TestAccountingOn(t *testing.T) {
	t.Parallel()
	for _, status := range []rfc2866.AcctStatusType{rfc2866.AcctStatusType_Value_AccountingOn, rfc2866.AcctStatusType_Value_AccountingOff} {
		b := newBRAS(t)
		other := netip.MustParseAddrPort("[::ffff:192.0.2.12]:9")
		b.send(start, session1, user("alice"), address("100.64.0.1"))
		b.sendFrom(addrPortOf(net.UDPAddrFromAddrPort(other)), start, session1, user("bob"), address("100.64.0.2"))
		b.take()
		b.send(status)
		b.want(t, "08:00:00 all gone bras/192.0.2.10")
		b.send(stop, session1)
		b.want(t)
		if got := b.holder("100.64.0.1") + b.holder("100.64.0.2"); got != "bras/192.0.2.12 100.64.0.2/32 bob" {
			t.Error(got)
		}
	}
}

func TestSilentSession(t *testing.T) {
	t.Parallel()
	b := newBRAS(t)
	b.send(start, session1, user("alice"), address("100.64.0.1"))
	b.send(start, session2, user("bob"), address("100.64.0.2"))
	b.send(stop, session2)
	b.take()
	b.after(aDay - time.Second)
	b.source.tidy(b)
	b.want(t)
	b.after(time.Second)
	b.source.tidy(b)
	b.want(t, "08:00:00 released bras/192.0.2.10 100.64.0.1/32 alice")
	if n := b.source.servers[nas.Addr()].sessions.len(); n != 0 {
		t.Errorf("%d sessions", n)
	}
	if b.source.heard = dawn; b.source.silence() != nil {
		t.Error("a day is not too long")
	}
	b.after(time.Minute)
	if err := b.source.silence(); err == nil || !strings.Contains(err.Error(), "let them send it to 127.0.0.1:0") {
		t.Error(err)
	}
}

// A request that is sent again is answered again and counts once.
func TestRepeated(t *testing.T) {
	t.Parallel()
	b := newBRAS(t)
	request := b.request(start, session1, user("alice"), address("100.64.0.1"), func(p *radius.Packet) error {
		p.Attributes.Add(33, radius.Attribute("state of a proxy"))
		return nil
	})
	first := b.source.receive(request, nas, b)
	b.send(stop, session1)
	b.take()
	again := b.source.receive(append(bytes.Clone(request), "padding"...), nas, b)
	if !bytes.Equal(first, again) || !bytes.Contains(first, []byte("state of a proxy")) || !radius.IsAuthenticResponse(again, request, secret) {
		t.Errorf("%x\n%x", first, again)
	}
	b.want(t)
	for range 2 * mostAnswered { // no end of memory
		b.source.answered.before(netip.AddrPortFrom(nas.Addr(), uint16(b.number)), &radius.Packet{Identifier: b.number}, b.now)
		b.number++
	}
	if n := len(b.source.answered.seen); n > mostAnswered {
		t.Error(n)
	}
}

// What is not authentic or makes no sense is not answered and changes nothing.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	b := newBRAS(t)
	good := b.request(start, session1, user("mallory"), address("100.64.0.1"))
	changed := func(at int, to byte) []byte {
		c := bytes.Clone(good)
		c[at] = to
		return c
	}
	wrong := radius.New(radius.CodeAccountingRequest, []byte("guess"))
	wrong.Attributes = radius.Attributes{}
	wrongSecret, err := wrong.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		datagram []byte
		from     string
		want     string
	}{
		{good, "192.0.2.11:1", "accounting from 192.0.2.11: not on the list of access servers: add it to clients, if it is one"},
		{wrongSecret, "192.0.2.10:1", "accounting from 192.0.2.10: a wrong authenticator: use the same secret at both ends"},
		{changed(30, 'x'), "192.0.2.12:1", "a wrong authenticator"},
		{changed(4, good[4]+1), "192.0.2.13:1", "a wrong authenticator"},
		{changed(0, byte(radius.CodeAccessRequest)), "127.0.0.1:1", "not an Accounting-Request"},
		{changed(2, 9), "127.0.0.2:1", "not a RADIUS packet"},
		{changed(3, 3), "127.0.0.3:1", "not a RADIUS packet"},
		{good[:19], "127.0.0.4:1", "not a RADIUS packet"},
		{nil, "127.0.0.5:1", "not a RADIUS packet"},
	} {
		if answer := b.source.receive(test.datagram, netip.MustParseAddrPort(test.from), b); answer != nil {
			t.Errorf("%s: answered", test.want)
		}
		problems := b.Health()[0].Problems
		if last := problems[len(problems)-1].String(); !strings.Contains(last, test.want) {
			t.Errorf("got %s, want %s", last, test.want)
		}
	}
	b.want(t)
	if n := b.Health()[0].BadLines; n != 9 {
		t.Errorf("%d are counted", n)
	}
	b.send(start, user("nobody"), address("100.64.0.1")) // answered, or it would be sent for ever
	b.want(t)
	for _, addr := range []string{"0.0.0.0", "255.255.255.255", "255.255.255.254"} {
		b.send(start, session1, user("alice"), address(addr))
	}
	b.send(start, session1, user("alice"), framed("::/0"), delegated("::/0"))
	b.want(t)
	b.send(start, session1, address("100.64.0.1"), func(p *radius.Packet) error { return rfc2865.CallingStationID_SetString(p, "line\x00 7") })
	b.want(t, "08:00:00 granted bras/192.0.2.10 100.64.0.1/32 line? 7")
}

func TestRADIUSOptions(t *testing.T) {
	t.Parallel()
	if _, err := NewRADIUS(RADIUSOptions{Clients: []netip.Prefix{{}}}); err == nil || !strings.Contains(err.Error(), "no secret") {
		t.Error(err)
	}
	if _, err := NewRADIUS(RADIUSOptions{Secret: secret}); err == nil || !strings.Contains(err.Error(), "no access server") {
		t.Error(err)
	}
}

func TestRADIUSRuns(t *testing.T) {
	t.Parallel()
	b := newBRAS(t)
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.source.listen = func() (net.PacketConn, error) { return conn, nil }
	b.source.now = time.Now
	book := NewBook(Options{})
	runBook(t, book, b.source)
	packet := radius.New(radius.CodeAccountingRequest, secret)
	for _, f := range []func(*radius.Packet) error{session1, user("alice"), address("100.64.0.1"), func(p *radius.Packet) error { return rfc2866.AcctStatusType_Set(p, start) }} {
		if err := f(packet); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := radius.Exchange(t.Context(), packet, conn.LocalAddr().String())
	if err != nil || answer.Code != radius.CodeAccountingResponse {
		t.Fatal(answer, err)
	}
	if l, ok := book.Lookup(netip.MustParseAddr("100.64.0.1")); !ok || l.Holder != "alice" || l.Source != "bras/127.0.0.1" {
		t.Errorf("%+v", l)
	}
	await(t, func() bool { h := book.Health(); return len(h) == 1 && !h[0].Degraded() && h[0].Leases == 1 })
}

// sign puts the authenticator into a request (RFC 2866 section 3).
func sign(request []byte) {
	clear(request[4:20])
	sum := md5.Sum(append(bytes.Clone(request), secret...))
	copy(request[4:20], sum[:])
}
