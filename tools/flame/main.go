// SPDX-License-Identifier: Apache-2.0

// Command flame draws a flame graph of what perf has sampled: each box is a function,
// as wide as it and what it calls were seen, and stands on its caller (Gregg, "The Flame
// Graph", CACM 2016). The picture is static, and small enough for a page of docs.
//
//	perf record -F 499 -a -g -- sleep 5
//	perf script -F comm,ip,sym | flame -title "TCP up" >flame.svg
package main

import (
	"bufio"
	"flag"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	title := flag.String("title", "", "what was sampled")
	least := flag.Float64("least", 0.4, "leave out boxes of less than so many percent")
	flag.Parse()
	root, err := read(os.Stdin)
	if err == nil {
		err = draw(os.Stdout, root, *title, *least)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flame:", err)
		os.Exit(1)
	}
}

// box is a function below its caller.
type box struct {
	name    string
	samples int
	calls   map[string]*box
}

func (b *box) call(name string) *box {
	if b.calls == nil {
		b.calls = map[string]*box{}
	}
	if b.calls[name] == nil {
		b.calls[name] = &box{name: name}
	}
	return b.calls[name]
}

// read adds up the samples of perf script: a line with the program's name, a line for
// each function from the innermost out, and an empty line.
func read(r io.Reader) (*box, error) {
	root := &box{name: "all"}
	var program string
	var stack []string
	end := func() {
		if program == "" || program == "swapper" { // nobody ran
			program, stack = "", nil
			return
		}
		at := root
		at.samples++
		slices.Reverse(stack)
		for _, name := range append([]string{program}, stack...) {
			at = at.call(name)
			at.samples++
		}
		program, stack = "", nil
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		switch words := strings.Fields(line); {
		case len(words) == 0:
			end()
		case line[0] != ' ' && line[0] != '\t':
			program = words[0]
		case len(words) > 1:
			stack = append(stack, words[1])
		}
	}
	end()
	return root, lines.Err()
}

const (
	width, row, margin = 1200.0, 16.0, 24.0
	letter             = 6.2 // how wide one is
)

func draw(w io.Writer, root *box, title string, least float64) error {
	if root.samples == 0 {
		return fmt.Errorf("there is no sample in the input: is it perf script's, with -F comm,ip,sym?")
	}
	small := int(least / 100 * float64(root.samples))
	height := float64(depth(root, small))*row + 2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="ui-monospace, monospace" font-size="10.5">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n"+`<text x="8" y="16" font-size="13" font-family="sans-serif">%s: %d samples, idle ones left out</text>`+"\n",
		html.EscapeString(title), root.samples)
	root.draw(&b, 0, height-margin-row, width/float64(root.samples), small, root.samples)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// depth is how many rows there are, without boxes that are too small.
func depth(b *box, small int) (rows int) {
	for _, c := range b.calls {
		if c.samples > small {
			rows = max(rows, depth(c, small))
		}
	}
	return rows + 1
}

func (b *box) draw(w *strings.Builder, x, y, scale float64, small, all int) {
	wide := float64(b.samples) * scale
	name := html.EscapeString(b.name)
	fmt.Fprintf(w, `<g><title>%s: %.1f %%</title><rect x="%.1f" y="%.0f" width="%.1f" height="%g" fill="%s" stroke="#fff" stroke-width=".5"/>`,
		name, 100*float64(b.samples)/float64(all), x, y, wide, row-1, color(b.name))
	if room := int((wide - 4) / letter); room > 2 {
		if len(b.name) > room {
			name = html.EscapeString(b.name[:room-1]) + "…"
		}
		fmt.Fprintf(w, `<text x="%.1f" y="%.0f">%s</text>`, x+2, y+row-4.5, name)
	}
	w.WriteString("</g>\n")
	for _, key := range slices.Sorted(maps.Keys(b.calls)) {
		c := b.calls[key]
		if c.samples > small {
			c.draw(w, x, y-row, scale, small, all)
		}
		x += float64(c.samples) * scale
	}
}

// color is of a warm hue, the same for the same name; our own functions are blue.
func color(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	v := h.Sum32()
	if strings.Contains(name, "op25b") || strings.Contains(name, "runtime.") {
		return fmt.Sprintf("hsl(%d 60%% 75%%)", 200+v%25)
	}
	return fmt.Sprintf("hsl(%d 85%% %d%%)", 15+v%35, 68+v/7%12)
}
