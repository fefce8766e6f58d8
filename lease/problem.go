// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strconv"
	"strings"
)

// Problem is something in a source that could not be understood.
type Problem struct {
	// File is the file's path, or where else it came from.
	File string
	// Line counts from 1. Zero: it has no lines.
	Line int
	// What is wrong.
	What string
	// Text is what was found; untrusted.
	Text string
	// Fix is what to write or do.
	Fix string
}

// longest is how much of what was found a message shows, in bytes.
const longest = 60

// String returns the problem on one line: file:line: what: "text": fix.
func (p Problem) String() string {
	place := p.File
	if p.Line > 0 {
		place += ":" + strconv.Itoa(p.Line)
	}
	parts := []string{place, p.What}
	if p.Text != "" {
		text := p.Text
		if len(text) > longest {
			text = strings.ToValidUTF8(text[:longest], "") + "…"
		}
		parts = append(parts, strconv.QuoteToGraphic(text))
	}
	if p.Fix != "" {
		parts = append(parts, p.Fix)
	}
	return strings.Join(parts, ": ")
}

// keep returns a copy that holds on to nothing of what was read.
func (p Problem) keep() Problem {
	p.File = strings.Clone(p.File)
	p.Text = strings.Clone(p.Text[:min(len(p.Text), longest+1)])
	return p
}
