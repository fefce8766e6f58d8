// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"op25b/config/input"
)

// longestNotice is what fits an SMTP reply with its code (RFC 5321, section 4.5.3.1.5).
const longestNotice = 400

func (v *validator) texts() {
	if d := v.Texts.Directory; d != "" && !isPlainPath(d) {
		v.report("texts.directory", input.Quote(d)+" is not a plain path", `write that of a directory, or "" for the built-in texts`)
	}
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	n := v.Texts.Notice
	switch {
	case n == "":
		v.report("texts.notice", "is empty", "write what a mail program is told, in one line")
	case len(n) > longestNotice:
		v.report("texts.notice", fmt.Sprintf("is %d octets long", len(n)), fmt.Sprintf("write %d at most: mail programs cut off the rest", longestNotice))
	case strings.ContainsFunc(n, odd):
		v.report("texts.notice", input.Quote(n)+" is not one line of ASCII", "write it in English: SMTP has no other letters (RFC 5321, section 2.4)")
	}
}

func (v *validator) selfCheck() {
	places := map[netip.AddrPort]string{}
	for i, a := range v.SelfCheck.Listen {
		at := fmt.Sprintf("self_check.listen[%d]", i)
		switch {
		case a.Port() == 0:
			v.report(at, "port 0 is none", "write a port, as in "+netip.AddrPortFrom(a.Addr(), 80).String())
		case !slices.Contains(v.Tunnel.Addresses, a.Addr()):
			v.report(at, a.Addr().String()+" is not in tunnel.addresses", "add it there too: the gateway itself has to answer on it")
		default:
			seen(v, places, a, at, a.String())
		}
	}
	v.listedPrefixes("self_check.shared", v.SelfCheck.Shared, "no line could be told from another")
	for key, text := range map[string]string{"self_check.provider": v.SelfCheck.Provider, "self_check.contact": v.SelfCheck.Contact} {
		if text != "" && !isPlainPath(text) {
			v.report(key, input.Quote(text)+" is not one line of text", "write one, or nothing")
		}
	}
	for i, name := range v.SelfCheck.Servers {
		if !isHost(name) {
			v.report(fmt.Sprintf("self_check.servers[%d]", i), input.Quote(name)+" is neither a host name nor an address", "write one, as in smtp.example.net")
		}
	}
}

func (v *validator) console() {
	c := v.Console
	if c.TokenFile != "" && !isPlainPath(c.TokenFile) {
		v.report("console.token_file", input.Quote(c.TokenFile)+" is not a plain path", "write that of a file with tokens")
	}
	if c.Listen == "" {
		return
	}
	const key, fix = "console.listen", `write a loopback address with a port, as in 127.0.0.1:9926, unix: and a path, as in unix:/run/op25b/console.sock, or "" for off`
	if name, isSocket := strings.CutPrefix(c.Listen, "unix:"); isSocket {
		if !path.IsAbs(name) || path.Clean(name) != name || len(name) > maxSocketPath || !isPlainPath(name) || name == v.Control.Socket {
			v.report(key, input.Quote(name)+" is not the plain, absolute path of a socket of its own", fix)
		}
		return
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		v.report(key, input.Quote(c.Listen)+" is not host:port", fix)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		v.report(key, input.Quote(port)+" is not a port", fix)
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
		v.report(key, input.Quote(host)+" is no loopback address, and the console speaks HTTP without encryption", fix+"; reach it from elsewhere with ssh -L")
	}
	if c.TokenFile == "" {
		v.report("console.token_file", "is not set, and on an address the console lets in only who has a token",
			"write the path of a file with a token of 32 characters or more, as of: openssl rand -hex 32")
	}
}
