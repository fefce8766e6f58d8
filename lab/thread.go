// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// errAborted is what a function leaves behind that ended its goroutine instead
// of returning, as t.Fatal does.
var errAborted = errors.New("function did not return")

// onThread runs fn on a goroutine and a thread of their own and returns fn's
// error. fn may move its thread to another namespace; see keepNamespace.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errAborted
		defer func() { done <- err }()
		err = keepNamespace(fn)
	}()
	return <-done
}

// keepNamespace locks the goroutine to its thread, runs fn, and puts the thread
// back into the network namespace it came from.
//
// A thread that cannot be put back stays locked, so that the runtime discards it
// when the goroutine ends. Discarding every thread would be simpler, but the
// runtime never ends the main thread: it would park in the namespace and keep
// it alive.
func keepNamespace(fn func() error) error {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("find own network namespace: %w", err)
	}
	defer func() {
		defer origin.Close()
		if netns.Set(origin) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}
