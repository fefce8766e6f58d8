// SPDX-License-Identifier: Apache-2.0

package door

// Step is what was to be done with a socket.
type Step string

// The steps of [Bind], in their order, and that of [Socket.Publish].
const (
	MakeDirectory Step = "create the socket's directory"
	Listen        Step = "create the socket"
	SetRights     Step = "set the socket's rights"
	Look          Step = "look at the socket"
	PutInPlace    Step = "put the socket in place"
)

// Error says which step failed. The caller puts it into words of its own, with what to
// change.
type Error struct {
	Step Step
	// Err is what package os or net returned.
	Err error
}

// Error returns the step and why it failed.
func (e *Error) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap returns why the step failed.
func (e *Error) Unwrap() error { return e.Err }
