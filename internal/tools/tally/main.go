// Command tally runs one step of the project's tests, prints what a person wants to read of it, and counts.
//
//	tally check NAME COMMAND...       one check: the command's exit status
//	tally go NAME COMMAND...          a `go test -json`
//	tally vitest NAME COMMAND...      a vitest that takes more flags at its end
//	tally playwright NAME COMMAND...  a playwright test that takes more flags at its end
//	tally skip NAME REASON            what could not run; where CI is set, that is a failure
//	tally sum                         the counts of all steps
//
// A step adds its counts to a file in the folder that TALLY_RESULTS names, where that is set, and `tally sum` adds these up. The
// last line of both is the counts. It exits with 1 if anything failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// A count is how many tests ended in which way.
type count struct {
	Passed, Failed, Skipped int
}

func (c count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, c.Skipped)
}

func (c count) plus(d count) count {
	return count{c.Passed + d.Passed, c.Failed + d.Failed, c.Skipped + d.Skipped}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(2)
	}
	fmt.Println(c)
	if c.Failed > 0 {
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: tally check|go|vitest|playwright NAME COMMAND..., tally skip NAME REASON, tally sum")

func run(ctx context.Context, args []string, out io.Writer) (count, error) {
	folder := os.Getenv("TALLY_RESULTS")
	if len(args) == 1 && args[0] == "sum" {
		return sum(folder, out)
	}
	if len(args) < 3 {
		return count{}, errUsage
	}
	kind, name, command := args[0], args[1], args[2:]
	fmt.Fprintf(out, "\n=== %s\n", name)
	c, err := step(ctx, kind, command, out)
	switch {
	case errors.Is(err, errUsage):
		return count{}, err
	case err != nil: // What could not be run has not passed.
		fmt.Fprintln(out, "failed:", err)
		c = count{Failed: 1}
	}
	return c, record(folder, name, c)
}

func step(ctx context.Context, kind string, command []string, out io.Writer) (count, error) {
	switch kind {
	case "check":
		return check(ctx, command, out)
	case "go":
		return goTest(ctx, command, out)
	case "vitest":
		return withReport(ctx, command, out, vitestFlags, vitestCount)
	case "playwright":
		return withReport(ctx, command, out, playwrightFlags, playwrightCount)
	case "skip":
		fmt.Fprintln(out, "skipped:", strings.Join(command, " "))
		if os.Getenv("CI") != "" {
			fmt.Fprintln(out, "CI is set: this counts as a failure")
			return count{Failed: 1}, nil
		}
		return count{Skipped: 1}, nil
	}
	return count{}, errUsage
}

// check runs command and passes its output through.
func check(ctx context.Context, command []string, out io.Writer) (count, error) {
	failed, err := execute(ctx, command, nil, out)
	if err != nil {
		return count{}, err
	}
	if failed {
		return count{Failed: 1}, nil
	}
	return count{Passed: 1}, nil
}

// execute runs command and reports whether it ended with a status other than 0; err says that it could not be run.
func execute(ctx context.Context, command, env []string, out io.Writer) (failed bool, err error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return true, nil
	}
	return false, err
}

func record(folder, name string, c count) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	line := fmt.Sprintln(c.Passed, c.Failed, c.Skipped)
	return os.WriteFile(filepath.Join(folder, name), []byte(line), 0o600)
}

var errNoResults = errors.New("no results to add up")

func sum(folder string, out io.Writer) (count, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) == 0 || folder == "" {
		return count{}, fmt.Errorf("%w in %q", errNoResults, folder)
	}
	var total count
	fmt.Fprintln(out)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return count{}, err
		}
		var c count
		if _, err := fmt.Sscan(string(b), &c.Passed, &c.Failed, &c.Skipped); err != nil {
			return count{}, fmt.Errorf("read %s: %w", f, err)
		}
		fmt.Fprintf(out, "%-18s %s\n", filepath.Base(f), c)
		total = total.plus(c)
	}
	return total, nil
}
