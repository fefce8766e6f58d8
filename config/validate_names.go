// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"op25b/config/input"
)

// maxInterfaceName is in bytes: the kernel's IFNAMSIZ without the final zero.
const maxInterfaceName = 15

func (v *validator) interfaces() {
	places := map[string]string{}
	if len(v.Interfaces.Subscriber) == 0 {
		v.report("interfaces.subscriber", "names no interface", "write where subscriber traffic enters, as in [eth1]")
	}
	for i, name := range v.Interfaces.Subscriber {
		v.interfaceName(places, fmt.Sprintf("interfaces.subscriber[%d]", i), name)
	}
	if v.Interfaces.Upstream == "" {
		v.report("interfaces.upstream", "names no interface", "write where traffic leaves, as in eth0")
	} else {
		v.interfaceName(places, "interfaces.upstream", v.Interfaces.Upstream)
	}
	v.tunnelName(places, "tunnel.subscriber", v.Tunnel.Subscriber)
	v.tunnelName(places, "tunnel.upstream", v.Tunnel.Upstream)
}

// tunnelName checks a name that we give; to the kernel a % in it is a pattern,
// and the interface would come up under another name.
func (v *validator) tunnelName(places map[string]string, path, name string) {
	if strings.Contains(name, "%") {
		v.report(path, "has a % in "+input.Quote(name), "write a name without it")
		return
	}
	v.interfaceName(places, path, name)
}

// interfaceName applies the kernel's rules (dev_valid_name) and ours: no
// interface has two parts to play.
func (v *validator) interfaceName(places map[string]string, path, name string) {
	const fix = "write a name as ip link shows it, 15 bytes at most"
	strange := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' || r == ':' }
	switch {
	case name == "":
		v.report(path, "is empty", fix)
	case len(name) > maxInterfaceName:
		v.report(path, input.Quote(name)+" is "+strconv.Itoa(len(name))+" bytes long", fix)
	case name == ".", name == "..", strings.ContainsFunc(name, strange):
		v.report(path, input.Quote(name)+" cannot be the name of an interface", fix)
	default:
		seen(v, places, name, path, name)
	}
}

// label checks the name of a pool or relay. It ends up in logs and on terminals.
func (v *validator) label(places map[string]string, path, name string) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case name == "":
		v.report(path, "is missing", "write a short name for it")
	case strings.TrimSpace(name) != name, strings.ContainsFunc(name, unprintable):
		v.report(path, input.Quote(name)+" has blanks around it or characters that do not print", "write a short, plain name")
	default:
		seen(v, places, name, path, input.Quote(name))
	}
}
