// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"op25b/config"
	"op25b/control"
	"op25b/filter"
)

// part is a file of a bundle.
type part struct {
	name string
	make func(ctx context.Context) ([]byte, error)
}

// Diag writes what somebody needs to find a fault. Without being asked for them, no
// subscriber is in it. See [control.Gateway].
func (g *gateway) Diag(ctx context.Context, opts control.DiagOptions, w io.Writer) error {
	g.mu.Lock()
	policy, rules := g.policy, g.rules
	g.mu.Unlock()
	hide := func(text []byte) []byte { return text }
	configuration := hide
	if !opts.Subscribers {
		r := newRedactor(policy, rules.cfg)
		hide = r.redact
		configuration = r.withoutComments
	}
	parts := []part{
		{"status.json", func(context.Context) ([]byte, error) { s := g.Status(); return indented(&s) }},
		{"version.json", func(context.Context) ([]byte, error) { v := buildVersion(); return indented(&v) }},
		{"calendar.json", func(ctx context.Context) ([]byte, error) {
			c, err := g.Calendar(ctx)
			if err != nil {
				return nil, err
			}
			return indented(&c)
		}},
		{"op25b.yaml", func(context.Context) ([]byte, error) {
			text, err := os.ReadFile(g.path)
			return configuration(text), err //nolint:wrapcheck // has the path
		}},
		{"log.txt", func(context.Context) ([]byte, error) { return g.recent.text(), nil }},
		{"routes.txt", func(context.Context) ([]byte, error) {
			plan := tunnelPlan(rules.cfg, policy)
			return []byte(strings.Join(plan.Commands(), "\n") + "\n"), nil
		}},
		{"goroutines.txt", func(context.Context) ([]byte, error) { return profile("goroutine") }},
		{"machine.txt", func(context.Context) ([]byte, error) { return machine(), nil }},
	}
	if opts.Subscribers {
		parts = append(parts, part{"top.json", func(ctx context.Context) ([]byte, error) {
			top, err := g.Top(ctx, control.TopOptions{Most: 1000})
			if err != nil {
				return nil, err
			}
			return indented(&top)
		}})
	}
	return writeBundle(ctx, w, parts, hide)
}

// writeBundle writes the parts. One that cannot be made says so in its place.
func writeBundle(ctx context.Context, w io.Writer, parts []part, hide func([]byte) []byte) error {
	archive := zip.NewWriter(w)
	for _, p := range parts {
		text, err := p.make(ctx)
		if err != nil {
			text = fmt.Appendf(text, "\n%s could not be made: %v\n", p.name, err)
		}
		f, err := archive.CreateHeader(&zip.FileHeader{Name: p.name, Method: zip.Deflate, Modified: time.Now()})
		if err == nil {
			_, err = f.Write(hide(text))
		}
		if err != nil {
			return fmt.Errorf("write %s into the bundle: %w", p.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

func indented(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return append(text, '\n'), nil
}

func profile(name string) ([]byte, error) {
	var b bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&b, 1); err != nil {
		return nil, fmt.Errorf("write the profile %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// machine is what the kernel says of itself and of this process.
func machine() []byte {
	var b bytes.Buffer
	for _, path := range []string{"/proc/version", "/proc/uptime", "/proc/loadavg", "/proc/self/status", "/proc/self/limits", "/proc/net/dev"} {
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(err.Error() + "\n")
		}
		fmt.Fprintf(&b, "# %s\n%s\n", path, text)
	}
	return b.Bytes()
}

// redactor replaces what could tell of a subscriber by a name that is the same
// throughout one bundle.
type redactor struct {
	policy *filter.Policy
	names  map[string]string
	known  []netip.Prefix // those of whole pools
}

func newRedactor(policy *filter.Policy, cfg *config.Config) *redactor {
	r := &redactor{policy: policy, names: map[string]string{}}
	for _, p := range cfg.Policy.Pools {
		r.known = append(r.known, p.Prefixes...)
	}
	return r
}

// redact returns a text without subscribers: no address of a pool nor a part of one, no
// hardware address, and nothing that an error quotes. That is of a file or program of the
// operator's, such as a name in a list of exemptions. Of a packet that has made our code
// panic, the log's stack has to do. Prefixes of whole pools stay.
func (r *redactor) redact(text []byte) []byte {
	text = packet().ReplaceAll(text, []byte(`$1"..."`))
	text = quoted().ReplaceAll(text, []byte(`\"...\"`))
	text = hardwareAddress().ReplaceAllFunc(text, func(m []byte) []byte { return r.name("hardware-address", string(m)) })
	return addressLike().ReplaceAllFunc(text, func(m []byte) []byte {
		word := strings.TrimRight(string(m), ".:")
		rest := m[len(word):]
		if begin, ok := r.subscriberIn(word); ok {
			return slices.Concat([]byte(word[:begin]), r.name("subscriber", word[begin:]), rest)
		}
		return m
	})
}

// subscriberIn returns where a subscriber's address, or a part of a pool, begins in a
// word. What stands before it is a label that ends like an address: "source:2001:db8::1".
func (r *redactor) subscriberIn(word string) (begin int, ok bool) {
	for {
		if r.isSubscriber(word[begin:]) {
			return begin, true
		}
		colon := strings.IndexByte(word[begin:], ':')
		if colon < 0 {
			return 0, false
		}
		begin += colon + 1
	}
}

func (r *redactor) isSubscriber(word string) bool {
	p, err := netip.ParsePrefix(word)
	if err != nil {
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return false
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p.Addr().Is4In6() {
		p = netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0))
	}
	if _, held := r.policy.Subscriber(p.Addr()); !held {
		return false
	}
	return p.IsSingleIP() || !slices.ContainsFunc(r.known, func(pool netip.Prefix) bool {
		return p.Bits() <= pool.Bits() && p.Contains(pool.Addr())
	})
}

// withoutComments returns a configuration without what people have noted in it. If it is
// not YAML, each # is taken to begin a comment.
func (r *redactor) withoutComments(text []byte) []byte {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || doc.Kind == 0 {
		return comment().ReplaceAll(text, nil)
	}
	dropComments(&doc)
	bare, err := yaml.Marshal(&doc)
	if err != nil {
		return comment().ReplaceAll(text, nil)
	}
	return bare
}

func dropComments(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		dropComments(child)
	}
}

func (r *redactor) name(kind, value string) []byte {
	name, known := r.names[value]
	if !known {
		name = fmt.Sprintf("%s-%d", kind, len(r.names)+1)
		r.names[value] = name
	}
	return []byte(name)
}

// hardwareAddress matches an Ethernet address or a DUID.
func hardwareAddress() *regexp.Regexp {
	return regexp.MustCompile(`\b[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5,}\b`)
}

// addressLike matches what may be an address, or one and its length.
func addressLike() *regexp.Regexp {
	return regexp.MustCompile(`(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F]{0,4}:[0-9a-fA-F:]*:[0-9a-fA-F.:]*)(/\d{1,3})?`)
}

// quoted matches what is quoted, as Go does it, within a string of JSON.
func quoted() *regexp.Regexp {
	const plain, escapedInJSON, escapedInGo = `[^"\\]`, `\\[^"\\]`, `\\\\(?:[^"\\]|\\\\|\\")`
	return regexp.MustCompile(`\\"(?:` + plain + `|` + escapedInJSON + `|` + escapedInGo + `)*\\"`)
}

// packet matches one that has made our code panic, in the status or in the log.
func packet() *regexp.Regexp { return regexp.MustCompile(`("packet": ?)"[^"]*"`) }

// comment matches one of YAML.
func comment() *regexp.Regexp { return regexp.MustCompile(`#[^\n]*`) }
