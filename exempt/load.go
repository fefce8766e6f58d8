// SPDX-License-Identifier: Apache-2.0

package exempt

import (
	"errors"
	"io/fs"
	"net/netip"

	"op25b/config/input"
)

// maxFileSize is in bytes. A hundred thousand exemptions stay below it.
const maxFileSize = 16 << 20

// Load reads files and returns what they say, in that order. If anything is wrong
// with any of them the error is [Problems], all there are, and nothing is returned
// beside it. The same prefix in two files, or twice in one, is a mistake.
func Load(paths ...string) ([]Exemption, error) {
	var (
		all      []Exemption
		problems Problems
		seen     = map[netip.Prefix]Exemption{}
	)
	for _, path := range paths {
		data, err := input.Read(path, maxFileSize)
		if err != nil {
			problems = append(problems, unreadable(path, err))
			continue
		}
		d := parse(path, data, seen)
		all = append(all, d.exemptions()...)
		problems = append(problems, d.problems...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return all, nil
}

// unreadable is the problem of a file of which nothing is known.
func unreadable(path string, err error) Problem {
	what := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		what = p.Err // the path is said already
	}
	return Problem{File: path, What: "cannot be read: " + what.Error(), Fix: readFix(err), cause: err}
}

// readFix tells what to do about a file that cannot be read.
func readFix(err error) string {
	fix := input.Fix(err, "files", maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		fix += "; one without exemptions can be empty"
	}
	return fix
}
