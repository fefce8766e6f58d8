// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// schemaVersion is the version of the results that this program reads.
const schemaVersion = 2

// report is what it needs of the results.
type report struct {
	SchemaVersion int    `json:"schema_version"`
	Machine       string `json:"machine"`
	Processors    int    `json:"processors"`
	Kernel        string `json:"kernel"`
	Rounds        int    `json:"rounds"`
	Peers         []peer `json:"peers"`
}

type peer struct {
	Name    string             `json:"name"`
	Medians map[string]float64 `json:"medians"`
}

func readReport(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read results in %s: %w", path, err)
	}
	if r.SchemaVersion != schemaVersion {
		return nil, fmt.Errorf("results in %s have schema version %d; run the benchmark again", path, r.SchemaVersion)
	}
	return &r, nil
}

// basis says what a value comes from.
func (r *report) basis() string {
	if r.Rounds == 1 {
		return "one round"
	}
	return fmt.Sprintf("medians of %d rounds", r.Rounds)
}

// label returns the name of a peer for people.
func label(name string) string {
	known := map[string]string{
		"kernel":        "kernel + nft",
		"c_kernel":      "C relay, one way",
		"c_router":      "C relay, both ways",
		"wireguard":     "wireguard-go relay",
		"netstack":      "gVisor netstack",
		"netstack_bulk": "gVisor netstack, super-packets",
		"all_kernel":    "op25b, one way",
		"all_router":    "op25b, both ways",
		"smtp_kernel":   "op25b, mail only",
	}
	if l, ok := known[name]; ok {
		return l
	}
	return name
}
