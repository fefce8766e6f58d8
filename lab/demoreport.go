// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
)

// demoSchema is the version of [DemoReport]; it grows when a field changes its
// meaning.
const demoSchema = 1

// DemoReport is the outcome of a demo, the document that DemoOptions.JSON asks
// for.
type DemoReport struct {
	SchemaVersion int        `json:"schema_version"`
	Steps         []DemoStep `json:"steps"`
	OK            bool       `json:"ok"`
	// Error says why the demo failed or was not played to its end.
	Error string `json:"error,omitempty"`
	// Namespaces are the names by role, while a network is kept.
	Namespaces map[string]string `json:"namespaces,omitempty"`

	published bool
}

// DemoStep is the outcome of one step.
type DemoStep struct {
	Name         string  `json:"name"`
	Family       string  `json:"family"` // IPv4 or IPv6
	Expect       string  `json:"expect"`
	Got          string  `json:"got"`
	OK           bool    `json:"ok"`
	Milliseconds float64 `json:"milliseconds"`
}

func newDemoReport() *DemoReport {
	return &DemoReport{SchemaVersion: demoSchema, Steps: []DemoStep{}}
}

func (r *DemoReport) failed() int {
	n := 0
	for _, step := range r.Steps {
		if !step.OK {
			n++
		}
	}
	return n
}

// publish writes the document, if one is wanted. It is called once.
func (r *DemoReport) publish(opts DemoOptions, err error) error {
	r.published = true
	r.OK = err == nil
	if err != nil {
		r.Error = err.Error()
	}
	if !opts.JSON {
		return nil
	}
	encoder := json.NewEncoder(opts.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // the arrows in the names
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
