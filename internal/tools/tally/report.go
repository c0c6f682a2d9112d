package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// withReport runs command with the flags and environment that make it write its JSON report to a file, and counts by
// that report.
func withReport(
	ctx context.Context, command []string, out io.Writer,
	extend func(report string) (flags, env []string), countOf func(report []byte) (count, error),
) (c count, err error) {
	folder, err := os.MkdirTemp("", "tally")
	if err != nil {
		return count{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	report := filepath.Join(folder, "report.json")
	flags, env := extend(report)
	failed, err := execute(ctx, append(command, flags...), env, out)
	if err != nil {
		return count{}, err
	}
	if b, err := os.ReadFile(report); err == nil {
		if c, err = countOf(b); err != nil {
			return count{}, fmt.Errorf("read the report: %w", err)
		}
	}
	// No report, or a failure outside the tests.
	if c.Failed == 0 && (failed || c == count{}) {
		c.Failed = 1
	}
	return c, nil
}

func vitestFlags(report string) (flags, env []string) {
	return []string{"--reporter=default", "--reporter=json", "--outputFile.json=" + report}, nil
}

func vitestCount(report []byte) (count, error) {
	var r struct {
		Passed  int `json:"numPassedTests"`
		Failed  int `json:"numFailedTests"`
		Pending int `json:"numPendingTests"`
		Todo    int `json:"numTodoTests"`
	}
	err := json.Unmarshal(report, &r)
	return count{r.Passed, r.Failed, r.Pending + r.Todo}, err
}

func playwrightFlags(report string) (flags, env []string) {
	return []string{"--reporter=list,json"}, []string{"PLAYWRIGHT_JSON_OUTPUT_FILE=" + report}
}

// playwrightCount counts a test that passed only when it was tried again as a failure.
func playwrightCount(report []byte) (count, error) {
	var r struct {
		Stats struct {
			Expected   int `json:"expected"`
			Unexpected int `json:"unexpected"`
			Flaky      int `json:"flaky"`
			Skipped    int `json:"skipped"`
		} `json:"stats"`
	}
	err := json.Unmarshal(report, &r)
	return count{r.Stats.Expected, r.Stats.Unexpected + r.Stats.Flaky, r.Stats.Skipped}, err
}
