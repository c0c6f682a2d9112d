package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoEventsAreCounted(t *testing.T) {
	const events = `
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:1: no broker here\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"wanted 1\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"Action":"pass","Package":"q","Elapsed":0.1}
a line that is no event
`
	var out strings.Builder
	r := newGoResult(&out)
	if err := r.read(strings.NewReader(strings.TrimSpace(events))); err != nil {
		t.Fatal(err)
	}
	r.finish(true)
	if want := (count{Passed: 2, Failed: 1, Skipped: 1}); r.count != want {
		t.Errorf("counted %v, want %v", r.count, want)
	}
	for _, want := range []string{
		"wanted 1", "FAIL p", "ok   q 0.1s", "a line that is no event", "skipped: p TestB: b_test.go:1: no broker here",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "quiet") {
		t.Errorf("the output has what a passing test printed:\n%s", &out)
	}
}

func TestAPackageFailsWithoutAFailingTest(t *testing.T) {
	for name, events := range map[string]string{
		"does not build": `{"ImportPath":"p","Action":"build-output","Output":"said why\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`,
		"panics": `{"Action":"output","Package":"p","Test":"TestA","Output":"said why\n"}
{"Action":"fail","Package":"p"}`,
		"leaks": `{"Action":"output","Package":"p","Output":"said why\n"}
{"Action":"fail","Package":"p"}`,
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			r := newGoResult(&out)
			if err := r.read(strings.NewReader(events)); err != nil {
				t.Fatal(err)
			}
			r.finish(true)
			if r.count != (count{Failed: 1}) {
				t.Errorf("counted %v", r.count)
			}
			if !strings.Contains(out.String(), "said why") {
				t.Errorf("the output does not say why:\n%s", &out)
			}
		})
	}
}

func TestGoTestThatSaysNothingFails(t *testing.T) {
	c, err := goTest(t.Context(), []string{"false"}, t.Output())
	if err != nil || c != (count{Failed: 1}) {
		t.Errorf("counted %v, %v", c, err)
	}
}

func TestReportsAreCounted(t *testing.T) {
	c, err := vitestCount([]byte(`{"numPassedTests":3,"numFailedTests":1,"numPendingTests":1,"numTodoTests":1}`))
	if want := (count{3, 1, 2}); err != nil || c != want {
		t.Errorf("vitest: %v, %v, want %v", c, err, want)
	}
	c, err = playwrightCount([]byte(`{"stats":{"expected":4,"unexpected":1,"flaky":1,"skipped":2}}`))
	if want := (count{4, 2, 2}); err != nil || c != want {
		t.Errorf("playwright: %v, %v, want %v", c, err, want)
	}
}

func TestStepsAddUp(t *testing.T) {
	t.Setenv("TALLY_RESULTS", filepath.Join(t.TempDir(), "results"))
	t.Setenv("CI", "")
	for _, args := range [][]string{
		{"check", "a", "true"},
		{"check", "b", "false"},
		{"skip", "c", "there is no browser"},
		{"vitest", "d", "true"}, // writes no report: a failure
		{"check", "e", "no such command"},
		{"go", "f", "no such command"},
	} {
		if _, err := run(t.Context(), args, t.Output()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := run(t.Context(), []string{"sum"}, t.Output())
	if want := (count{1, 4, 1}); err != nil || c != want {
		t.Errorf("the sum is %v, %v, want %v", c, err, want)
	}
}

func TestASkipFailsWhereCIIsSet(t *testing.T) {
	t.Setenv("CI", "true")
	t.Setenv("TALLY_RESULTS", "")
	c, err := run(t.Context(), []string{"skip", "c", "there is no browser"}, t.Output())
	if err != nil || c != (count{Failed: 1}) {
		t.Errorf("counted %v, %v", c, err)
	}
}

func TestMistakesAreErrors(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TALLY_RESULTS", folder)
	for _, args := range [][]string{
		{}, {"sum"}, {"check", "a"}, {"fly", "a", "true"},
	} {
		if c, err := run(t.Context(), args, t.Output()); err == nil {
			t.Errorf("%q: %v, no error", args, c)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "a"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := run(t.Context(), []string{"sum"}, t.Output()); err == nil {
		t.Errorf("a broken result: %v, no error", c)
	}
}
