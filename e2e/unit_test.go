// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitPath is the systemd unit that is packaged.
const unitPath = "../dist/op25b.service"

// serviceUnit is its [Service] section: the values of each key, in order.
type serviceUnit map[string][]string

func readUnit(t testing.TB) serviceUnit {
	t.Helper()
	file, err := os.Open(unitPath)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	options, err := unit.DeserializeOptions(file)
	if err != nil {
		t.Fatalf("parse %s: %v", unitPath, err)
	}
	service := serviceUnit{}
	for _, o := range options {
		if o.Section == "Service" {
			service[o.Name] = append(service[o.Name], o.Value)
		}
	}
	return service
}

// one returns the value of a key that is there once.
func (u serviceUnit) one(t testing.TB, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("%s: %s is there %d times", unitPath, key, len(u[key]))
	}
	return u[key][0]
}

// calls returns the system calls that the unit allows: those of its first filter
// without those of the filters that begin with "~" (systemd.exec(5)).
func (u serviceUnit) calls(t testing.TB) []string {
	t.Helper()
	var allowed []string
	for _, filter := range u["SystemCallFilter"] {
		words, denies := strings.CutPrefix(filter, "~")
		var named []string
		for word := range strings.FieldsSeq(words) {
			named = append(named, callsOf(t, word)...)
		}
		if denies {
			allowed = slices.DeleteFunc(allowed, func(call string) bool { return slices.Contains(named, call) })
		} else {
			allowed = append(allowed, named...)
		}
	}
	return allowed
}

// callsOf returns the system calls of a group as this machine's systemd has it, or
// the name itself where it is none.
func callsOf(t testing.TB, name string) []string {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	var calls []string
	for line := range strings.Lines(mustRun(t, nil, "systemd-analyze", "syscall-filter", name)) {
		// The group's own name is at the margin, and its description a comment.
		member, ok := strings.CutPrefix(line, "    ")
		if ok && !strings.HasPrefix(member, "#") {
			calls = append(calls, callsOf(t, strings.TrimSpace(member))...)
		}
	}
	return calls
}

// TestUnit holds the unit against systemd itself: it knows every key and value, and
// finds little that could be confined more.
func TestUnit(t *testing.T) {
	t.Parallel()
	needTools(t, "systemd-analyze")
	if binaryPath == "" {
		lack(t, "root") // nothing is built for others
	}
	text, err := os.ReadFile(unitPath)
	if err != nil {
		t.Fatal(err)
	}
	// The program need not be installed.
	path := filepath.Join(t.TempDir(), filepath.Base(unitPath))
	text = bytes.ReplaceAll(text, []byte("/usr/bin/op25b"), []byte(binaryPath))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	verdict := runIn(t, nil, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path)
	if said := verdict.stdout + verdict.stderr; verdict.code != 0 || said != "" {
		t.Errorf("verify: exit code %d\n%s", verdict.code, said)
	}
	const exposure = "18" // tenths, of 100
	score := runIn(t, nil, "systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold="+exposure, path)
	if score.code != 0 {
		t.Errorf("security: exposed more than %s tenths\n%s%s", exposure, score.stdout, score.stderr)
	}
	t.Log(lastLine(score.stdout))
}

// TestUnitFiles holds the user's file against systemd's own reader.
func TestUnitFiles(t *testing.T) {
	t.Parallel()
	needTools(t, "systemd-sysusers")
	path, err := filepath.Abs("../dist/sysusers.d/op25b.conf")
	if err != nil {
		t.Fatal(err)
	}
	out := runIn(t, nil, "systemd-sysusers", "--dry-run", "--root="+t.TempDir(), path)
	if out.code != 0 || !strings.Contains(out.stdout+out.stderr, "Creating user 'op25b'") {
		t.Errorf("systemd-sysusers: exit code %d\n%s%s", out.code, out.stdout, out.stderr)
	}
}
