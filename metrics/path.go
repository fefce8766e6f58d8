// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"strconv"

	"op25b/control"
)

// pathFamilies say what packets pass through: interfaces and workers. Their
// counters start at zero when the interfaces are made anew.
func pathFamilies() []family {
	side := []string{"interface", "role"}
	lane := []string{"direction", "queue"}
	return []family{
		gauge("op25b_interface_offload", "Which super-packets pass an interface whole: always 1", []string{"interface", "role", "offload"},
			func(s *control.Status, out sink) {
				for _, i := range s.Interfaces {
					out(1, i.Name, string(i.Role), cmp.Or(i.Offload, "none"))
				}
			}),
		gauge("op25b_interface_queues", "Queues of an interface", side,
			interfaces(func(i *control.InterfaceStatus) float64 { return float64(i.Queues) })),
		gauge("op25b_interface_mtu_bytes", "MTU of an interface", side,
			interfaces(func(i *control.InterfaceStatus) float64 { return float64(i.MTU) })),
		gauge("op25b_interface_io_uring", "Whether packets are read from it in batches", side,
			interfaces(func(i *control.InterfaceStatus) float64 { return yes(i.IOUring) })),
		gauge("op25b_interface_adopted", "Whether it was taken over from another process", side,
			interfaces(func(i *control.InterfaceStatus) float64 { return yes(i.Adopted) })),
		level("op25b_workers", "Goroutines of the packet path; 0: packets do not flow through op25b",
			func(s *control.Status) int { return len(s.Workers) }),
		counter("op25b_worker_frames_total", "Packets that a worker has read", lane,
			workers(func(w *control.WorkerStatus) float64 { return float64(w.Frames) })),
		counter("op25b_worker_octets_total", "Their octets", lane,
			workers(func(w *control.WorkerStatus) float64 { return float64(w.Octets) })),
		gauge("op25b_worker_stalled", "Whether packets wait and the worker does not get on", lane,
			workers(func(w *control.WorkerStatus) float64 { return yes(w.Stalled) })),
		gauge("op25b_worker_progress_timestamp_seconds", "When it was last seen to move; 0: not yet", lane,
			workers(func(w *control.WorkerStatus) float64 { return seconds(w.Progress) })),
	}
}

func interfaces(of func(*control.InterfaceStatus) float64) func(*control.Status, sink) {
	return func(s *control.Status, out sink) {
		for i := range s.Interfaces {
			out(of(&s.Interfaces[i]), s.Interfaces[i].Name, string(s.Interfaces[i].Role))
		}
	}
}

func workers(of func(*control.WorkerStatus) float64) func(*control.Status, sink) {
	return func(s *control.Status, out sink) {
		for i := range s.Workers {
			out(of(&s.Workers[i]), s.Workers[i].Direction, strconv.Itoa(s.Workers[i].Queue))
		}
	}
}
