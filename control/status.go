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
	// Verdicts counts by direction, action and reason what was decided.
	Verdicts map[string]map[string]map[string]uint64 `json:"verdicts"`
	// Drops counts by direction and reason what was dropped without an answer.
	Drops map[string]map[string]uint64 `json:"drops"`
	// Refused counts attempts to reach a blocked port, whatever the answer.
	Refused uint64 `json:"refused"`
	// Monitored counts attempts that went through and would have been refused.
	Monitored uint64 `json:"monitored"`
	// MonitoredReasons counts by direction and reason all packets that went through
	// and would have been refused or dropped.
	MonitoredReasons map[string]map[string]uint64 `json:"monitored_reasons"`
	// Attempts are what packets to blocked ports are made of.
	Attempts  AttemptsStatus  `json:"attempts"`
	Notice    NoticeStatus    `json:"notice"`
	SelfCheck SelfCheckStatus `json:"self_check"`
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

	// Leases are the sources that say who has an address, as configured.
	Leases []LeaseStatus `json:"leases"`
	// Journal keeps the history; nil if it is off.
	Journal *JournalStatus `json:"journal,omitempty"`
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
	// DynamicPrefixes is how many of Prefixes are dynamic: refused the ports, as far
	// as a rollout does not put it off.
	DynamicPrefixes int      `json:"dynamic_prefixes"`
	Ports           []uint16 `json:"ports"`

	// Effective is the moment that the policy is for: the rollout's clock, which never
	// runs backwards.
	Effective time.Time `json:"effective"`
	// Active are the phases and brownouts in force then, Next is what follows; nil if
	// nothing is planned.
	Active     []ActiveStatus   `json:"active"`
	Next       *NextStatus      `json:"next,omitempty"`
	Exemptions ExemptionsStatus `json:"exemptions"`
}

// ActiveStatus is a phase or a brownout that is in force.
type ActiveStatus struct {
	Name string `json:"name"`
	// Mode has the configuration's words: "refuse", or "monitor", which refuses
	// nothing and counts what would be.
	Mode string `json:"mode"`
	// Pools are those that it takes in. Empty: every dynamic pool that is in a phase.
	Pools []string `json:"pools"`
	// Destinations are the groups that it covers. Empty: every destination.
	Destinations []string `json:"destinations"`
	// SharePercent is how many of the subscribers it takes in.
	SharePercent float64   `json:"share_percent"`
	Since        time.Time `json:"since"`
	// Until is when it ends. Zero: it stays.
	Until time.Time `json:"until,omitzero"`
}

// NextStatus is when the policy changes next by itself.
type NextStatus struct {
	Time time.Time `json:"time"`
	// What happens then, as in "phase everybody begins".
	What []string `json:"what"`
}

// ExemptionsStatus counts exemptions at the moment that the policy is for.
type ExemptionsStatus struct {
	Active int `json:"active"`
	// Expiring are those of Active that end within 14 days.
	Expiring int `json:"expiring"`
	// Expired ones are still in the files and do nothing.
	Expired int `json:"expired"`
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

// LeaseStatus is a source that says who has an address. No verdict depends on it.
type LeaseStatus struct {
	Name string `json:"name"`
	// Kind has the configuration's words.
	Kind   string `json:"kind"`
	Leases int    `json:"leases"`
	// LastSuccess is when it could last be asked. Zero: never.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// BadLines counts what was skipped because it could not be understood: lines since
	// the whole was last read, or packets since the start.
	BadLines uint64 `json:"bad_lines"`
	// Error is why it cannot be asked now. Empty: it can, or was not asked yet.
	Error string `json:"error,omitempty"`
}

// JournalStatus is how the history is kept.
type JournalStatus struct {
	Path string `json:"path"`
	// Size is the file's and its log's.
	Size int64 `json:"size_octets"`
	// Waiting is how many entries are not yet written.
	Waiting int `json:"waiting"`
	// Lost counts entries that never will be.
	Lost uint64 `json:"lost"`
	// Error is why nothing can be written now. Empty: it can.
	Error string `json:"error,omitempty"`
}

// AttemptsStatus is how attempts are counted.
type AttemptsStatus struct {
	// Outcomes counts attempts by outcome: "refused", "monitored", "not_in_force",
	// "exempt", "relayed". Retries of one are one.
	Outcomes map[string]uint64 `json:"outcomes"`
	// Queued is how many packets wait to be counted, of Room.
	Queued int `json:"queued"`
	Room   int `json:"room"`
	// Lost counts packets that nobody could look at in time.
	Lost uint64 `json:"lost"`
	// Subscribers is how many have tried in this hour. Overflowed counts attempts of
	// those for whom there was no room.
	Subscribers int    `json:"subscribers"`
	Overflowed  uint64 `json:"overflowed"`
	// Watchers is how many look at attempts as they come.
	Watchers int `json:"watchers"`
}

// NoticeStatus is how "response: notice" is served.
type NoticeStatus struct {
	// Open is how many connections there are now.
	Open int `json:"open"`
	// Greeted counts connections that were told, FellBack those that were reset
	// instead, since there were too many.
	Greeted  uint64 `json:"greeted"`
	FellBack uint64 `json:"fell_back"`
}

// SelfCheckStatus is how subscribers' page about their own line is served.
type SelfCheckStatus struct {
	Open     int    `json:"open"`
	Requests uint64 `json:"requests"`
	// Refused counts connections and requests that were too many.
	Refused uint64 `json:"refused"`
}
