// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"op25b/control"
)

// Explain is not there yet. See [control.Gateway].
func (g *gateway) Explain(context.Context, control.ExplainOptions) (control.Explanation, error) {
	return control.Explanation{}, errors.ErrUnsupported
}
