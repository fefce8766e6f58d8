// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"op25b/config/input"
)

// maxFileSize is in bytes. A file that lists every address of a large ISP stays
// far below it; a wrong path such as a device does not.
const maxFileSize = 16 << 20

// Load reads the configuration at path, completed by the environment and the
// defaults. What is wrong with the content is returned as [Problems], all of
// it; what keeps the file from being read as an error that wraps the
// [*fs.PathError]. The Config is nil if there is an error.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w%s", err, hint(err))
	}
	c, problems := load(path, data)
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// load is Load after the file was read; the lists that it names were not.
func load(file string, data []byte) (*Config, Problems) {
	src := parse(file, data)
	if src.unreadable {
		return nil, src.problems
	}
	c, decoding := merge(src)
	problems := append(src.problems, decoding...)
	problems = append(problems, strayVariables(os.Environ())...)
	c.complete()
	problems = append(problems, src.fill(c, suspects(src, problems))...)
	problems = append(problems, validate(c, src.origin, suspects(src, problems))...)
	c.resolve(src.origin)
	problems.sort()
	for _, l := range src.opened {
		problems = append(problems, l.problems()...)
	}
	return c, problems
}

// suspects are the paths about which nothing more needs to be said.
func suspects(src *source, problems Problems) map[string]bool {
	out := map[string]bool{}
	for path := range src.meant {
		_, written := src.lines[path]
		out[path] = !written
	}
	for _, p := range problems {
		out[p.Path] = true
	}
	for path, variable := range src.origin.variables {
		if out[variable] {
			out[path] = true
		}
	}
	return out
}

// readFile takes a pipe as well, as in op25b check -c <(...).
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return input.ReadAll(f, maxFileSize)
}

// hint tells what to do about a file that cannot be read, if there is something
// to tell.
func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ": name an existing file with -c FILE"
	case errors.Is(err, fs.ErrPermission):
		return ": run as root, or let this user read the file"
	case errors.Is(err, syscall.EISDIR):
		return ": name a file inside it with -c FILE"
	case errors.Is(err, syscall.EFBIG):
		return fmt.Sprintf(": a configuration has at most %d MiB", maxFileSize>>20)
	}
	return ""
}
