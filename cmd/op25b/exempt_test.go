// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"op25b/control"
	"op25b/exempt"
)

const someExemptions = `# ours
exemptions:
  - prefix: 100.64.3.7 # moves
    reason: mail server
    ticket: CS-1
    until: 2099-03-31T00:00:00Z
  - {prefix: "2001:db8:a:1::/64", reason: old, until: 2020-01-01 00:00 UTC}
`

// exemptConfig returns the paths of a configuration and of its file of exemptions,
// with text unless that is empty.
func exemptConfig(t *testing.T, socket, text string) (path, file string) {
	t.Helper()
	if socket == "" {
		socket = filepath.Join(t.TempDir(), "nobody")
	}
	path = writeConfig(t, strings.Replace(testConfig, "policy:\n", "control: {socket: "+socket+"}\npolicy:\n  exemptions: [exemptions.yaml]\n", 1))
	file = filepath.Join(filepath.Dir(path), "exemptions.yaml")
	if text != "" {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path, file
}

func TestExemptAdd(t *testing.T) {
	t.Parallel()
	gateway := &answers{result: control.ReloadResult{Generation: 4, Took: 0.25, Changes: []string{"1 exemption more"}}}
	path, file := exemptConfig(t, listen(t, gateway), "")
	code, out, talk := op25b(t, "exempt", "add", "-c", path, "100.64.9.9", "--reason", "moves", "--until", "30d", "--ticket", "CS-9", "--by", "sato")
	if code != exitOK || talk != "" || !strings.HasPrefix(out, file+": 100.64.9.9/32 in pool residential is exempt until ") ||
		!strings.HasSuffix(out, "\ngeneration 4 is in force, after 0.25 s\n1 exemption more\n") || gateway.forced {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	all, err := exempt.Load(file)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	e := all[0]
	if e.Reason != "moves" || e.Ticket != "CS-9" || e.By != "sato" || !e.Until.Equal(e.Added.AddDate(0, 0, 30)) {
		t.Errorf("%+v", e)
	}

	code, out, talk = op25b(t, "exempt", "add", "-c", path, "100.65.0.0/28", "--reason", "moves", "--until", "2099-01-01 00:00 Asia/Tokyo", "--no-reload")
	if code != exitOK || strings.Contains(out, "generation") || talk != "warning: pool business is static: nothing is refused to it anyway\n" {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	code, out, talk = op25b(t, "exempt", "add", "-c", path, "100.65.0.1", "--reason", "moves", "--until", "1h", "--no-reload")
	if code != exitOK || !strings.Contains(talk, "warning: 100.65.0.0/28, which holds 100.65.0.1/32, is exempt until ") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
}

func TestExemptAddRefused(t *testing.T) {
	t.Parallel()
	path, file := exemptConfig(t, "", someExemptions)
	several := writeConfig(t, strings.Replace(testConfig, "policy:\n", "policy:\n  exemptions: [a.yaml, b.yaml]\n", 1))
	none := writeConfig(t, testConfig)
	good := []string{"--reason", "moves", "--until", "30d"}
	tests := map[string]struct {
		args []string
		want string // of what is said
	}{
		"no prefix":      {append([]string{"-c", path, "example.net"}, good...), `PREFIX "example.net" is neither an IP address nor a prefix`},
		"bits":           {append([]string{"-c", path, "100.64.3.7/24"}, good...), "write 100.64.3.0/24"},
		"in no pool":     {append([]string{"-c", path, "203.0.113.1"}, good...), "203.0.113.1/32 is in no pool: correct it, or add it to policy.pools"},
		"exempt already": {append([]string{"-c", path, "100.64.3.7"}, good...), "100.64.3.7/32 is exempt until "},
		"exempt before":  {append([]string{"-c", path, "2001:db8:a:1::/64"}, good...), "exemptions.yaml:7: change that, or remove it first: op25b exempt remove 2001:db8:a:1::/64"},
		"no reason":      {[]string{"-c", path, "100.64.3.8", "--until", "30d"}, "reason is empty: write some text"},
		"two lines":      {[]string{"-c", path, "100.64.3.8", "--until", "30d", "--reason", "a\nb"}, "reason has several lines"},
		"no end":         {[]string{"-c", path, "100.64.3.8", "--reason", "moves"}, "--until is missing: write 30d, or a time"},
		"past":           {[]string{"-c", path, "100.64.3.8", "--reason", "moves", "--until", "2020-01-01 00:00 UTC"}, "--until 2020-01-01 00:00 UTC is over"},
		"no time":        {[]string{"-c", path, "100.64.3.8", "--reason", "moves", "--until", "soon"}, `--until "soon" is no time`},
		"several files":  {append([]string{"-c", several, "100.64.3.8"}, good...), "names several files: choose one with --file: "},
		"no such file":   {append([]string{"-c", several, "--file", "c.yaml", "100.64.3.8"}, good...), "does not name c.yaml, so no gateway would read it"},
		"no file":        {append([]string{"-c", none, "100.64.3.8"}, good...), "names no file of exemptions: write policy.exemptions"},
		"another missing": {append([]string{"-c", several, "--file", "b.yaml", "100.64.3.8"}, good...),
			"a.yaml: cannot be read: no such file or directory"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, talk := op25b(t, append([]string{"exempt", "add"}, test.args...)...)
			if code != exitUsage || out != "" || !strings.Contains(talk, test.want) {
				t.Errorf("exit %d, not %q:\n%s%s", code, test.want, out, talk)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != someExemptions {
				t.Errorf("%v:\n%s", err, text)
			}
		})
	}
}

// The file is changed even if the gateway wants nothing of it, and that is said.
func TestExemptReload(t *testing.T) {
	t.Parallel()
	path, _ := exemptConfig(t, "", someExemptions)
	code, out, talk := op25b(t, "exempt", "remove", "-c", path, "100.64.3.7")
	if code != exitOK || talk != "" || !strings.Contains(out, "no gateway listens on ") {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}

	path, _ = exemptConfig(t, listen(t, &answers{err: &control.Refusal{Problems: []string{"op25b.yaml:3: x"}}}), someExemptions)
	code, _, talk = op25b(t, "exempt", "remove", "-c", path, "100.64.3.7")
	if code != exitUsage || !strings.Contains(talk, "the file is changed, but the gateway does not go by it yet: ") || !strings.Contains(talk, "op25b.yaml:3: x") {
		t.Errorf("exit %d\n%s", code, talk)
	}

	path, _ = exemptConfig(t, listen(t, &answers{err: errors.New("the kernel said no")}), someExemptions)
	if code, _, talk = op25b(t, "exempt", "expire", "-c", path, "100.64.3.7"); code != exitFailed || !strings.Contains(talk, "the kernel said no") {
		t.Errorf("exit %d\n%s", code, talk)
	}
}

func TestExemptRemoveAndExpire(t *testing.T) {
	t.Parallel()
	path, file := exemptConfig(t, "", someExemptions)
	code, out, talk := op25b(t, "exempt", "expire", "-c", path, "--no-reload", "100.64.3.7")
	if code != exitOK || out != file+": the exemption of 100.64.3.7/32 ends now\n" || talk != "" {
		t.Errorf("exit %d\n%s%s", code, out, talk)
	}
	all, err := exempt.Load(file)
	if err != nil || len(all) != 2 || len(exempt.Active(all, time.Now())) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	code, out, _ = op25b(t, "exempt", "expire", "-c", path, "--no-reload", "2001:db8:a:1::/64")
	if code != exitOK || !strings.Contains(out, "had ended by then, at ") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out, _ = op25b(t, "exempt", "remove", "-c", path, "--no-reload", "2001:db8:a:1::/64")
	if code != exitOK || !strings.HasPrefix(out, file+": 2001:db8:a:1::/64 is removed, which was for \"old\" until ") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, _, talk = op25b(t, "exempt", "remove", "-c", path, "--no-reload", "2001:db8:a:1::/64")
	if code != exitFailed || !strings.Contains(talk, "is in no file of exemptions that "+path+" names") {
		t.Errorf("exit %d\n%s", code, talk)
	}
	if err := os.WriteFile(file, []byte("exemptions: [{}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, talk = op25b(t, "exempt", "remove", "-c", path, "100.64.3.7")
	if code != exitUsage || !strings.Contains(talk, file+":1: exemptions[0]: prefix is missing") {
		t.Errorf("exit %d\n%s", code, talk)
	}
}

func TestExemptList(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(3*24*time.Hour + time.Hour).UTC().Format(time.RFC3339)
	path, file := exemptConfig(t, "", someExemptions+"  - {prefix: 198.18.0.0/15, reason: trial, by: sato, until: "+soon+"}\n")
	tests := map[string]struct {
		args []string
		want []string // fields of the lines, but for the time
	}{
		"those that hold": {nil, []string{"198.18.0.0/15 hidden,lte 3 days ! - sato trial", "100.64.3.7/32 residential DAYS days CS-1 - mail server"}},
		"expiring":        {[]string{"--expiring", "14d"}, []string{"198.18.0.0/15 hidden,lte 3 days ! - sato trial"}},
		"not expiring":    {[]string{"--expiring", "12h"}, nil},
		"expired":         {[]string{"--expired"}, []string{"2001:db8:a:1::/64 residential ended - - old"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, talk := op25b(t, append([]string{"exempt", "list", "-c", path}, test.args...)...)
			var got []string
			for _, line := range strings.Split(out, "\n")[1:] {
				if f := strings.Fields(line); len(f) > 5 {
					got = append(got, strings.Join(append(f[:2:2], f[5:]...), " "))
				}
			}
			if len(got) == 2 { // the days until 2099 change every day
				f := strings.Fields(got[1])
				got[1] = strings.Replace(got[1], f[2], "DAYS", 1)
			}
			if code != exitOK || talk != "" || strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("exit %d\n%s%s", code, out, talk)
			}
		})
	}

	code, out, _ := op25b(t, "exempt", "list", "-c", path, "--json")
	var list exemptList
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitOK || list.SchemaVersion != 1 || len(list.Exemptions) != 2 ||
		!list.Exemptions[0].Soon || list.Exemptions[1].Soon || list.Exemptions[1].File != file || list.Exemptions[1].Line != 3 {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	for _, args := range [][]string{{"--expiring", "soon"}, {"--expiring", "14d", "--expired"}} {
		if code, out, _ := op25b(t, append([]string{"exempt", "list", "-c", path}, args...)...); code != exitUsage || out != "" {
			t.Errorf("%q: exit %d\n%s", args, code, out)
		}
	}
}
