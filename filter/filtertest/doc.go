// SPDX-License-Identifier: Apache-2.0

// Package filtertest builds packets for tests: whole and cut, honest and lying.
//
//	syn := filtertest.TCP("100.64.0.2:40000", "203.0.113.25:25")
//	syn.Bytes()                                  // a valid SYN
//	syn.Flags(filtertest.SYN | filtertest.ECE).Data("EHLO").Bytes()
//	syn.Checksum(filtertest.Bad).Length(30).Bytes()
//	syn.Cut(8, 24)                               // three fragments
//
// The family follows from the addresses; everything else works alike for IPv4
// and IPv6. A [Packet] is a value: each method returns a changed copy, so one
// packet can be the base of a whole table, and goroutines may share it. What a
// builder is not told is as an ordinary sender would have it: lengths true,
// checksums good, TTL 64.
//
// The builders panic on what they cannot parse or encode: in a test, that is a
// typo.
package filtertest
