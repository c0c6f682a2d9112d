package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A testEvent is one line of `go test -json` (go doc test2json), or one of the builds that it needs (go help buildjson).
type testEvent struct {
	Action      string  `json:"Action"`
	Package     string  `json:"Package"`
	ImportPath  string  `json:"ImportPath"`
	Test        string  `json:"Test"`
	Output      string  `json:"Output"`
	Elapsed     float64 `json:"Elapsed"` // seconds
	FailedBuild string  `json:"FailedBuild"`
}

// goResult gathers the events of a `go test -json`. Subtests count like tests. A package that fails without a failing
// test (it does not build, its TestMain found a leak) counts as one failure.
type goResult struct {
	out    io.Writer
	count  count
	output map[string]map[string]*strings.Builder // package, test: what it printed and has not been dropped
	builds map[string]*strings.Builder            // import path: what the compiler said
	failed map[string]bool                        // packages in which a test failed
	skips  []string
}

func goTest(ctx context.Context, command []string, out io.Writer) (count, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return count{}, err
	}
	if err := cmd.Start(); err != nil {
		return count{}, err
	}
	r := newGoResult(out)
	readErr := r.read(pipe)
	status := cmd.Wait()
	if readErr != nil {
		return count{}, fmt.Errorf("read the output of %s: %w", command[0], readErr)
	}
	r.finish(status != nil)
	return r.count, nil
}

func newGoResult(out io.Writer) *goResult {
	return &goResult{
		out:    out,
		output: map[string]map[string]*strings.Builder{},
		builds: map[string]*strings.Builder{},
		failed: map[string]bool{},
	}
}

// read takes events until the end of in. Lines that are no events are passed through.
func (r *goResult) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e testEvent
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				fmt.Fprintf(r.out, "%s", line)
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

func (r *goResult) take(e testEvent) {
	switch e.Action {
	case "build-output":
		builder(r.builds, e.ImportPath).WriteString(e.Output)
	case "output":
		if r.output[e.Package] == nil {
			r.output[e.Package] = map[string]*strings.Builder{}
		}
		builder(r.output[e.Package], e.Test).WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
	}
}

func (r *goResult) endTest(e testEvent) {
	printed := builder(r.output[e.Package], e.Test).String()
	switch e.Action {
	case "pass":
		r.count.Passed++
	case "skip":
		r.count.Skipped++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(printed)))
	case "fail":
		r.count.Failed++
		r.failed[e.Package] = true
		fmt.Fprint(r.out, printed)
	}
	delete(r.output[e.Package], e.Test)
}

func (r *goResult) endPackage(e testEvent) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(r.out, "ok   %s %.1fs\n", e.Package, e.Elapsed)
	case "fail":
		if !r.failed[e.Package] {
			r.count.Failed++
		}
		if build := r.builds[e.FailedBuild]; build != nil {
			fmt.Fprint(r.out, build)
		}
		// What has not ended by now: a panic, a test that took too long, or what the package itself said.
		for _, printed := range r.output[e.Package] {
			fmt.Fprint(r.out, printed)
		}
		fmt.Fprintf(r.out, "FAIL %s\n", e.Package)
	}
	delete(r.output, e.Package)
}

// finish prints what was skipped and why. failed is whether go test itself ended with a status other than 0.
func (r *goResult) finish(failed bool) {
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "skipped:", s)
	}
	if failed && r.count.Failed == 0 {
		r.count.Failed = 1
	}
}

func builder(m map[string]*strings.Builder, key string) *strings.Builder {
	if m[key] == nil {
		m[key] = &strings.Builder{}
	}
	return m[key]
}

// reason is what t.Skip said in a test's output.
func reason(printed string) string {
	var said []string
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}
