// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
)

// outcome is what became of a mutant.
type outcome string

const (
	untested outcome = ""
	killed   outcome = "killed"
	survived outcome = "SURVIVED"
	broken   outcome = "does not compile"
)

// mutant is one change.
type mutant struct {
	file   string
	line   int
	change string

	// number and kind switch it on in the build that holds all of them.
	number int
	kind   kind
	// source is the whole file instead, where it needs a build of its own.
	source []byte

	outcome outcome
}

// String returns "file.go:12: a < b: always true".
func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.file, m.line, m.change) }

// kind is what a switched mutant does at its place. The numbers are those of
// schema.
type kind int

const (
	always kind = iota + 1
	never
	offByOne // the comparison says the other thing where both sides are equal
	dropped  // the statement does nothing
)

func (k kind) String() string {
	return [...]string{"", "always true", "never true", "off by one", "dropped"}[k]
}

// schema is added to the package: it switches the mutant on that the environment
// names, or writes down which way each place goes, once each.
const schema = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

var mutantNumber, _ = strconv.Atoi(os.Getenv("MUTANT_NUMBER"))
var mutantKind, _ = strconv.Atoi(os.Getenv("MUTANT_KIND"))
var mutantTaken, _ = os.OpenFile(os.Getenv("MUTANT_TAKEN"), os.O_WRONLY|os.O_APPEND, 0)
var mutantSeen [2][%d]atomic.Bool

func mutantTake(n, way int) {
	if !mutantSeen[way][n].Swap(true) {
		fmt.Fprintln(mutantTaken, n, way)
	}
}

func mutantBool(n int, v, equal bool) bool {
	if mutantTaken != nil {
		way := 0
		if v {
			way = 1
		}
		mutantTake(n, way)
	}
	if n != mutantNumber {
		return v
	}
	switch mutantKind {
	case 1:
		return true
	case 2:
		return false
	default:
		return v != equal
	}
}

func mutantKeeps(n int) bool {
	if mutantTaken != nil {
		mutantTake(n, 1)
	}
	return n != mutantNumber
}
`

// ways are the mutants that a test can notice only if the place goes the other
// way somewhere, and which way that is: a condition that is always true already
// does not change when it is made so.
func (m mutant) way() (way int, ok bool) {
	switch m.kind {
	case always:
		return 0, true
	case never, dropped:
		return 1, true
	default:
		return 0, false
	}
}

// insertion is text at an offset of a file. Those at one offset stand in the order
// of depth.
type insertion struct {
	offset, depth int
	text          string
}

// mutator collects the mutants of a file and what to insert for them.
type mutator struct {
	file       string
	pkg        string
	source     []byte
	set        *token.FileSet
	first      int // number
	places     int
	mutants    []mutant
	insertions []insertion
	wrapped    map[ast.Node]bool
}

// mutate reads a file; its switched mutants are numbered from first.
func mutate(path string, first int) (*mutator, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &mutator{file: path, source: source, set: token.NewFileSet(), first: first, wrapped: map[ast.Node]bool{}}
	parsed, err := parser.ParseFile(m.set, path, source, 0)
	if err != nil {
		return nil, err
	}
	m.pkg = parsed.Name.Name
	ast.Inspect(parsed, m.visit)
	return m, nil
}

// switched returns the file with all its switched mutants in it.
func (m *mutator) switched() []byte {
	slices.SortStableFunc(m.insertions, func(a, b insertion) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.depth, b.depth))
	})
	var b strings.Builder
	at := 0
	for _, i := range m.insertions {
		b.Write(m.source[at:i.offset])
		b.WriteString(i.text)
		at = i.offset
	}
	b.Write(m.source[at:])
	return []byte(b.String())
}

func (m *mutator) offset(p token.Pos) int { return m.set.Position(p).Offset }

func (m *mutator) text(n ast.Node) string {
	return string(m.source[m.offset(n.Pos()):m.offset(n.End())])
}

// wrap puts text around a node, outside of what is around its parts.
func (m *mutator) wrap(n ast.Node, before, after string, kinds ...kind) {
	size := int(n.End() - n.Pos())
	m.insertions = append(m.insertions,
		insertion{m.offset(n.Pos()), -size, before},
		insertion{m.offset(n.End()), size - 1<<30, after}) // what ends here comes before what begins here
	for _, k := range kinds {
		m.add(n, k.String(), m.first+m.places, k, nil)
	}
	m.places++
}

func (m *mutator) add(n ast.Node, change string, number int, k kind, source []byte) {
	text := strings.Join(strings.Fields(m.text(n)), " ")
	if len(text) > 90 {
		text = text[:87] + "..."
	}
	m.mutants = append(m.mutants, mutant{
		file: m.file, line: m.set.Position(n.Pos()).Line, change: text + ": " + change, number: number, kind: k, source: source,
	})
}

// visit is called for every node of the file, parents first.
func (m *mutator) visit(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.ImportSpec, *ast.Field:
		return false // types hold no conditions
	case *ast.FuncDecl:
		if n.Name.Name == "String" {
			return false // names have tests of their own
		}
		m.end(n.Type, n.Body)
	case *ast.FuncLit:
		m.end(n.Type, n.Body)
	case *ast.IfStmt:
		m.boolean(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			m.boolean(n.Cond)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, s := range n.Body.List {
				for _, e := range s.(*ast.CaseClause).List {
					m.boolean(e)
				}
			}
		}
	case *ast.CaseClause:
		m.statements(n.Body)
	case *ast.BlockStmt:
		m.statements(n.List)
	case *ast.BinaryExpr:
		switch n.Op {
		case token.LAND, token.LOR:
			m.boolean(n)
			m.boolean(n.X)
			m.boolean(n.Y)
		case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
			m.boolean(n)
		}
	case *ast.BasicLit:
		m.literal(n)
	}
	return true
}

// boolean mutates an expression that is true or false.
func (m *mutator) boolean(e ast.Expr) {
	if p, ok := e.(*ast.ParenExpr); ok {
		e = p.X
	}
	if m.wrapped[e] {
		return
	}
	m.wrapped[e] = true
	kinds, equal := []kind{always, never}, "false"
	if b, ok := e.(*ast.BinaryExpr); ok && slices.Contains([]token.Token{token.LSS, token.LEQ, token.GTR, token.GEQ}, b.Op) {
		kinds, equal = append(kinds, offByOne), m.text(b.X)+" == "+m.text(b.Y)
	}
	m.wrap(e, fmt.Sprintf("mutantBool(%d, ", m.first+m.places), ", "+equal+")", kinds...)
}

// statements drops each that does something by itself.
func (m *mutator) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ReturnStmt, *ast.ExprStmt, *ast.IncDecStmt, *ast.BranchStmt:
		default:
			continue
		}
		m.wrap(s, fmt.Sprintf("if mutantKeeps(%d) { ", m.first+m.places), " }", dropped)
	}
}

// end lets a function end without the return that a mutant took.
func (m *mutator) end(t *ast.FuncType, body *ast.BlockStmt) {
	if body != nil && t.Results != nil {
		m.insertions = append(m.insertions, insertion{m.offset(body.Rbrace), 1 << 30, `; panic("mutant: no return")` + "\n"})
	}
}

// literal moves an integer by one. It may be a constant or a size, so that it needs
// a build of its own.
func (m *mutator) literal(n *ast.BasicLit) {
	value, err := strconv.ParseInt(n.Value, 0, 64)
	if n.Kind != token.INT || err != nil {
		return
	}
	for _, other := range []int64{value + 1, value - 1} {
		if other < 0 {
			continue
		}
		a, b := m.offset(n.Pos()), m.offset(n.End())
		source := fmt.Sprintf("%s%d%s", m.source[:a], other, m.source[b:])
		m.add(n, fmt.Sprint(other), 0, 0, []byte(source))
	}
}
