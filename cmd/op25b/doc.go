// SPDX-License-Identifier: Apache-2.0

// Command op25b is a gateway that refuses direct connections to port 25 from
// dynamically assigned addresses and forwards everything else.
package main
