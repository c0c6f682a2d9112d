package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/report.keys anew")

// keysOf lists the paths of a JSON value with the types that stand there.
func keysOf(path string, v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, field := range v {
			keysOf(path+"."+k, field, into)
		}
	case []any:
		for _, e := range v {
			keysOf(path+"[]", e, into)
		}
	case string:
		into[path+" string"] = true
	case float64:
		into[path+" number"] = true
	case bool:
		into[path+" boolean"] = true
	default:
		into[path+" null"] = true
	}
}

// reportOf is a report of real runs, in which everything that can be measured is.
func reportOf(t *testing.T) *Report {
	t.Helper()

	_, target := startHub(t)
	target.Via = viaMQTT

	report := &Report{
		Tool: tool, Version: "1.2.3 <&>", Started: time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC), Target: target,
		Machine: Machine{OS: "linux", Arch: "amd64", CPUs: 2, Go: "go1"},
	}
	for _, w := range []Workload{
		small(t, "acknowledged", func(l *Load) { l.Rate = 200 }),
		small(t, "slow"),
		small(t, "idle", func(l *Load) { l.Subscribers = 50 }),
	} {
		report.Results = append(report.Results, measure(t.Context(), t, target, w))
	}

	report.Results[0].notef("a <b> & \"c\" </style><script src=\"https://example.org/x.js\">")

	return report
}

// Others read the JSON: what is in it may grow, and nothing may be renamed or go. The plots need nothing from elsewhere.
func TestReport(t *testing.T) {
	report := reportOf(t)

	var text bytes.Buffer
	if err := report.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}

	back, err := ReadReport(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}

	var again bytes.Buffer
	if err := back.WriteJSON(&again); err != nil || again.String() != text.String() {
		t.Errorf("read and written again it is another: %v", err)
	}

	t.Run("keys", func(t *testing.T) { checkKeys(t, text.Bytes()) })

	files := map[string]func(io.Writer) error{
		"html": report.HTML, "svg": report.SVG,
		"comparison html": func(w io.Writer) error {
			return comparisonHTML(w, []*Report{report, back, back}, []string{"a", "<b>", "c"})
		},
		"comparison svg": func(w io.Writer) error { return comparisonSVG(w, []*Report{report, back}, []string{"a", "<b>"}) },
		"empty html":     (&Report{Tool: tool}).HTML,
		"empty svg":      (&Report{Tool: tool}).SVG,
	}
	for name, write := range files {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := write(&out); err != nil {
				t.Fatal(err)
			}

			selfContained(t, out.Bytes())

			if !strings.Contains(name, "empty") && strings.Count(out.String(), "<path") < 20 {
				t.Errorf("it shows next to nothing: %s", out.String())
			}
		})
	}

	t.Run("tables", func(t *testing.T) {
		var out strings.Builder

		report.writeTable(&out)
		writeComparison(&out, []*Report{report, back}, []string{"first", "second"})

		for _, want := range []string{"acknowledged", "p99.9 ms", "KiB/connection", "× 1.00", "second"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in\n%s", want, out.String())
			}
		}
	})
}

func checkKeys(t *testing.T, text []byte) {
	t.Helper()

	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}

	found := make(map[string]bool)
	keysOf("", value, found)

	var lines []string
	for k := range found {
		lines = append(lines, k)
	}

	slices.Sort(lines)

	golden := filepath.Join("testdata", "report.keys")
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}

	for k := range strings.Lines(string(want)) {
		if k = strings.TrimSpace(k); !found[k] {
			t.Errorf("missing: %s", k)
		}
	}
}

var elsewhere = regexp.MustCompile(`(?i)(src|href|url|@import)\s*[=(]`)

// selfContained fails the test unless a document is well-formed and asks for nothing else.
func selfContained(t *testing.T, text []byte) {
	t.Helper()

	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = true

	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}

		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}

		switch e := token.(type) {
		case xml.StartElement:
			if slices.Contains([]string{"script", "link", "img", "image", "iframe", "object", "use"}, e.Name.Local) {
				t.Errorf("it has a %s", e.Name.Local)
			}

			for _, a := range e.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || a.Name.Local == "src" || a.Name.Local == "href" {
					t.Errorf("%s has %s", e.Name.Local, a.Name.Local)
				}

				for number := range strings.FieldsSeq(a.Value) {
					if strings.Contains(number, "NaN") || strings.Contains(number, "Inf") {
						t.Errorf("%s has %s %q", e.Name.Local, a.Name.Local, a.Value)
					}
				}
			}
		case xml.CharData:
			if style := string(e); strings.Contains(style, "--paper") && elsewhere.MatchString(style) {
				t.Error("the style asks for something from elsewhere")
			}
		}
	}
}

// The command writes what it is asked for, and says what it lacks before it measures.
func TestCommand(t *testing.T) {
	_, target := startHub(t)
	folder := t.TempDir()

	run := func(f Flags, workloads ...string) (string, string, error) {
		var out, said strings.Builder

		f.Target = target
		f.Seconds, f.Warmup, f.Subscribers = new(Duration(time.Second)), new(Duration(0)), new(2)
		c := Command{Flags: f, Workloads: workloads, Version: "v", Out: &out, Err: &said}
		err := c.Run(context.WithoutCancel(t.Context()))

		return out.String(), said.String(), err
	}

	out, _, err := run(Flags{JSON: filepath.Join(folder, "r.json")}, "lone", "idle")
	if err != nil || !strings.Contains(out, "p99") || !strings.Contains(out, "KiB/connection") {
		t.Errorf("%v: %s", err, out)
	}

	out, said, err := run(Flags{JSON: "-", Plot: filepath.Join(folder, "r.svg")}, "lone")
	if _, parse := ReadReport(strings.NewReader(out)); err != nil || parse != nil || !strings.Contains(said, "latency") {
		t.Errorf("%v, %v: %s", err, parse, said)
	}

	if _, _, err := run(Flags{Out: filepath.Join(folder, "new")}, "lone"); err != nil {
		t.Error(err)
	}

	for _, pattern := range []string{"r.json", "r.html", "r.svg", "new/pulso-bench-*.json", "new/pulso-bench-*.html"} {
		if found, _ := filepath.Glob(filepath.Join(folder, pattern)); len(found) != 1 {
			t.Errorf("%s: %v", pattern, found)
		}
	}

	for want, f := range map[string]Flags{"--plot x.png": {Plot: "x.png"}, "--json: stat": {JSON: filepath.Join(folder, "no", "x.json")}} {
		if _, said, err := run(f, "lone"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(said, "measuring") {
			t.Errorf("%s: %v", want, err)
		}
	}

	var compared strings.Builder

	file := filepath.Join(folder, "r.json")
	if err := Compare([]string{file, file}, filepath.Join(folder, "both.html"), &compared); err != nil || !strings.Contains(compared.String(), "× 1.00") {
		t.Errorf("%v: %s", err, compared.String())
	}

	if err := Compare([]string{file, filepath.Join(folder, "r.html")}, "", &compared); err == nil || !strings.Contains(err.Error(), "r.html") {
		t.Errorf("a page was taken for a report: %v", err)
	}
}
