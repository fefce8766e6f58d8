// SPDX-License-Identifier: Apache-2.0

// Package metrics shows a gateway's status to Prometheus and to whatever asks
// whether a gateway lives and is ready. What goes in is a [control.Status]; what
// comes out is HTTP on a port of its own, without a password: control.metrics is a
// loopback address unless the operator says otherwise.
//
//	/metrics   every number of the status, in Prometheus' formats
//	/healthz   200 while no worker is stuck, else 503
//	/readyz    200 while nothing is wrong, else 503 and what is, a line each;
//	           with ?traffic=only while packets flow
//	/          links to these
//
// # What it never tells
//
// Who may read metrics need not be who may read the status. So no metric has an
// address, a packet or a sentence in a label: labels are the closed sets of
// package control, and the names that the operator gave to phases, lease sources
// and interfaces. A line of /readyz has (address) where the status has one.
//
// # What a client can do to a gateway
//
// Keep one of 16 connections busy for a few seconds. The gateway is asked for its
// status once a second at most for /metrics, and once for the others, however many
// ask. The packet path shares nothing with this package but the counters.
//
// A [Server] and a [Collector] may be used by many goroutines at once.
package metrics
