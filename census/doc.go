// SPDX-License-Identifier: Apache-2.0

// Package census counts who tries to reach a blocked port, and whom. It is told of
// packets and makes attempts of them: what one click causes, a SYN that is tried again
// and again, is one. It knows every subscriber exactly, within bounds that are fixed
// when it is made, and hands on an hour at a time what it has counted.
//
// It holds no payload, and only what the last hour or so has seen: what is older is for
// whoever takes its records.
package census
