// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"op25b/config/input"
)

// maxSocketPath is in bytes: sun_path of unix(7) without the final zero.
const maxSocketPath = 107

func (v *validator) control() {
	v.socket(v.Control.Socket)
	if v.Control.Metrics != "" {
		v.metrics(v.Control.Metrics)
	}
}

func (v *validator) socket(name string) {
	const key = "control.socket"
	switch {
	case !path.IsAbs(name):
		v.report(key, input.Quote(name)+" is not an absolute path", "write one, as in "+Default().Control.Socket)
	case len(name) > maxSocketPath:
		v.report(key, fmt.Sprintf("is %d bytes long", len(name)), fmt.Sprintf("write a path of at most %d bytes", maxSocketPath))
	case path.Clean(name) != name || name == "/" || strings.Contains(name, "\x00"):
		v.report(key, input.Quote(name)+" is not the plain path of a file", "write one without //, . and .., and without a / at its end")
	}
}

func (v *validator) metrics(address string) {
	const key = "control.metrics"
	fix := `write host:port, as in ` + Default().Control.Metrics + ` or "[::1]:9925", or "" for off`
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		v.report(key, input.Quote(address)+" is not host:port", fix)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		v.report(key, input.Quote(port)+" is not a port", fix)
	}
	if host == "" {
		// To listen on the subscribers' side too has to be said aloud.
		v.report(key, input.Quote(address)+" names no address to listen on", fix+"; 0.0.0.0 or [::] is every address")
		return
	}
	if !isHost(host) {
		v.report(key, input.Quote(host)+" is neither an IP address nor a host name", fix)
	}
}

// isHost tells an IP address or a host name (RFC 1123 section 2.1). What is all
// digits and dots is meant to be an address.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if strings.Trim(host, "0123456789.") == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(label string) bool {
	odd := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' && !strings.ContainsFunc(label, odd)
}
