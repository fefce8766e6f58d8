// SPDX-License-Identifier: Apache-2.0

// Package screen shows a running gateway on a terminal: how much it forwards, what it
// refuses, to whom, and what is wrong. [Run] is a view that stays and follows the
// gateway, through its restarts too; [Plain] writes one moment as text.
//
// In go readings of a gateway, a [control.Status] and a [control.Top], which Run asks
// for and never writes to. What is shown per second is the difference of two of them; a
// gateway that started in between has none, rather than a wrong one.
//
// What a gateway says may hold what customers or files have said. Before it is shown,
// whatever could steer the terminal is taken out of it.
//
// Run belongs to one goroutine and one terminal. Plain may be called by many.
package screen
