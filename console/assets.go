// SPDX-License-Identifier: Apache-2.0

package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
)

//go:embed assets
var assetFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// asset is a file that pages are made with.
type asset struct {
	contentType string
	body        []byte
	version     string
}

// loadAssets returns the files by the path that browsers ask for.
func loadAssets() (map[string]asset, error) {
	const script, style = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
	loaded := map[string]asset{}
	for _, f := range []struct{ path, file, contentType string }{
		{"/assets/console.css", "console.css", style},
		{"/assets/console.js", "console.js", script},
		{"/assets/icon.svg", "icon.svg", "image/svg+xml"},
		{"/assets/htmx.js", "vendor/htmx.min.js", script},
		{"/assets/uplot.js", "vendor/uPlot.iife.min.js", script},
		{"/assets/uplot.css", "vendor/uPlot.min.css", style},
	} {
		body, err := assetFiles.ReadFile("assets/" + f.file)
		if err != nil {
			return nil, fmt.Errorf("load the console's files: %w", err)
		}
		sum := sha256.Sum256(body)
		loaded[f.path] = asset{contentType: f.contentType, body: body, version: hex.EncodeToString(sum[:6])}
	}
	return loaded, nil
}

// link returns the address of a file as it is in this program, so that a browser that
// has an older one asks again.
func (s *Server) link(path string) string { return path + "?v=" + s.assets[path].version }

// asset returns the file that is asked for, or nil where it is none. Files are for
// everybody: the login page needs them too.
func (s *Server) asset(r *http.Request) *reply {
	file, known := s.assets[r.URL.Path]
	if !known || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	a := &reply{contentType: file.contentType, body: file.body}
	if r.URL.RawQuery == "v="+file.version {
		a.with("Cache-Control", "private, max-age=31536000, immutable")
	}
	return a
}
