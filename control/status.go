// SPDX-License-Identifier: Apache-2.0

package control

import "time"

// State is how a gateway is.
type State string

// The states of a gateway.
const (
	StateOK       State = "ok"
	StateDegraded State = "degraded" // packets flow, but not as they should: see the problems
	StateStarting State = "starting" // packets do not flow yet
	StateStopping State = "stopping" // the kernel forwards by itself again
)

// Role is the side that an interface stands for.
type Role string

// The roles of interfaces.
const (
	RoleSubscriber Role = "subscriber"
	RoleUpstream   Role = "upstream"
)

// Status is what a gateway knows of itself at one moment. Taken while packets
// flow, its counters may be a packet apart. Counters start at zero with the
// process.
type Status struct {
	Version  string    `json:"version"`
	Revision string    `json:"revision"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`

	State State `json:"state"`
	// Problems is empty unless the gateway is degraded.
	Problems []Problem `json:"problems"`

	Policy PolicyStatus `json:"policy"`
	// Reload is the last attempt; nil if there was none.
	Reload *ReloadStatus `json:"reload,omitempty"`

	Interfaces []InterfaceStatus `json:"interfaces"`
	// Capture, ReturnPath and OnExit have the configuration's words.
	Capture    string `json:"capture"`
	ReturnPath string `json:"return_path"`
	OnExit     string `json:"on_exit"`

	Workers []WorkerStatus `json:"workers"`
	// Packets counts by direction ("outbound", "inbound"): "frames", "octets" and
	// each fate. The fates add up to the frames.
	Packets map[string]map[string]uint64 `json:"packets"`
	// Drops counts by direction and reason what was dropped without an answer.
	Drops map[string]map[string]uint64 `json:"drops"`
	// Refused counts attempts to reach a blocked port, whatever the answer.
	Refused uint64 `json:"refused"`
	// Errors counts by class what went wrong outside of the gateway.
	Errors map[string]uint64 `json:"errors"`

	// Panics are the latest packets that the gateway could not handle because of
	// a fault of its own, the latest first; PanicsTotal counts them all.
	Panics      []PanicStatus `json:"panics"`
	PanicsTotal uint64        `json:"panics_total"`
	// Healed counts what somebody else had changed in the kernel and the gateway
	// has put back.
	Healed uint64 `json:"healed"`
	// Shed counts SYNs of floods that the kernel dropped instead of giving them to the
	// gateway: they are in no other counter.
	Shed uint64 `json:"shed"`
}

// Problem is what is wrong now, for people.
type Problem struct {
	Since time.Time `json:"since"`
	What  string    `json:"what"`
	// Effect is what it does to customers.
	Effect string `json:"effect"`
	// Fix is what to type or to change.
	Fix string `json:"fix"`
}

// PolicyStatus is the policy in force.
type PolicyStatus struct {
	// Generation counts policies from 1, and on from a predecessor's.
	Generation int       `json:"generation"`
	Loaded     time.Time `json:"loaded"`
	File       string    `json:"file"`
	Pools      int       `json:"pools"`
	Prefixes   int       `json:"prefixes"`
	// DynamicPrefixes is how many of Prefixes are refused the ports.
	DynamicPrefixes int      `json:"dynamic_prefixes"`
	Ports           []uint16 `json:"ports"`
}

// ReloadStatus is how the last reload went.
type ReloadStatus struct {
	Time time.Time `json:"time"`
	OK   bool      `json:"ok"`
	// Error is why the old policy stayed in force. Empty: it did not.
	Error string `json:"error,omitempty"`
}

// InterfaceStatus is one of the gateway's own two interfaces.
type InterfaceStatus struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	// MTU is in octets.
	MTU    int `json:"mtu"`
	Queues int `json:"queues"`
	// Offload is which super-packets pass whole.
	Offload string `json:"offload"`
	IOUring bool   `json:"io_uring"`
	// Adopted tells a TUN interface that was taken over from another process
	// from one that this process made.
	Adopted bool `json:"adopted"`
}

// WorkerStatus is one goroutine of the packet path.
type WorkerStatus struct {
	Direction string `json:"direction"`
	Queue     int    `json:"queue"`
	Frames    uint64 `json:"frames"`
	Octets    uint64 `json:"octets"`
	// Progress is when it was last seen to move. Zero: not yet.
	Progress time.Time `json:"progress,omitzero"`
	// Stalled: packets wait, and it does not move.
	Stalled bool `json:"stalled"`
}

// PanicStatus is a packet that the gateway dropped because of a fault of its own.
type PanicStatus struct {
	Time      time.Time `json:"time"`
	Direction string    `json:"direction"`
	Reason    string    `json:"reason"`
	// Packet is its first 128 octets at most, in hexadecimal.
	Packet string `json:"packet"`
}
