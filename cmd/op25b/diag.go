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
	"strings"
	"time"

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
	if !opts.Subscribers {
		hide = newRedactor(policy).redact
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
		{"op25b.yaml", func(context.Context) ([]byte, error) { return os.ReadFile(g.path) }}, //nolint:wrapcheck // has the path
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
}

func newRedactor(policy *filter.Policy) *redactor {
	return &redactor{policy: policy, names: map[string]string{}}
}

// redact returns a text without subscribers: no address of a pool, no hardware address,
// and no secret that somebody has written where none belongs. Prefixes of whole pools
// stay.
func (r *redactor) redact(text []byte) []byte {
	text = hardwareAddress().ReplaceAllFunc(text, func(m []byte) []byte { return r.name("hardware-address", string(m)) })
	return addressLike().ReplaceAllFunc(text, func(m []byte) []byte {
		word := strings.TrimRight(string(m), ".:")
		rest := m[len(word):]
		bare, bits, isPrefix := strings.Cut(word, "/")
		addr, err := netip.ParseAddr(bare)
		if err != nil {
			return m
		}
		addr = addr.Unmap()
		if isPrefix && bits != fmt.Sprint(addr.BitLen()) && bits != "56" && bits != "64" {
			return m
		}
		if _, held := r.policy.Subscriber(addr); !held {
			return m
		}
		return append(r.name("subscriber", addr.String()), rest...)
	})
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
