// SPDX-License-Identifier: Apache-2.0

// Command mutate asks whether tests would notice: it changes one thing at a time
// in Go files, runs the package's tests on each change, and lists the changes that
// no test objects to.
//
//	mutate [flags] FILE.go...
//
// The files are not touched: what is built is laid over them (go build -overlay).
// Those of one package are worked on together, package after package. What is
// changed:
//
//   - conditions and their parts: always true, never true
//   - comparisons: < for <=, >= for >, and back
//   - statements: assignments, calls, returns, break and continue are dropped
//   - integer literals, one up and one down
//
// All but the literals are in one build, each behind a switch, and take only the
// time of the tests. A literal needs a build of its own; -literals=false leaves
// them out. A mutant that does not compile proves nothing and is counted apart;
// one whose tests take longer than the timeout counts as noticed.
//
// With -branches nothing is changed. The tests run once, and what is listed is
// each condition, and each part of one, that was never true or never false, and
// each statement that was never reached.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() { os.Exit(run()) }

type options struct {
	tests, skip string        // -run and -skip of go test
	timeout     time.Duration // for one mutant
	jobs        int
	literals    bool
	list        bool
	branches    bool
}

func run() int {
	var o options
	flag.StringVar(&o.tests, "run", "", "tests to run, as go test's -run; empty means all")
	flag.StringVar(&o.skip, "skip", "", "tests to leave out, as go test's -skip")
	flag.DurationVar(&o.timeout, "timeout", time.Minute, "how long the tests of one mutant may take")
	flag.IntVar(&o.jobs, "jobs", 2, "how many mutants are tested at once")
	flag.BoolVar(&o.literals, "literals", true, "change integer literals too, which takes a build each")
	flag.BoolVar(&o.list, "list", false, "list the mutants and run nothing")
	flag.BoolVar(&o.branches, "branches", false, "list the conditions that the tests see one way only")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.literals = o.literals && !o.branches
	var mutants []mutant
	for _, files := range packages(flag.Args()) {
		more, err := work(ctx, files, o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutate:", err)
			return 2
		}
		mutants = append(mutants, more...)
	}
	return report(mutants, o)
}

// packages puts the files of each directory together.
func packages(files []string) [][]string {
	slices.SortStableFunc(files, func(a, b string) int { return cmp.Compare(filepath.Dir(a), filepath.Dir(b)) })
	var all [][]string
	for i, file := range files {
		if i == 0 || filepath.Dir(file) != filepath.Dir(files[i-1]) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], file)
	}
	return all
}

// work makes the mutants of one package's files and finds out what becomes of them.
func work(ctx context.Context, files []string, o options) ([]mutant, error) {
	dir, err := os.MkdirTemp("", "op25b-mutate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	mutants, overlay, err := read(files, o)
	if err != nil || o.list {
		return mutants, err
	}
	shared, err := build(ctx, filepath.Join(dir, "shared"), overlay)
	if err != nil {
		return nil, fmt.Errorf("build with all mutants: %w", err)
	}
	if o.branches {
		return findBranches(ctx, dir, shared, mutants, o)
	}
	if !passes(ctx, shared, o, nil) {
		return nil, errors.New("the tests fail without any mutant")
	}
	return mutants, test(ctx, dir, shared, mutants, o)
}

// read makes the mutants of all files, and what is laid over the files so that
// the switched ones are in one build.
func read(files []string, o options) ([]mutant, map[string][]byte, error) {
	var mutants []mutant
	overlay := map[string][]byte{}
	places := 1
	for _, file := range files {
		m, err := mutate(file, places)
		if err != nil {
			return nil, nil, err
		}
		places += m.places
		for _, one := range m.mutants {
			if one.source == nil || o.literals {
				mutants = append(mutants, one)
			}
		}
		overlay[file] = m.switched()
		overlay[filepath.Join(filepath.Dir(file), "mutant_schema.go")] = fmt.Appendf(nil, schema, m.pkg, places)
	}
	return mutants, overlay, nil
}

// findBranches runs the tests once and counts as survivors what they cannot
// notice, because the place never goes the other way.
func findBranches(ctx context.Context, dir string, tests binary, mutants []mutant, o options) ([]mutant, error) {
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		return nil, err
	}
	if !passes(ctx, tests, o, []string{"MUTANT_TAKEN=" + taken}) {
		return nil, errors.New("the tests fail")
	}
	said, err := os.ReadFile(taken)
	if err != nil {
		return nil, err
	}
	seen := map[[2]int]bool{}
	for line := range strings.Lines(string(said)) {
		var number, way int
		if _, err := fmt.Sscan(line, &number, &way); err != nil {
			return nil, fmt.Errorf("what the tests wrote down: %q: %w", line, err)
		}
		seen[[2]int{number, way}] = true
	}
	branches := mutants[:0]
	for _, m := range mutants {
		way, ok := m.way()
		if !ok {
			continue
		}
		m.outcome = survived
		if seen[[2]int{m.number, way}] {
			m.outcome = killed
		}
		if m.kind == dropped {
			m.change = strings.TrimSuffix(m.change, m.kind.String()) + "never reached"
		}
		branches = append(branches, m)
	}
	return branches, nil
}

// report lists the survivors and returns the exit code: 1 if there are any.
func report(mutants []mutant, o options) int {
	if o.list {
		for _, m := range mutants {
			fmt.Println(m)
		}
		return 0
	}
	count := map[outcome]int{}
	for _, m := range mutants {
		count[m.outcome]++
		if m.outcome == survived {
			fmt.Println(m)
		}
	}
	if o.branches {
		fmt.Printf("%d branches: %d taken, %d not\n", len(mutants), count[killed], count[survived])
		return min(count[survived], 1)
	}
	fmt.Printf("%d mutants: %d killed, %d survived, %d did not compile, %d not tested\n",
		len(mutants), count[killed], count[survived], count[broken], count[untested])
	if count[survived]+count[untested] > 0 {
		return 1
	}
	return 0
}

// test finds out what becomes of each mutant, and writes it down. It stops when
// ctx ends; what is not tested by then stays so.
func test(ctx context.Context, dir string, shared binary, mutants []mutant, o options) error {
	jobs := make(chan int)
	errs := make([]error, o.jobs)
	var workers sync.WaitGroup
	for w := range o.jobs {
		workers.Go(func() {
			for i := range jobs {
				m := &mutants[i]
				if errs[w] != nil || ctx.Err() != nil {
					continue
				}
				m.outcome, errs[w] = testOne(ctx, filepath.Join(dir, fmt.Sprint(w)), shared, m, o)
				fmt.Fprintf(os.Stderr, "%d/%d %s: %s\n", i+1, len(mutants), m.outcome, m)
			}
		})
	}
	for i := range mutants {
		jobs <- i
	}
	close(jobs)
	workers.Wait()
	return errors.Join(errs...)
}

// testOne runs the package's tests with one mutant.
func testOne(ctx context.Context, dir string, shared binary, m *mutant, o options) (outcome, error) {
	tests := shared
	var env []string
	if m.source == nil {
		env = []string{fmt.Sprintf("MUTANT_NUMBER=%d", m.number), fmt.Sprintf("MUTANT_KIND=%d", m.kind)}
	} else {
		var err error
		if tests, err = build(ctx, dir, map[string][]byte{m.file: m.source}); err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) && ctx.Err() == nil {
				return broken, nil
			}
			return untested, err
		}
	}
	switch ok := passes(ctx, tests, o, env); {
	case ctx.Err() != nil:
		return untested, nil
	case ok:
		return survived, nil
	default:
		return killed, nil
	}
}

// binary is a test binary and the directory to run it in.
type binary struct{ path, dir string }

// build builds the tests of the package with files laid over its own.
func build(ctx context.Context, dir string, files map[string][]byte) (binary, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return binary{}, err
	}
	b := binary{path: filepath.Join(dir, "tests")}
	replace := map[string]string{}
	for file, source := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return binary{}, err
		}
		b.dir = filepath.Dir(path)
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], source, 0o600); err != nil {
			return binary{}, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return binary{}, err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return binary{}, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-ldflags=-s -w", "-overlay", list, "-c", "-o", b.path, ".")
	cmd.Dir = b.dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return binary{}, fmt.Errorf("%w\n%s", err, said)
	}
	return b, nil
}

// passes runs the tests; they fail when they take too long.
func passes(ctx context.Context, b binary, o options, env []string) bool {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, "-test.failfast", "-test.run", o.tests, "-test.skip", o.skip)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	return err == nil && !bytes.Contains(said, []byte("no tests to run"))
}
