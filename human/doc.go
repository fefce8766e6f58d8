// SPDX-License-Identifier: Apache-2.0

// Package human writes numbers and durations for people, the same on every page, in the
// terminal and in reports.
package human
