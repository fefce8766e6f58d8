// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"op25b/config/input"
)

// keys are those that a source of the kind needs; it has no other ones.
func (k LeaseKind) keys() []string {
	switch k {
	case LeaseDnsmasq, LeaseISC, LeaseKea:
		return []string{"file"}
	case LeaseKeaSocket:
		return []string{"socket"}
	case LeaseRADIUS:
		return []string{"listen", "clients", "secret_file"}
	}
	return nil // decoding said so
}

// leasePlaces tell where something is that only one source may have.
type leasePlaces struct {
	names, files map[string]string
	listens      map[netip.AddrPort]string
}

func (v *validator) leases() {
	places := leasePlaces{names: map[string]string{}, files: map[string]string{}, listens: map[netip.AddrPort]string{}}
	for i, l := range v.Leases {
		path := fmt.Sprintf("leases[%d]", i)
		v.label(places.names, path+".name", l.Name)
		if l.Kind == "" {
			v.report(path+".kind", "is missing", "write "+oneOf(l.Kind.allowed()))
			continue
		}
		v.lease(places, path, l)
	}
}

// lease checks the keys that a source has, and those that it does not need.
func (v *validator) lease(places leasePlaces, path string, l LeaseSource) {
	for _, key := range []struct {
		name  string
		set   bool
		check func(path string)
	}{
		{"file", l.File != "", func(at string) { v.filePath(places.files, at, l.File) }},
		{"socket", l.Socket != "", func(at string) { v.leaseSocket(places.files, at, l.Socket) }},
		{"listen", l.Listen.IsValid(), func(at string) { v.listen(places.listens, at, l.Listen) }},
		{"clients", len(l.Clients) > 0, func(at string) { v.clients(at, l.Clients) }},
		// Sources may have one secret in common.
		{"secret_file", l.SecretFile != "", func(at string) { v.filePath(map[string]string{}, at, l.SecretFile) }},
	} {
		at := path + "." + key.name
		needed := slices.Contains(l.Kind.keys(), key.name)
		_, written := v.origin.lines[at]
		switch {
		case needed && !key.set && !written:
			v.report(at, "is missing", "write it; a source of kind "+string(l.Kind)+" needs "+and(l.Kind.keys()))
		case needed:
			key.check(at)
		case key.set || written:
			v.report(at, "is not for a source of kind "+string(l.Kind), "remove it; that kind needs "+and(l.Kind.keys()))
		}
	}
}

func (v *validator) leaseSocket(places map[string]string, path, name string) {
	if n := len(v.origin.resolve(name)); n > maxSocketPath {
		v.report(path, fmt.Sprintf("is %d bytes long", n), fmt.Sprintf("write a path of at most %d bytes", maxSocketPath))
		return
	}
	v.filePath(places, path, name)
}

// listen checks where accounting is received. To listen everywhere is allowed: who
// is listened to is said by clients.
func (v *validator) listen(places map[netip.AddrPort]string, path string, a netip.AddrPort) {
	switch {
	case !a.IsValid():
		return // decoding said so
	case a.Port() == 0:
		v.report(path, input.Quote(a.String())+" names no port", "write a port from 1 to 65535; 1813 is usual")
	case a.Addr().Is4In6():
		v.report(path, input.Quote(a.String())+" is an IPv4 address written as IPv6", "write "+netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String())
	case a.Addr().IsMulticast():
		v.report(path, input.Quote(a.String())+" is multicast", "write an address of this machine")
	default:
		seen(v, places, a, path, a.String())
	}
}

// clients checks whom accounting is taken from. Nobody by default: whoever could
// send it would say who had an address.
func (v *validator) clients(path string, clients []Client) {
	if len(clients) == 0 {
		v.report(path, "names nobody", "write the addresses of the access servers, as in [192.0.2.10]")
	}
	places := map[netip.Prefix]string{}
	for i, c := range clients {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !c.IsValid() {
			continue // decoding said so
		}
		// A server on this machine is the one that no subscriber can pretend to be.
		own := c.Addr().IsLoopback() && c.IsSingleIP()
		if what, fix := v.prefix(c.Prefix, "everyone could say who had an address"); what != "" && !own {
			v.report(at, what, fix)
			continue
		}
		seen(v, places, c.Prefix, at, c.String())
	}
}

// and lists words as a sentence does.
func and(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
