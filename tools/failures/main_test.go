// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	const log = `{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Test":"TestB/one","Output":"    b_test.go:7: fine\n"}
{"Action":"output","Test":"TestA","Output":"    a_test.go:12: port 25 was open\n"}
{"Action":"output","Test":"TestA","Output":"        {\"level\":\"info\"}\n"}
{"Action":"pass","Test":"TestB/one"}
{"Action":"fail","Test":"TestA"}
{"Action":"fail"}
`
	const want = "FAILED TestA\n    a_test.go:12: port 25 was open\n"
	var out strings.Builder
	if err := list(strings.NewReader(log), &out); err != nil || out.String() != want {
		t.Errorf("%v, %q, want %q", err, out.String(), want)
	}
}

func TestManyLines(t *testing.T) {
	var log, out strings.Builder
	for range most + 2 {
		log.WriteString(`{"Action":"output","Test":"TestA","Output":"    a_test.go:12: ` + strings.Repeat("x", 2*wide) + `\n"}` + "\n")
	}
	log.WriteString(`{"Action":"fail","Test":"TestA"}` + "\n")
	if err := list(strings.NewReader(log.String()), &out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != most+3 || !strings.Contains(lines[most+1], "and 2 more") || len(lines[1]) > wide+4 {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}
