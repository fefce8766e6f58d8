// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"strings"
	"testing"
)

func TestLogBook(t *testing.T) {
	t.Parallel()
	var copied bytes.Buffer
	book := newLogBook(&copied)
	changed := book.next()
	for _, part := range []string{"plain\n{\"msg\":\"re", "ady\",\"n\":1}\n", "{\"msg\":\"ready\",\"n\":2}\n", "half"} {
		if n, err := book.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if !isClosed(changed) {
		t.Error("nobody was told of the write")
	}
	if line, ok := book.find("ready", 2); !ok || line["n"] != 2.0 {
		t.Errorf("find second = %v, %t", line, ok)
	}
	if _, ok := book.find("ready", 3); ok {
		t.Error("found a third line")
	}
	if got := strings.Join(book.last(2), "|"); got != `{"msg":"ready","n":2}|half` {
		t.Errorf("last = %s", got)
	}
	if !strings.HasPrefix(copied.String(), "plain\n") {
		t.Errorf("copy = %q", copied.String())
	}
	for range maxLogLines + 10 {
		_, _ = book.Write([]byte("more\n"))
	}
	if n := len(book.last(2 * maxLogLines)); n != maxLogLines {
		t.Errorf("%d lines kept, want %d", n, maxLogLines)
	}
}
