// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

const samples = `op25b
	ffff do_write ([kernel])
	ffff sys_write ([kernel])
	4444 op25b/stack.(*worker).work

op25b
	4444 op25b/stack.(*worker).work

swapper
	ffff idle

a<b
	1111 f<g>
`

func TestFlame(t *testing.T) {
	t.Parallel()
	root, err := read(strings.NewReader(samples))
	if err != nil {
		t.Fatal(err)
	}
	if root.samples != 3 || root.call("op25b").samples != 2 || root.call("op25b").call("op25b/stack.(*worker).work").call("sys_write").call("do_write").samples != 1 {
		t.Errorf("the stacks are not what was sampled: %+v", root)
	}
	var picture bytes.Buffer
	if err := draw(&picture, root, "x & y", 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"x &amp; y: 3 samples", "<title>op25b: 66.7 %</title>", "f&lt;g&gt;"} {
		if !strings.Contains(picture.String(), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	if strings.Contains(picture.String(), "idle<") {
		t.Error("who was idle is in the picture")
	}
	d := xml.NewDecoder(&picture)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
}

func TestNothingSampled(t *testing.T) {
	t.Parallel()
	root, err := read(strings.NewReader(""))
	if err == nil {
		err = draw(io.Discard, root, "", 0)
	}
	if err == nil || !strings.Contains(err.Error(), "perf script") {
		t.Errorf("error %v, want one that says what is missing", err)
	}
}
