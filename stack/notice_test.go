// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"op25b/filter"
	ft "op25b/filter/filtertest"
)

const noticeText = "Use port 587"

func withNotice(o *Options, s *filter.Spec) {
	o.Notice = noticeText
	s.Pools[0].Response = filter.RespondNotice
}

// caller is a client of the notice, one segment at a time.
type caller struct {
	t        *testing.T
	b        *bench
	from, to string
	seq, ack uint32
}

func (c *caller) send(flags ft.Flags, data string) {
	pkt := ft.TCP(c.from, c.to).Flags(flags).Seq(c.seq).Ack(c.ack).Data(data)
	c.b.sub.in <- vnet(pkt.Checksum(ft.Partial).Bytes(), gsoNone, 0, len(pkt.Bytes())-20-len(data), 16)
	c.seq += uint32(len(data))
}

// next returns the next segment that has data or one of the flags.
func (c *caller) next(want header.TCPFlags) (flags header.TCPFlags, data string) {
	c.t.Helper()
	for {
		_, _, tcp := segment(take(c.t, c.b.sub)[HeaderSize:])
		if len(tcp.Payload()) == 0 && tcp.Flags()&want == 0 {
			continue
		}
		c.ack = tcp.SequenceNumber() + uint32(len(tcp.Payload()))
		if tcp.Flags()&(header.TCPFlagSyn|header.TCPFlagFin) != 0 {
			c.ack++
		}
		return tcp.Flags(), string(tcp.Payload())
	}
}

// dial opens a connection and returns the greeting.
func (c *caller) dial() string {
	c.t.Helper()
	c.send(ft.SYN, "")
	if flags, _ := c.next(header.TCPFlagSyn | header.TCPFlagRst); !flags.Contains(header.TCPFlagSyn | header.TCPFlagAck) {
		c.t.Fatalf("answered %s, want SYN and ACK", flags)
	}
	c.seq++
	c.send(ft.ACK, "")
	_, greeting := c.next(0)
	c.send(ft.ACK, "")
	return greeting
}

func TestNotice(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string][2]string{
		"IPv4": {dynamic4 + ":40000", server4 + ":25"},
		"IPv6": {"[" + dynamic6 + "]:40000", "[" + server6 + "]:25"},
	} {
		for _, established := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, every segment judged %v", name, established), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, func(o *Options, s *filter.Spec) {
					withNotice(o, s)
					s.JudgeEstablished = established
				})
				c := &caller{t: t, b: b, from: ends[0], to: ends[1], seq: 1000}
				if got, want := c.dial(), "554 5.7.1 "+noticeText+"\r\n"; got != want {
					t.Errorf("greeted with %q, want %q", got, want)
				}
				c.send(ft.ACK|ft.PSH, "MAIL FROM:<>\r\n")
				if _, got := c.next(0); !strings.HasPrefix(got, "503 5.5.1 ") {
					t.Errorf("MAIL is answered %q, want 503", got)
				}
				c.send(ft.ACK|ft.PSH, "quit\r\n")
				if _, got := c.next(0); got != "221 2.0.0 Bye\r\n" {
					t.Errorf("QUIT is answered %q, want 221", got)
				}
				silent(t, b.up)
				if got := b.router.Notice(); got.Greeted != 1 || got.FellBack != 0 {
					t.Errorf("%+v, want one greeted", got)
				}
			})
		}
	}
}

// What is too much for the notice gets the RST that it would have got without one.
func TestNoticeFallsBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, withNotice)
	for i := range noticeEach + 2 {
		c := &caller{t: t, b: b, from: fmt.Sprintf("%s:%d", dynamic4, 40000+i), to: server4 + ":25", seq: 1000}
		c.send(ft.SYN, "")
		want := header.TCPFlagSyn | header.TCPFlagAck
		if i >= noticeEach {
			want = header.TCPFlagRst | header.TCPFlagAck
		}
		if flags, _ := c.next(header.TCPFlagSyn | header.TCPFlagRst); flags != want {
			t.Errorf("connection %d is answered %s, want %s", i, flags, want)
		}
	}
	if got, want := b.router.Notice(), (NoticeStats{Open: noticeEach, FellBack: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b.router.notice.sweep(farFuture())
	if got := b.router.Notice().Open; got != 0 || len(b.router.notice.each) != 0 {
		t.Errorf("%d open once all are over, and %d subscribers", got, len(b.router.notice.each))
	}
	silent(t, b.up)
}

// Segments of other connections go their way: those that were open before.
func TestNoticeLeavesOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, withNotice)
	c := &caller{t: t, b: b, from: dynamic4 + ":40000", to: server4 + ":25", seq: 1000}
	c.dial()
	other := ft.TCP(dynamic4+":40001", server4+":25").Flags(ft.ACK).TTL(63)
	b.sub.in <- plain(other.Bytes())
	if got, want := take(t, b.up), plain(other.TTL(64).Bytes()); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	// And SYNs from pools without a notice, through extension headers too, are reset.
	hidden := ft.TCP("["+dynamic6+"]:1", "["+server6+"]:25").Chain(ft.DestOpts(8))
	b.sub.in <- plain(hidden.Bytes())
	for {
		_, _, tcp := segment(take(t, b.sub)[HeaderSize:])
		if tcp.Flags().Contains(header.TCPFlagRst) {
			break
		}
	}
}

// Without a text there is none, whatever the policy says.
func TestNoNotice(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(_ *Options, s *filter.Spec) { s.Pools[0].Response = filter.RespondNotice })
	b.sub.in <- plain(ft.TCP(dynamic4+":40000", server4+":25").Bytes())
	if got := b.fates(1)[AnsweredReset]; got != 1 {
		t.Errorf("%d reset, want 1", got)
	}
	if got := b.router.Notice(); got != (NoticeStats{}) {
		t.Errorf("%+v, want nothing", got)
	}
}

// With a text, still only those are told whose pool asks for it.
func TestNoticeOfPools(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options, _ *filter.Spec) { o.Notice = noticeText })
	b.sub.in <- plain(ft.TCP(dynamic4+":40000", server4+":25").Bytes())
	if got := b.fates(1)[AnsweredReset]; got != 1 {
		t.Errorf("%d reset, want 1", got)
	}
	if got := b.router.Notice(); got != (NoticeStats{}) {
		t.Errorf("%+v, want nothing", got)
	}
}

// TestNoticeTalks has clients of all kinds.
func TestNoticeTalks(t *testing.T) {
	t.Parallel()
	const greeting, bye, no = "554 5.7.1 x\r\n", "221 2.0.0 Bye\r\n", "503 5.5.1 Bad sequence of commands: only QUIT is accepted here\r\n"
	for _, tc := range []struct{ name, says, hears string }{
		{"quits", "QUIT\r\n", greeting + bye},
		{"speaks in lower case, and with an argument", "quit now\n", greeting + bye},
		{"greets first", "EHLO me\r\nQUIT\r\n", greeting + no + bye},
		{"sends mail all the same", "HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUITTER\r\nQUIT\r\n", greeting + strings.Repeat(no, 5) + bye},
		{"never ends a line", strings.Repeat("x", 3*noticeLine), greeting},
		{"never ends", strings.Repeat("NOOP\r\n", 3*noticeLines), greeting + strings.Repeat(no, noticeLines)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := net.Pipe()
			n := &notice{}
			text := "x"
			n.text.Store(&text)
			go func() {
				defer ours.Close()
				n.talk(ours)
			}()
			go func() {
				for line := range strings.SplitAfterSeq(tc.says, "\n") {
					if _, err := theirs.Write([]byte(line)); err != nil {
						return
					}
				}
			}()
			var heard strings.Builder
			_, _ = bufio.NewReader(theirs).WriteTo(&heard) // until either hangs up
			if got := heard.String(); got != tc.hears {
				t.Errorf("heard %q, want %q", got, tc.hears)
			}
		})
	}
}

func TestFlowOf(t *testing.T) {
	t.Parallel()
	for name, pkt := range map[string][]byte{
		"UDP":                       ft.UDP(dynamic4+":1", server4+":25").Bytes(),
		"behind an extension":       ft.TCP("["+dynamic6+"]:1", "["+server6+"]:25").Chain(ft.DestOpts(8)).Bytes(),
		"cut off in the TCP header": ft.TCP(dynamic4+":1", server4+":25").Bytes()[:30],
	} {
		if f, ok := flowOf(pkt); ok {
			t.Errorf("%s: %v", name, f)
		}
	}
}
