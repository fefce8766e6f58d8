// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// mostName is how long the name of a stored descriptor may be, in octets.
const mostName = 255

// unnamed is what a descriptor stored without a name is called.
const unnamed = "stored"

// message is what one datagram says, as in sd_notify(3).
type message struct {
	ready, reloading, stopping bool

	alive bool // WATCHDOG=1
	hung  bool // WATCHDOG=trigger: it says so itself

	mainPID int // 0: not named

	store, remove bool
	name          string // of what is stored or removed
	unpolled      bool   // FDPOLL=0
}

// parse reads the text of a datagram that came with so many descriptors. Lines
// that it does not know are for other service managers.
func parse(text string, descriptors int) (message, error) {
	m := message{name: unnamed}
	named := false
	if strings.ContainsRune(text, 0) {
		return m, errors.New("it holds a NUL")
	}
	for line := range strings.Lines(text) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); key {
		case "READY":
			m.ready = value == "1"
		case "RELOADING":
			m.reloading = value == "1"
		case "STOPPING":
			m.stopping = value == "1"
		case "WATCHDOG":
			m.alive, m.hung = value == "1", value == "trigger"
		case "MAINPID":
			pid, err := strconv.ParseInt(value, 10, 32)
			if err != nil || pid <= 1 { // 1 is never a program of ours
				return m, fmt.Errorf("MAINPID is %.20q", value)
			}
			m.mainPID = int(pid)
		case "FDSTORE":
			m.store = value == "1"
		case "FDSTOREREMOVE":
			m.remove = value == "1"
		case "FDNAME":
			if !validName(value) {
				return m, fmt.Errorf("FDNAME is %.20q", value)
			}
			m.name, named = value, true
		case "FDPOLL":
			m.unpolled = value == "0"
		}
	}
	switch {
	case m.store && m.remove:
		return m, errors.New("FDSTORE and FDSTOREREMOVE are in one")
	case m.store && descriptors != 1:
		// systemd takes several under one name; here a name means one descriptor.
		return m, fmt.Errorf("FDSTORE came with %d descriptors, not with one", descriptors)
	case m.remove && !named:
		return m, errors.New("FDSTOREREMOVE came without FDNAME")
	}
	return m, nil
}

// validName reports whether a name can stand in LISTEN_FDNAMES, which a colon
// separates.
func validName(name string) bool {
	if name == "" || len(name) > mostName {
		return false
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == ':' {
			return false
		}
	}
	return true
}
