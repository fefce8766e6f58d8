// SPDX-License-Identifier: Apache-2.0

// Package population simulates subscribers who try to send mail directly, and what a
// census counts of them: misconfigured mail programs and servers, bots, scanners, and
// those who only lend an address. What each is, is known, so that judgments about them
// can be checked.
//
// The same seed gives the same population, on every machine. How the kinds behave is an
// assumption, written down with each of them; nothing here was measured on subscribers.
// They overlap on purpose: a queue that is refused tries around the clock as bots do, and
// there are bots that keep office hours.
package population
