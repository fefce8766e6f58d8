// SPDX-License-Identifier: Apache-2.0

package filter_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"op25b/filter"
)

// golden is a packet of testdata/golden, with what is expected of it. The files
// read like this, and no line goes unlabelled:
//
//	== SYN to port 25
//	-> outbound reset blocked_port
//	-> strict outbound trusted reset blocked_port
//	45 00 00 28  # version 4, IHL 5, TOS 0, total length 40
//	00*8         # eight zeros
//
// The packets were not made by filtertest, so that the two check each other.
type golden struct {
	title string
	pkt   []byte
	wants []want
}

// want is an expectation: [policy] direction ["trusted"] action reason.
type want struct {
	policy         string
	dir            filter.Direction
	sum            filter.Checksum
	action, reason string
}

func TestGolden(t *testing.T) {
	t.Parallel()
	policies := compileAll(t)
	for _, g := range readGolden(t) {
		t.Run(g.title, func(t *testing.T) {
			t.Parallel()
			for _, w := range g.wants {
				pkt := bytes.Clone(g.pkt)
				v := policies[w.policy].Decide(w.dir, pkt, w.sum)
				if v.Action.String() != w.action || v.Reason.String() != w.reason {
					t.Errorf("%s, %s, checksum %d: %s %s, want %s %s",
						w.policy, w.dir, w.sum, v.Action, v.Reason, w.action, w.reason)
				}
				if !bytes.Equal(pkt, g.pkt) {
					t.Error("Decide changed the packet")
				}
			}
		})
	}
}

// readGolden reads all golden files.
func readGolden(t testing.TB) []golden {
	t.Helper()
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find golden files: %v, %d found", err, len(files))
	}
	var all []golden
	for _, file := range files {
		text, err := os.ReadFile(file) // found by Glob
		if err != nil {
			t.Fatal(err)
		}
		topic := strings.TrimSuffix(filepath.Base(file), ".txt")
		for i, line := range strings.Split(string(text), "\n") {
			if all, err = parseGolden(all, topic, line); err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
		}
	}
	return all
}

// parseGolden adds a line to the packet that it belongs to, the last.
func parseGolden(all []golden, topic, line string) ([]golden, error) {
	if title, ok := strings.CutPrefix(line, "== "); ok {
		return append(all, golden{title: topic + ": " + title}), nil
	}
	if line == "" || strings.HasPrefix(line, "#") {
		return all, nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%q is before any packet", line)
	}
	g := &all[len(all)-1]
	if expectation, ok := strings.CutPrefix(line, "-> "); ok {
		w, err := parseWant(strings.Fields(expectation))
		g.wants = append(g.wants, w)
		return all, err
	}
	octets, label, ok := strings.Cut(line, "#")
	if !ok || label == "" {
		return nil, fmt.Errorf("%q has no label", line)
	}
	b, err := parseOctets(strings.Fields(octets))
	g.pkt = append(g.pkt, b...)
	return all, err
}

func parseWant(words []string) (want, error) {
	w := want{policy: "plain"}
	take := func(word string) bool {
		if len(words) == 0 || words[0] != word {
			return false
		}
		words = words[1:]
		return true
	}
	for name := range specs() {
		if take(name) {
			w.policy = name
		}
	}
	switch {
	case take("outbound"):
		w.dir = filter.Outbound
	case take("inbound"):
		w.dir = filter.Inbound
	default:
		return w, fmt.Errorf("no direction in %q", words)
	}
	if take("trusted") {
		w.sum = filter.ChecksumTrusted
	}
	if len(words) != 2 {
		return w, fmt.Errorf("%q is no action and reason", words)
	}
	w.action, w.reason = words[0], words[1]
	return w, nil
}

// parseOctets reads "0a" and, for ten zeros, "00*10".
func parseOctets(words []string) ([]byte, error) {
	var out []byte
	for _, word := range words {
		octet, times, repeated := strings.Cut(word, "*")
		b, err := hex.DecodeString(octet)
		if err != nil {
			return nil, fmt.Errorf("parse %q: %w", word, err)
		}
		n := 1
		if repeated {
			if n, err = strconv.Atoi(times); err != nil {
				return nil, fmt.Errorf("parse %q: %w", word, err)
			}
		}
		out = append(out, bytes.Repeat(b, n)...)
	}
	return out, nil
}
