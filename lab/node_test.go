// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestDoRunsInTheNode(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	here := func() namespaceID {
		id, err := statNamespace("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return id
	}
	home := here() // not /proc/self: the main thread may be visiting a node
	errWanted := errors.New("wanted")
	err := n.Static.Do(func() error {
		if here() != n.Static.id {
			t.Error("Do is not in its node")
		}
		err := n.Dynamic.Do(func() error {
			if here() != n.Dynamic.id {
				t.Error("inner Do is not in its node")
			}
			return errWanted
		})
		if here() != n.Static.id {
			t.Error("outer Do left its node")
		}
		return err
	})
	if !errors.Is(err, errWanted) {
		t.Errorf("Do = %v, want fn's error", err)
	}
	if here() != home {
		t.Error("the caller was moved")
	}
	if err := n.Static.Do(func() error { runtime.Goexit(); return nil }); !errors.Is(err, errAborted) {
		t.Errorf("Do of a function that does not return = %v", err)
	}
}

func TestDialAndListen(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	for _, f := range n.Families() {
		address := netip.AddrPortFrom(f.Addrs().Web, 8080).String()
		listener, err := n.Internet.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := n.Dynamic.Dial(testContext(t), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		client := netip.MustParseAddrPort(accepted.RemoteAddr().String())
		if client.Addr() != f.Addrs().Dynamic {
			t.Errorf("%s: the server sees %s, want the dynamic subscriber", f, client)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDialWantsAnAddress(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	_, err := n.Dynamic.Dial(t.Context(), "tcp", "localhost:25")
	if err == nil || !strings.Contains(err.Error(), n.Dynamic.Name()) {
		t.Errorf("Dial with a name: %v", err)
	}
}

func TestDialFollowsItsContext(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	if err := n.Transit.SetLinkDown(LinkTransitInternet); err != nil {
		t.Fatal(err)
	}
	if err := n.Transit.SetSysctl("net.ipv4.ip_forward", "0"); err != nil { // silence instead of an ICMP error
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := n.Dynamic.Dial(ctx, "tcp", "203.0.113.25:25")
	if err == nil || ctx.Err() == nil || time.Since(start) > time.Second {
		t.Errorf("Dial = %v after %s", err, time.Since(start))
	}
}

func TestSysctlErrors(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, Options{})
	if _, err := n.Gateway.Sysctl("net.ipv4.nosuch"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Sysctl: %v, want os.ErrNotExist", err)
	}
	if err := n.Gateway.SetSysctl("net.ipv4.nosuch", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("SetSysctl: %v, want os.ErrNotExist", err)
	}
}
