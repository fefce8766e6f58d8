// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"op25b/config/input"
)

// environment stands in Problem.File for what came from a variable.
const environment = "environment"

// Problem is one mistake of the operator, with what to write instead.
type Problem struct {
	// File is the file's path as given to Load, that of a list it names, or
	// "environment".
	File string `json:"file"`
	// Line counts from 1. Zero: not known, as for what was never written.
	Line int `json:"line"`
	// Path is the key, as in policy.pools[0].prefixes[1], the key that names the
	// list, or the name of the environment variable. Empty: the file is not
	// readable as YAML.
	Path string `json:"path"`
	// What is wrong.
	What string `json:"what"`
	// Fix is what to write or do.
	Fix string `json:"fix"`
}

// String returns the problem as one line: file:line: path: what: fix.
func (p Problem) String() string {
	place := p.File
	if p.Line > 0 {
		place += ":" + strconv.Itoa(p.Line)
	}
	parts := []string{place, p.Path, p.What, p.Fix}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Error makes a single Problem an error; it is the same as String.
func (p Problem) Error() string { return p.String() }

// Problems are all mistakes of one Load: those of the file by line, those of the
// environment, then those of each list by line, 20 of a list at most and how many
// more there are. Get at them with [errors.As].
type Problems []Problem

// Error returns one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)),
			cmp.Compare(a.Line, b.Line),
		)
	})
}

// rank puts the file first, so that its lines stay together.
func rank(p Problem) int {
	if p.File == environment {
		return 1
	}
	return 0
}

// longest is how much of a value of the operator's a message shows.
const longest = 60

// mistake is a Problem that does not know yet where it is.
type mistake struct {
	what, fix string
}

func (m *mistake) Error() string { return m.what + ": " + m.fix }

// show is quote for values that need no quotes to be read, such as numbers.
func show(s string) string {
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if s == "" || len(s) > longest || strings.ContainsFunc(s, odd) {
		return input.Quote(s)
	}
	return s
}
