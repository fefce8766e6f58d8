// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mostStored is how many descriptors are kept.
const mostStored = 64

// store keeps the program's descriptors open while it does not run. It owns
// them. They are in the order in which their names first came.
type store []stored

type stored struct {
	name   string
	fd     int
	polled bool
}

// put takes a descriptor over, and closes the one that had its name before. With
// an error it stays the caller's.
func (s *store) put(n stored) error {
	i := s.find(n.name)
	switch {
	case i >= 0:
		_ = unix.Close((*s)[i].fd)
		(*s)[i] = n
	case len(*s) == mostStored:
		return fmt.Errorf("%d descriptors are stored already", mostStored)
	default:
		*s = append(*s, n)
	}
	return nil
}

func (s *store) remove(name string) {
	if i := s.find(name); i >= 0 {
		_ = unix.Close((*s)[i].fd)
		*s = slices.Delete(*s, i, i+1)
	}
}

func (s *store) find(name string) int {
	return slices.IndexFunc(*s, func(d stored) bool { return d.name == name })
}

// pollFds asks for nothing: errors and hangups come unasked. poll(2) skips
// negative descriptors.
func (s *store) pollFds(fds []unix.PollFd) []unix.PollFd {
	for _, d := range *s {
		fd := d.fd
		if !d.polled {
			fd = -1
		}
		fds = append(fds, unix.PollFd{Fd: int32(fd)})
	}
	return fds
}

// expel closes the descriptors that poll reported: a TUN whose interface was
// deleted, a connection whose peer has gone. It returns their names.
func (s *store) expel(polled []unix.PollFd) []string {
	var names []string
	for i, d := range *s {
		if polled[i].Revents != 0 {
			names = append(names, d.name)
		}
	}
	for _, name := range names {
		s.remove(name)
	}
	return names
}

// names is the value of LISTEN_FDNAMES.
func (s *store) names() string {
	names := make([]string, len(*s))
	for i, d := range *s {
		names[i] = d.name
	}
	return strings.Join(names, ":")
}

func (s *store) close() {
	for _, d := range *s {
		_ = unix.Close(d.fd)
	}
	*s = nil
}
