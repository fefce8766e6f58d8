// SPDX-License-Identifier: Apache-2.0

// Failures says in a few lines what of a test run has failed, from what test2json
// (go test -json) wrote to the file: for each failed test, what its source files said,
// without what the programs said that it ran. Of a long log often only the end is kept.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "failures:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: failures FILE, of go test -json")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	return list(file, out)
}

// event is one of test2json's.
type event struct{ Action, Test, Output string }

// most is how many lines a test gets, and wide how many octets a line.
const most, wide = 8, 300

// said is the first line of a message: "file_test.go:12: ". A message's other lines are
// indented further.
var said = regexp.MustCompile(`^\s+\w+_test\.go:\d+: `)

func list(in io.Reader, out io.Writer) error {
	lines := map[string][]string{}
	events := bufio.NewScanner(in)
	events.Buffer(nil, 1<<24)
	for events.Scan() {
		var e event
		if err := json.Unmarshal(events.Bytes(), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		switch {
		case e.Action == "output" && said.MatchString(e.Output):
			lines[e.Test] = append(lines[e.Test], strings.TrimSpace(e.Output))
		case e.Action == "fail" && e.Test != "":
			show(out, e.Test, lines[e.Test])
		}
	}
	return events.Err()
}

func show(out io.Writer, test string, lines []string) {
	fmt.Fprintf(out, "FAILED %s\n", test)
	for i, line := range lines {
		if i == most {
			fmt.Fprintf(out, "    and %d more\n", len(lines)-most)
			return
		}
		fmt.Fprintf(out, "    %.*s\n", wide, line)
	}
}
