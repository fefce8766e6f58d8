// SPDX-License-Identifier: Apache-2.0

// Package report makes of what a census has counted what people decide by: who would be
// or is refused, whose mail program is misconfigured and whose computer is infected, on
// what evidence and how sure, who lends an address to triangular spam, which exemptions
// end, and how the rollout goes. It judges nobody: every finding has its evidence, and
// what to do is for people.
package report
