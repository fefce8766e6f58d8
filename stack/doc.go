// SPDX-License-Identifier: Apache-2.0

// Package stack moves packets: [Router] reads frames from two ports, asks
// package filter, and forwards, answers, drops, or hands to the router's own
// host side, a gVisor netstack.
//
// # A packet's way
//
//		   subscribers                                             upstream
//		       │ kernel: rule, table 25                                ▲ kernel: main table
//		       ▼                                                       │
//		┌─────────────┐  1 read  ┌──────────────────────┐  4 write ┌────────────┐
//		│  op25b-sub  │ ───────▶ │ worker               │ ───────▶ │  op25b-up  │
//		│  TUN queues │ ◀─────── │ 2 Decide  3 hop, MTU │          │ TUN queues │
//		└─────────────┘  answer  └──────────┬───────────┘          └────────────┘
//		                                    ▼ addressed to the router
//		                               netstack host
//
//	 1. One read returns one frame, a super-packet whole.
//	 2. [filter.Policy.Decide] judges it.
//	 3. The hop limit is put right, and the size held against the way out.
//	 4. The same bytes are written to the other port.
//
// There is one worker for each direction and queue, locked to a thread, with
// two buffers of its own: one for the frame, one for an answer. No channel and
// no other goroutine is in the way of a forwarded packet; no lock is taken, no
// clock is read, nothing is allocated. Counters belong to the worker alone.
//
// # The hop limit
//
// The gateway is one hop, but the kernel forwards each packet twice, into the
// TUN and out of it, and takes one from the hop limit each time. A third one
// taken here would show the gateway three times in a traceroute. So the loop
// gives one back. A packet whose hop limit ends on the way in was answered by
// the kernel with "time exceeded" before it got here; the loop answers only
// those that arrive with nothing left. See [Hop].
package stack
