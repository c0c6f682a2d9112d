package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Flags are those of a command that runs workloads; their tags are read by github.com/alecthomas/kong. What is nil is as the workload has it.
type Flags struct {
	Target

	Self      bool     `name:"self" help:"Start a hub for each workload, in a child process with a temporary folder, and measure that."`
	SelfProcs int      `name:"self-procs" placeholder:"N" help:"Its GOMAXPROCS; 0: as many as there are processors."`
	SelfFlag  []string `name:"self-flag" sep:"none" placeholder:"FLAG" help:"A further flag of its serve command (--self-flag=--log-sync=os); may be repeated."`

	Rate        *int      `name:"rate" placeholder:"N" help:"Messages a second, of all publishers; 0: as many as the server takes."`
	Bunch       *Duration `name:"bunch" placeholder:"TIME" help:"Send what is due this often, all publishers together; 0: evenly spaced."`
	Devices     *int      `name:"devices" placeholder:"N" help:"Topics."`
	Publishers  *int      `name:"publishers" placeholder:"N" help:"Connections that publish."`
	Subscribers *int      `name:"subscribers" placeholder:"N" help:"Connections that receive everything."`
	Slow        *int      `name:"slow" placeholder:"N" help:"Of them, those that stop reading half-way (workload slow)."`
	Size        *int      `name:"size" placeholder:"BYTES" help:"Bytes of a payload."`
	QoS         *int      `name:"qos" placeholder:"0|1" help:"Quality of service of publishers, and of subscribers over MQTT."`
	Window      *int      `name:"window" placeholder:"N" help:"Messages of a publisher that wait for their acknowledgement."`
	Seconds     *Duration `name:"seconds" short:"t" placeholder:"TIME" help:"How long to measure: 30 or 30s or 2m."`
	Warmup      *Duration `name:"warmup" placeholder:"TIME" help:"How long before it."`
	Drain       *Duration `name:"drain" placeholder:"TIME" help:"How long to wait at most for what is on its way."`

	JSON string `name:"json" placeholder:"FILE" help:"Write the results there; - is the standard output, and the table goes to the standard error."`
	Plot string `name:"plot" placeholder:"FILE" help:"Draw them there: .html or .svg. Without it beside the JSON, as .html; none: nowhere."`
	Out  string `name:"out" placeholder:"DIR" help:"Write pulso-bench-TIME.json and .html into this folder."`
}

// Command is what a command line has asked for.
type Command struct {
	// Flags are what it said.
	Flags Flags
	// Workloads are the names of those to run.
	Workloads []string
	// Program is what --self starts; Version says which this is.
	Program, Version string
	// Out gets the table, Err the progress.
	Out, Err io.Writer
}

// Run runs the workloads one after the other and writes what came of them. It returns an error that wraps [ErrLost] if anything
// acknowledged was lost. When ctx ends, it writes what it has.
func (c *Command) Run(ctx context.Context) error {
	files, err := c.Flags.files(time.Now())
	if err != nil {
		return err
	}

	report := &Report{
		Tool: tool, Version: c.Version, Started: time.Now().UTC().Truncate(time.Second), Target: c.Flags.Target,
		Machine: Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: min(runtime.NumCPU(), runtime.GOMAXPROCS(0)), Go: runtime.Version()},
	}

	table := c.Out
	if files.json == "-" {
		table = c.Err
	}

	var errs []error

	for _, name := range c.Workloads {
		if ctx.Err() != nil {
			break
		}

		result, target, err := c.one(ctx, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))

			break
		}

		report.Target = target
		report.Results = append(report.Results, result)
		result.write(table)

		errs = append(errs, result.Lost())
	}

	if len(report.Results) > 1 {
		report.writeTable(table)
	}

	if len(report.Results) > 0 {
		errs = append(errs, files.write(report, c.Out, table))
	}

	return errors.Join(errs...)
}

// one runs a workload.
func (c *Command) one(ctx context.Context, name string) (result *Result, target Target, err error) {
	w, err := c.Flags.workload(name)
	if err != nil {
		return nil, target, err
	}

	target = c.Flags.Target

	if c.Flags.Self {
		if target.MQTT != "" || target.HTTP != "" || target.PID != 0 {
			return nil, target, fmt.Errorf("%w: --self measures a hub of its own: without --mqtt, --http and --pid", ErrConfig)
		}

		hub, err := StartHub(ctx, HubConfig{Program: c.Program, Procs: c.Flags.SelfProcs, Args: c.Flags.SelfFlag})
		if err != nil {
			return nil, target, err
		}

		defer func() { err = errors.Join(err, hub.Close()) }()

		target = hub.Target(target)
	}

	line := newLine(c.Err)
	defer line.clear()

	b, err := New(Config{Target: target, Workload: w, Progress: line.show})
	if err != nil {
		return nil, target, err
	}

	result, err = b.Run(ctx)

	return result, b.cfg.Target, err
}

// workload is the named one with what the flags say.
func (f *Flags) workload(name string) (Workload, error) {
	w, ok := WorkloadByName(name)
	if !ok {
		return w, fmt.Errorf("%w: there is no workload %q", ErrConfig, name)
	}

	l := &w.Load

	for _, o := range []struct{ from, to *int }{
		{f.Rate, &l.Rate},
		{f.Devices, &l.Devices},
		{f.Publishers, &l.Publishers},
		{f.Subscribers, &l.Subscribers},
		{f.Size, &l.Size},
		{f.QoS, &l.QoS},
		{f.Window, &l.Window},
	} {
		if o.from != nil {
			*o.to = *o.from
		}
	}

	for _, o := range []struct {
		from, to *Duration
	}{{f.Bunch, &l.Bunch}, {f.Seconds, &l.Measure}, {f.Warmup, &l.Warmup}, {f.Drain, &l.Drain}} {
		if o.from != nil {
			*o.to = *o.from
		}
	}

	switch w.kind {
	case stalled:
		if l.Slow = l.Subscribers / 2; f.Slow != nil {
			l.Slow = *f.Slow
		}
	case idle:
		l.Publishers, l.Rate = 0, 0
	case steady:
	}

	return w, nil
}

// files are where results go; empty is nowhere.
type files struct{ json, plot string }

// files decides where results go, and makes the folder, so that a run does not end with nowhere to write to.
func (f *Flags) files(now time.Time) (files, error) {
	to := files{json: f.JSON, plot: f.Plot}

	if f.Out != "" {
		if err := os.MkdirAll(f.Out, 0o750); err != nil {
			return to, fmt.Errorf("--out: %w", err)
		}

		base := filepath.Join(f.Out, "pulso-bench-"+now.Format("20060102-150405"))
		if to.json == "" {
			to.json = base + ".json"
		}

		if to.plot == "" {
			to.plot = base + ".html"
		}
	}

	if to.plot == "" && to.json != "" && to.json != "-" {
		to.plot = strings.TrimSuffix(to.json, filepath.Ext(to.json)) + ".html"
	}

	if to.plot == "none" {
		to.plot = ""
	}

	return to, errors.Join(checkPlot(to.plot), checkFolder("--json", to.json), checkFolder("--plot", to.plot))
}

func checkPlot(name string) error {
	if ext := filepath.Ext(name); name != "" && ext != ".html" && ext != ".svg" {
		return fmt.Errorf("%w: --plot %s: want a name that ends in .html or .svg", ErrConfig, name)
	}

	return nil
}

func checkFolder(flag, name string) error {
	if name == "" || name == "-" {
		return nil
	}

	if _, err := os.Stat(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}

	return nil
}

// write writes the report's files.
func (f files) write(r *Report, out, said io.Writer) error {
	var errs []error

	if f.json == "-" {
		errs = append(errs, r.WriteJSON(out))
	} else {
		errs = append(errs, writeFile(f.json, said, r.WriteJSON))
	}

	draw := r.HTML
	if filepath.Ext(f.plot) == ".svg" {
		draw = r.SVG
	}

	return errors.Join(append(errs, writeFile(f.plot, said, draw))...)
}

func writeFile(name string, said io.Writer, write func(io.Writer) error) (err error) {
	if name == "" {
		return nil
	}

	file, err := os.Create(name)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, file.Close()) }()

	if err := write(file); err != nil {
		return err
	}

	fmt.Fprintf(said, "written: %s\n", name)

	return nil
}

// Compare reads reports, writes their figures beside each other and, if plot names a file, draws them into it.
func Compare(names []string, plot string, out io.Writer) error {
	if err := checkPlot(plot); err != nil {
		return err
	}

	reports := make([]*Report, len(names))
	for i, name := range names {
		var err error
		if reports[i], err = readFile(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}

	labels := shortNames(names)
	writeComparison(out, reports, labels)

	if plot == "" {
		return nil
	}

	draw := func(w io.Writer) error { return comparisonHTML(w, reports, labels) }
	if filepath.Ext(plot) == ".svg" {
		draw = func(w io.Writer) error { return comparisonSVG(w, reports, labels) }
	}

	return writeFile(plot, out, draw)
}

func readFile(name string) (*Report, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // It has only been read.

	return ReadReport(file)
}

// shortNames are files' names without folders and endings, or as they are where those are the same.
func shortNames(names []string) []string {
	short, seen := make([]string, len(names)), make(map[string]bool)

	for i, name := range names {
		short[i] = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		if seen[short[i]] {
			return names
		}

		seen[short[i]] = true
	}

	return short
}
