// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one mistake in a file, with what to write instead.
type Problem struct {
	// File is the path as given to [Load].
	File string `json:"file"`
	// Line counts from 1. Zero: the file could not be read.
	Line int `json:"line"`
	// Path is the key, as in exemptions[0].until. Empty: it is about the file.
	Path string `json:"path"`
	// What is wrong.
	What string `json:"what"`
	// Fix is what to write or do.
	Fix string `json:"fix"`

	cause error // of a file that could not be read
}

// Error returns the problem as one line: file:line: path: what: fix.
func (p Problem) Error() string {
	place := p.File
	if p.Line > 0 {
		place += ":" + strconv.Itoa(p.Line)
	}
	if p.Path != "" {
		place += ": " + p.Path
	}
	return fmt.Sprintf("%s: %s: %s", place, p.What, p.Fix)
}

// Unwrap returns why the file could not be read, or nil.
func (p Problem) Unwrap() error { return p.cause }

// Problems are all mistakes of one [Load], by file and line.
type Problems []Problem

// Error returns one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems one by one.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// mistake is a Problem that does not know yet where it is.
type mistake struct{ what, fix string }

func (m *mistake) Error() string { return m.what + ": " + m.fix }
