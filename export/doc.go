// SPDX-License-Identifier: Apache-2.0

// Package export writes a compiled policy as a rule set for another router.
//
// A [Request] goes in, a [Document] comes out: text that the router loads, which
// begins with comments about how, and about what it cannot do that op25b does.
// Nothing is read or written here, and no clock is asked: the same request gives
// the same text. All is safe for any number of goroutines.
//
// Every target refuses the same thing, in this order: what goes to a relay passes;
// static sources are in no list, since longest-prefix matching is resolved
// beforehand; from all others, segments that open a connection to a blocked port
// are refused (all segments, if established connections are judged). Fragments are
// the place where rule sets open: each target's file says how its own are kept shut.
package export
