// SPDX-License-Identifier: Apache-2.0

package tunnel

// InspectBatch looks whether packets can be read and written many at once. It costs
// speed only where they cannot.
func InspectBatch() Finding {
	if err := CanBatch(); err != nil {
		return Finding{
			Check: "io_uring", Level: LevelAdvice, What: "packets are read and written one by one: " + err.Error(),
			Effect: "of small packets, at least twice as many passed with io_uring",
			Fix:    "Linux 6.7 or newer; sysctl -w kernel.io_uring_disabled=0; a seccomp filter (containers) has to allow it",
		}
	}
	return Finding{Check: "io_uring", Level: LevelOK, What: "packets are read and written many at once"}
}
