// SPDX-License-Identifier: Apache-2.0

package census

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Which replies nobody has asked for.
func TestUnsolicited(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	called := func(at time.Duration, o Outcome) func(*Book) {
		return func(b *Book) {
			a := try(after(at), alice, mx1)
			a.Outcome = o
			b.Add(a)
		}
	}
	reply := func(at time.Duration, kind ReplyKind) func(*Book) {
		return func(b *Book) {
			b.AddReply(Reply{Time: after(at), Pool: "home", Subscriber: alice, Peer: mx1, Kind: kind})
		}
	}
	for _, row := range []struct {
		name  string
		steps []func(*Book)
		want  Unsolicited
	}{
		{"nobody called", []func(*Book){reply(0, ReplySYNACK), reply(0, ReplyData), reply(0, ReplyData), reply(0, ReplyReset)},
			Unsolicited{SYNACKs: 1, Resets: 1, Data: 2, Peers: 1, DataPeers: 1}},
		{"only forged SYNs", []func(*Book){reply(0, ReplySYNACK), reply(0, ReplyReset)}, Unsolicited{SYNACKs: 1, Resets: 1, Peers: 1}},
		{"called", []func(*Book){called(0, Exempt), reply(0, ReplySYNACK), reply(minute, ReplyData)}, Unsolicited{}},
		{"called, refused", []func(*Book){called(0, Refused), reply(0, ReplySYNACK)}, Unsolicited{}},
		{"called afterward", []func(*Book){reply(0, ReplySYNACK), called(1, Exempt), reply(2, ReplySYNACK)}, Unsolicited{SYNACKs: 1, Peers: 1}},
		{"another called", []func(*Book){func(b *Book) { b.Add(try(noon, bob, mx1)) }, reply(0, ReplyReset)}, Unsolicited{Resets: 1, Peers: 1}},
		{"called another", []func(*Book){func(b *Book) { b.Add(try(noon, alice, mx2)) }, reply(0, ReplyReset)}, Unsolicited{Resets: 1, Peers: 1}},
		{"called two hours ago", []func(*Book){called(0, Exempt), reply(120*minute, ReplyData)}, Unsolicited{}},
		{"called longer ago", []func(*Book){called(0, Exempt), reply(121*minute, ReplyData)}, Unsolicited{Data: 1, Peers: 1, DataPeers: 1}},
		{"a session of six hours", []func(*Book){called(0, Exempt), reply(90*minute, ReplyData), reply(180*minute, ReplyData),
			reply(270*minute, ReplyData), reply(360*minute, ReplyData)}, Unsolicited{}},
		{"called at the end of the hour before", []func(*Book){called(59*minute, Exempt), called(61*minute, Exempt), reply(62*minute, ReplyData)},
			Unsolicited{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := NewBook(Options{})
			for _, step := range row.steps {
				step(b)
			}
			r, _ := b.Subscriber(alice)
			if d := cmp.Diff(row.want, r.Unsolicited); d != "" {
				t.Error(d)
			}
		})
	}
}

// A reply to a session that has been open for a while does not make the next
// connection a retry of the first.
func TestReplyDoesNotFold(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{})
	b.Add(try(noon, alice, mx1))
	b.AddReply(Reply{Time: after(115 * time.Second), Subscriber: alice, Peer: mx1, Kind: ReplyData})
	b.AddReply(Reply{Time: after(125 * time.Second), Subscriber: alice, Peer: mx1, Kind: ReplyData})
	b.Add(try(after(130*time.Second), alice, mx1))
	if r := of(t, b, alice); r.Total() != 2 {
		t.Errorf("%d attempts, want 2", r.Total())
	}
}

// Peers stop counting at 1024, replies do not.
func TestManyPeers(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{})
	for i := range 5000 {
		b.AddReply(Reply{Time: noon, Subscriber: alice, Peer: server(i), Kind: ReplySYNACK})
		if i%2 == 0 {
			b.AddReply(Reply{Time: noon, Subscriber: alice, Peer: server(i), Kind: ReplyData})
		}
	}
	want := Unsolicited{SYNACKs: 5000, Data: 2500, Peers: mostPeers, DataPeers: mostPeers / 2}
	if d := cmp.Diff(want, of(t, b, alice).Unsolicited); d != "" {
		t.Error(d)
	}
}

// Nobody who calls more than is remembered, or for whom there is no room, is accused.
func TestUnsolicitedCannotTell(t *testing.T) {
	t.Parallel()
	scanned := NewBook(Options{})
	for i := range 50_000 {
		scanned.Add(try(noon, alice, server(i)))
	}
	for i := range 50_000 {
		scanned.AddReply(Reply{Time: after(time.Second), Subscriber: alice, Peer: server(i), Kind: ReplyReset})
	}
	if u := of(t, scanned, alice).Unsolicited; u != (Unsolicited{}) {
		t.Errorf("%+v", u)
	}
	full := NewBook(Options{Subscribers: 1})
	full.Add(try(noon, bob, mx1))
	full.Add(try(noon, alice, mx1))
	full.Tick(after(time.Hour)) // there is room again
	full.AddReply(Reply{Time: after(61 * time.Minute), Subscriber: alice, Peer: mx1, Kind: ReplyReset})
	if r, ok := full.Subscriber(alice); ok {
		t.Errorf("%+v", r)
	}
	full.AddReply(Reply{Time: after(61 * time.Minute), Subscriber: alice, Peer: mx2, Kind: ReplyReset})
	if u := of(t, full, alice).Unsolicited; u.Resets != 1 {
		t.Errorf("%+v of a peer that nobody has called", u)
	}
}

// Replies leave room for those who send.
func TestRepliesLeaveRoom(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{Subscribers: 10})
	for i := range 100 {
		b.AddReply(Reply{Time: noon, Subscriber: customer(i), Peer: mx1, Kind: ReplySYNACK})
	}
	for i := range 100 {
		b.Add(try(noon, customer(1000+i), mx1))
	}
	h := b.Health()
	if h.Subscribers != 10 || h.Overflowed != 95 || h.Attempts[Refused] != 100 {
		t.Errorf("%+v", h)
	}
}
