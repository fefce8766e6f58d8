// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport says which of our rooms each room's own code may import, and why it
// stays so small: a room that knows little can be tested, replaced and read by
// itself. Test code may look further.
func mayImport() map[string][]string {
	return map[string][]string{
		"op25b/cmd/op25b":         {"op25b/census", "op25b/config", "op25b/console", "op25b/control", "op25b/exempt", "op25b/export", "op25b/filter", "op25b/human", "op25b/journal", "op25b/lab", "op25b/lease", "op25b/metrics", "op25b/report", "op25b/rollout", "op25b/screen", "op25b/selfcheck", "op25b/stack", "op25b/supervise", "op25b/tunnel"}, // wires all
		"op25b/config":            {"op25b/config/input"},                                                                                                                                                                                                                                                                                                // what the operator wrote, nothing else
		"op25b/config/input":      {},                                                                                                                                                                                                                                                                                                                    // texts of people, and the line of what is wrong
		"op25b/census":            {},                                                                                                                                                                                                                                                                                                                    // counts attempts; told of them by whoever sees packets
		"op25b/console":           {"op25b/census", "op25b/control", "op25b/door", "op25b/human", "op25b/report"},                                                                                                                                                                                                                                        // shows what control answers
		"op25b/metrics":           {"op25b/control"},                                                                                                                                                                                                                                                                                                     // a status, as Prometheus reads it
		"op25b/report":            {"op25b/census", "op25b/human"},                                                                                                                                                                                                                                                                                       // what people decide by
		"op25b/report/population": {"op25b/census"},                                                                                                                                                                                                                                                                                                      // simulated subscribers, to tune and test findings on
		"op25b/human":             {},                                                                                                                                                                                                                                                                                                                    // numbers and durations, the same everywhere
		"op25b/screen":            {"op25b/control", "op25b/human"},                                                                                                                                                                                                                                                                                      // shows a status, as a terminal
		"op25b/selfcheck":         {},                                                                                                                                                                                                                                                                                                                    // a page for subscribers, on any listener
		"op25b/control":           {"op25b/census", "op25b/door", "op25b/report"},                                                                                                                                                                                                                                                                        // asks what it needs of a gateway
		"op25b/door":              {},                                                                                                                                                                                                                                                                                                                    // a unix socket, who comes in, whom to trust
		"op25b/exempt":            {"op25b/config/input"},                                                                                                                                                                                                                                                                                                // files of exemptions, read and edited
		"op25b/export":            {"op25b/filter"},                                                                                                                                                                                                                                                                                                      // writes a compiled policy in the words of other routers
		"op25b/filter":            {},                                                                                                                                                                                                                                                                                                                    // decides, without I/O
		"op25b/filter/filtertest": {},                                                                                                                                                                                                                                                                                                                    // builds packets, independent of what it tests
		"op25b/journal":           {"op25b/census"},                                                                                                                                                                                                                                                                                                      // keeps what it is told
		"op25b/lease":             {},                                                                                                                                                                                                                                                                                                                    // who has an address, never whether it is dynamic
		"op25b/rollout":           {},                                                                                                                                                                                                                                                                                                                    // what is in force when
		"op25b/lab":               {},                                                                                                                                                                                                                                                                                                                    // networks; runs op25b as a process, like a user
		"op25b/stack":             {"op25b/filter"},                                                                                                                                                                                                                                                                                                      // asks filter; declares what it needs of ports
		"op25b/supervise":         {},                                                                                                                                                                                                                                                                                                                    // runs any program that speaks systemd's protocol
		"op25b/tunnel":            {},                                                                                                                                                                                                                                                                                                                    // the kernel; knows no policy
	}
}

// onlyIn says which rooms may import a module: each is known in one place.
func onlyIn() map[string][]string {
	return map[string][]string{
		"github.com/spf13/viper":               {"op25b/config"},
		"golang.zx2c4.com/wireguard/tun":       {"op25b/tunnel"},
		"github.com/vishvananda/netlink":       {"op25b/tunnel", "op25b/lab"},
		"github.com/google/nftables":           {"op25b/tunnel"},
		"github.com/safchain/ethtool":          {"op25b/tunnel"},
		"modernc.org/sqlite":                   {"op25b/journal"},
		"layeh.com/radius":                     {"op25b/lease"},
		"charm.land/bubbletea/v2":              {"op25b/screen"},
		"charm.land/lipgloss/v2":               {"op25b/screen"},
		"github.com/prometheus/client_golang":  {"op25b/metrics"},
		"github.com/axiomhq/hyperloglog":       {"op25b/census"},
		"gvisor.dev/gvisor/pkg/tcpip/stack":    {"op25b/stack"},
		"gvisor.dev/gvisor/pkg/tcpip/adapters": {"op25b/stack"},
		"gvisor.dev/gvisor/pkg/tcpip/network":  {"op25b/stack"},
	}
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "op25b/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	rooms := mayImport()
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		allowed, known := rooms[p.ImportPath]
		if !known && p.ImportPath != "op25b/e2e" { // tests only: it may import any
			t.Errorf("%s is a room without a line in mayImport", p.ImportPath)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "op25b/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
			for module, in := range onlyIn() {
				if (imported == module || strings.HasPrefix(imported, module+"/")) && !slices.Contains(in, p.ImportPath) {
					t.Errorf("%s imports %s, which only %v may", p.ImportPath, imported, in)
				}
			}
		}
	}
	if seen < len(rooms) {
		t.Errorf("%d of %d rooms seen", seen, len(rooms))
	}
}
