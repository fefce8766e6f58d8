// SPDX-License-Identifier: Apache-2.0

// Package rollout says what of a rollout is in force at a moment, and by which
// time that goes.
//
// A [Schedule] is what the operator announced: phases that begin and stay,
// brownouts that begin and end. It is plain data. Its methods are pure and may be
// called from any number of goroutines as long as nobody changes it. A moment at
// which it changes is a boundary: what holds at one holds until the next.
//
// A [Clock] is the time that a rollout goes by. It never goes back, and a jump of
// the machine's clock neither begins nor ends anything until it has proved true.
// It is safe for concurrent use.
//
// Who switches asks for the time once a second, takes what has been passed since
// he last asked, in order, and builds for the next boundary ahead of it:
//
//	now := clock.Now()
//	passed := schedule.Boundaries(last, now)
//	next, ok := schedule.Next(now)
//
// More than one is passed at once after a machine has slept.
package rollout
