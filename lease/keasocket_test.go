// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeKea answers commands on a unix socket.
func fakeKea(t *testing.T, answer func(keaCommand) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kea.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var c keaCommand
			_ = json.NewDecoder(conn).Decode(&c)
			_, _ = conn.Write([]byte(answer(c)))
			conn.Close()
		}
	}()
	return path
}

// pages answers as a Kea of IPv4 does that has so many leases.
func pages(n int) func(keaCommand) string {
	return func(c keaCommand) string {
		if c.Command == "lease6-get-page" {
			return `{"arguments":{"count":0,"leases":[]},"result":3,"text":"0 IPv6 lease(s) found."}`
		}
		from := netip.MustParseAddr("10.0.0.0")
		if c.Arguments.From != "start" {
			from = netip.MustParseAddr(c.Arguments.From)
		}
		first := int(from.As4()[2])<<8 | int(from.As4()[3])
		var leases []string
		for i := first + 1; i <= n && len(leases) < c.Arguments.Limit; i++ {
			leases = append(leases, fmt.Sprintf(`{"cltt":1795543010,"hostname":"h%d","hw-address":"aa:%02x","ip-address":"10.0.%d.%d","state":%d,"valid-lft":%d}`,
				i, i, i>>8, i&255, i/(n-1)%2, uint32(keaInfinite)))
		}
		result := keaSuccess
		if len(leases) == 0 {
			result = keaEmpty
		}
		return fmt.Sprintf(`{"arguments":{"leases":[%s]},"result":%d}`, strings.Join(leases, ","), result)
	}
}

func TestKeaSocket(t *testing.T) {
	t.Parallel()
	d := newDesk()
	k := NewKeaSocket("k", fakeKea(t, pages(1000)))
	k.now = func() time.Time { return d.now }
	k.page = 7
	if err := k.readAll(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if d.Len() != 998 || d.holder("10.0.1.0") != "k 10.0.1.0/32 aa:100" { // the last two are declined
		t.Errorf("%d leases, %q", d.Len(), d.holder("10.0.1.0"))
	}
	if l, _ := d.Lookup(netip.MustParseAddr("10.0.0.1")); !l.End.IsZero() || l.Hostname != "h1" {
		t.Errorf("%+v", l)
	}
}

// What a server of IPv6 answers, as Kea 2.2.0 wrote it.
func TestKeaSocketIPv6(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.now = time.Unix(1795543020, 0)
	k := NewKeaSocket("k", fakeKea(t, func(c keaCommand) string {
		if c.Command == "lease4-get-page" || c.Arguments.From != "start" {
			return `{ "arguments": { "count": 0, "leases": [  ] }, "result": 3, "text": "0 lease(s) found." }`
		}
		return `{ "arguments": { "count": 2, "leases": [ { "cltt": 1795543019, "duid": "00:01:00:01:32", "fqdn-fwd": false, "fqdn-rev": false, "hostname": "", "hw-address": "52:54:00:12:34:56", "iaid": 1193046, "ip-address": "2001:db8::150", "preferred-lft": 60, "state": 0, "subnet-id": 1, "type": "IA_NA", "valid-lft": 120 }, { "cltt": 1795543019, "duid": "00:01:00:01:33", "ip-address": "2001:db8:1::", "preferred-lft": 60, "prefix-len": 56, "state": 0, "subnet-id": 1, "type": "IA_PD", "user-context": { "a": [1] }, "valid-lft": 120 } ] }, "result": 0, "text": "2 IPv6 lease(s) found." }`
	}))
	k.now = func() time.Time { return d.now }
	if err := k.readAll(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got := d.holder("2001:db8::150"); got != "k 2001:db8::150/128 00:01:00:01:32" {
		t.Error(got)
	}
	if got := d.holder("2001:db8:1:77::1"); got != "k 2001:db8:1::/56 00:01:00:01:33" {
		t.Error(got)
	}
}

// A server that answers badly changes nothing, and the error says what to do.
func TestKeaSocketWrong(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"result":2,"text":"'lease4-get-page' command not supported."}`: "load libdhcp_lease_cmds.so",
		`{"result":1,"text":"no\u001b[2J way"}`:                          `it says 1, "no?[2J way"`,
		`{"result":0,"arguments":{"leases":[{"ip-address":"10.0.0.1"`:    "read Kea's answer",
		``:                     "read Kea's answer",
		`[1]`:                  "read Kea's answer",
		`{"result":"success"}`: "read Kea's answer",
		`{"result":0,"arguments":{"leases":[{"ip-address":"10.0.0.1"}]}}`:   "not behind it",
		`{"result":0,"arguments":{"leases":[{"ip-address":"no address"}]}}`: "not behind it",
		`{"result":0,"arguments":{"leases":"` + strings.Repeat("x", 17<<20): "read Kea's answer",
	} {
		d := newDesk()
		d.say(Granted, "k", "192.0.2.1/32", "alice", 0)
		d.take()
		k := NewKeaSocket("k", fakeKea(t, func(keaCommand) string { return answer }))
		if err := k.readAll(t.Context(), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %s", answer, err, want)
		}
		d.want(t)
	}
	k := NewKeaSocket("k", filepath.Join(t.TempDir(), "none"))
	if err := k.readAll(t.Context(), newDesk()); err == nil || !strings.Contains(err.Error(), "name the control-socket") {
		t.Error(err)
	}
	k = NewKeaSocket("k", fakeKea(t, func(keaCommand) string { return `{"result":2}` }))
	if err := k.readAll(t.Context(), newDesk()); !errors.Is(err, ErrNoLeaseCommands) {
		t.Error(err)
	}
}

func TestKeaSocketRuns(t *testing.T) {
	t.Parallel()
	b := NewBook(Options{})
	k := NewKeaSocket("k", fakeKea(t, pages(100)))
	k.least = time.Millisecond
	runBook(t, b, k)
	await(t, func() bool { return b.Len() == 98 })
}
