// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// KeaSocket is a source that asks a Kea server for its leases over the server's
// control socket, page by page. It needs Kea's hook library lease_cmds. Unlike the
// file, the socket tells what holds at the moment, whatever database Kea has.
type KeaSocket struct {
	name, path string
	now        func() time.Time
	least      time.Duration // between two readings
	page       int           // leases asked for at once
}

const (
	// askEvery is the least time between two readings.
	askEvery = 10 * time.Second
	// share is how many times as long as a reading took the source leaves Kea alone:
	// a million leases must not keep it from its clients.
	share = 10
	// leasesPerPage is how many leases are asked for at once.
	leasesPerPage = 1000
	// mostAnswer is the longest answer that is read, in bytes.
	mostAnswer = 16 << 20
	// answerTime is how long Kea may take for one answer.
	answerTime = 10 * time.Second
)

// Results of Kea's commands.
const (
	keaSuccess     = 0
	keaUnsupported = 2
	keaEmpty       = 3
)

// ErrNoLeaseCommands is the error of a [KeaSocket] whose server has not loaded the
// hook library lease_cmds. Load it, or read the lease file.
var ErrNoLeaseCommands = errors.New("this Kea server does not know the command lease4-get-page or lease6-get-page: " +
	"load libdhcp_lease_cmds.so in its hooks-libraries, or use kind kea with its lease file")

// NewKeaSocket returns a source that asks the server, of IPv4 or IPv6, that listens
// on a unix socket.
func NewKeaSocket(name, path string) *KeaSocket {
	return &KeaSocket{name: name, path: path, now: time.Now, least: askEvery, page: leasesPerPage}
}

// Name returns the source's name.
func (k *KeaSocket) Name() string { return k.name }

// Run asks again and again until the context ends.
func (k *KeaSocket) Run(ctx context.Context, to Sink) error {
	for {
		begun := k.now()
		err := k.readAll(ctx, to)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		to.Asked(k.name, k.now(), err)
		if !pause(ctx, max(k.least, share*k.now().Sub(begun))) {
			return ctx.Err()
		}
	}
}

// readAll asks for all leases of both families: a server of one says that it has
// none of the other.
func (k *KeaSocket) readAll(ctx context.Context, to Sink) error {
	r := to.Read(k.name)
	known := 0
	for _, command := range []string{"lease4-get-page", "lease6-get-page"} {
		switch err := k.readPages(ctx, command, r); {
		case err == nil:
			known++
		case !errors.Is(err, ErrNoLeaseCommands):
			return err
		}
	}
	if known == 0 {
		return ErrNoLeaseCommands
	}
	r.Commit(k.now())
	return nil
}

// readPages asks for one page after another until one is empty.
func (k *KeaSocket) readPages(ctx context.Context, command string, r Reading) error {
	from := "start"
	for {
		answer, err := k.ask(ctx, keaCommand{command, keaPage{from, k.page}})
		switch {
		case err != nil:
			return err
		case answer.Result == keaUnsupported:
			return ErrNoLeaseCommands
		case answer.Result == keaEmpty || answer.Result == keaSuccess && len(answer.Arguments.Leases) == 0:
			return nil
		case answer.Result != keaSuccess:
			return fmt.Errorf("ask Kea for %s: it says %d, %q", command, answer.Result, clean(answer.Text))
		}
		for i := range answer.Arguments.Leases {
			k.take(&answer.Arguments.Leases[i], r)
		}
		last := answer.Arguments.Leases[len(answer.Arguments.Leases)-1].Address
		// Pages are in the order of addresses; else this would have no end.
		if !after(last, from) {
			return fmt.Errorf("ask Kea for %s: the page from %s ends at %q, which is not behind it", command, from, clean(last))
		}
		from = last
	}
}

// after reports whether an address comes after another; every one does after
// "start".
func after(addr, from string) bool {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	f, err := netip.ParseAddr(from)
	return err != nil || f.Less(a)
}

type keaCommand struct {
	Command   string  `json:"command"`
	Arguments keaPage `json:"arguments"`
}

type keaPage struct {
	From  string `json:"from"`
	Limit int    `json:"limit"`
}

type keaAnswer struct {
	Result    int    `json:"result"`
	Text      string `json:"text"`
	Arguments struct {
		Leases []keaLease `json:"leases"`
	} `json:"arguments"`
}

type keaLease struct {
	Address   string `json:"ip-address"`
	PrefixLen int    `json:"prefix-len"`
	Type      string `json:"type"`
	HWAddress string `json:"hw-address"`
	ClientID  string `json:"client-id"`
	DUID      string `json:"duid"`
	Hostname  string `json:"hostname"`
	State     int    `json:"state"`
	CLTT      int64  `json:"cltt"`
	Lifetime  int64  `json:"valid-lft"`
}

// take makes a lease of one of Kea's.
func (k *KeaSocket) take(l *keaLease, r Reading) {
	bad := func(what, text string) { r.Bad(Problem{File: k.path, What: what, Text: text}) }
	addr, err := netip.ParseAddr(l.Address)
	if err != nil || addr.Zone() != "" {
		bad("not an address", l.Address)
		return
	}
	bits := addr.BitLen()
	if l.Type == "IA_PD" {
		bits = l.PrefixLen
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		bad("not the length of a prefix", fmt.Sprint(bits))
		return
	}
	if l.State != 0 && fmt.Sprint(l.State) != keaRegistered {
		r.Gone(prefix)
		return
	}
	held := Lease{
		Prefix: prefix, Hostname: l.Hostname, Start: time.Unix(l.CLTT, 0),
		Holder: cmp.Or(l.DUID, l.HWAddress, l.ClientID),
	}
	if l.Lifetime != keaInfinite {
		held.End = time.Unix(l.CLTT+l.Lifetime, 0)
	}
	r.Hold(held)
}

// ask sends one command. Kea closes the connection behind its answer.
func (k *KeaSocket) ask(ctx context.Context, command keaCommand) (answer keaAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", k.path)
	if err != nil {
		return answer, fmt.Errorf("ask Kea: %w: name the control-socket of the server's configuration", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(command); err != nil {
		return answer, fmt.Errorf("ask Kea: %w", err)
	}
	if err := json.NewDecoder(io.LimitReader(conn, mostAnswer)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("read Kea's answer: %w", err)
	}
	return answer, nil
}
