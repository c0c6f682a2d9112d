package recording

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// plan is what the columns of a file mean.
type plan struct {
	path    string
	fields  []field // grouped by device
	names   []string
	key     int // column that names the device of each row; -1 for none
	keyName string
	time    timeColumns
	leftOut []string
}

// field is one column that is sent.
type field struct {
	column int
	device string // empty where each row names its device
	metric string
	text   bool
}

// noneWord switches a rule off that would otherwise be looked for.
const noneWord = "-"

// deviceColumns are the usual names of a column that names the device.
var deviceColumns = []string{
	"device", "device_id", "deviceid", "sensor", "sensor_id", "sensorid", "node", "node_id", "station", "station_id",
	"vehicle", "vehicle_id", "machine_id", "trajectory", "trip_id",
}

// prefixed is the form of column names that name a device by themselves.
var prefixed = regexp.MustCompile(`^([A-Za-z]+[0-9]+)_(.+)$`)

func newPlan(path string, header []string, sample [][]string, o Options) (plan, error) {
	p := plan{path: path, names: header, key: -1}

	if err := p.checkHeader(); err != nil {
		return p, err
	}

	if err := p.time.find(p.column, header, o.Time); err != nil {
		return p, err
	}

	// A column that only looked like the time by its name is a column like any other.
	if _, err := p.time.parse(sample[0]); err != nil && o.Time == "" {
		p.time = timeColumns{}
	}

	if err := p.findKey(o); err != nil {
		return p, err
	}

	var err error
	if len(o.Map) > 0 {
		err = p.mapped(o)
	} else {
		err = p.detected(sample, o)
	}

	if err != nil {
		return p, err
	}

	if len(p.fields) == 0 {
		return p, fmt.Errorf("%s: no column to send; it has: %s", path, list(header))
	}

	p.group()

	err = p.checkFields()

	return p, err
}

func (p *plan) checkHeader() error {
	for i, name := range p.names {
		if name == "" {
			p.names[i] = "column_" + strconv.Itoa(i+1)
		}

		if at := slices.Index(p.names, p.names[i]); at < i {
			return fmt.Errorf("%s: column %d and column %d are both called %q", p.path, at+1, i+1, name)
		}
	}

	return nil
}

// column returns the index of the column, or an error that lists those there are.
func (p *plan) column(name string) (int, error) {
	at := slices.Index(p.names, name)
	if at < 0 {
		return 0, fmt.Errorf("column %q is not in %s; it has: %s", name, p.path, list(p.names))
	}

	return at, nil
}

func list(names []string) string { return strings.Join(names, ", ") }

func (p *plan) findKey(o Options) error {
	switch {
	case o.DeviceColumn == noneWord || len(o.Map) > 0 && o.DeviceColumn == "":
		return nil
	case o.DeviceColumn != "":
		at, err := p.column(o.DeviceColumn)
		p.key, p.keyName = at, o.DeviceColumn

		return err
	}

	p.key = slices.IndexFunc(p.names, func(name string) bool {
		return slices.Contains(deviceColumns, strings.ToLower(name))
	})
	if p.key >= 0 {
		p.keyName = p.names[p.key]
	}

	return nil
}

// mapped takes the columns that the options map.
func (p *plan) mapped(o Options) error {
	for _, entry := range o.Map {
		name, target, ok := strings.Cut(entry, "=")
		if !ok || name == "" || target == "" {
			return fmt.Errorf("map %q: want COLUMN=METRIC or COLUMN=DEVICE.METRIC", entry)
		}

		at, err := p.column(name)
		if err != nil {
			return err
		}

		f := field{column: at, device: o.Device, metric: target, text: slices.Contains(o.Text, name)}
		if device, metric, ok := strings.Cut(target, "."); ok {
			f.device, f.metric = device, metric
		} else if p.key >= 0 {
			f.device = ""
		}

		p.fields = append(p.fields, f)
	}

	for i, name := range p.names {
		if !p.isUsed(i) {
			p.leftOut = append(p.leftOut, name)
		}
	}

	return nil
}

// isUsed reports whether the column is sent, or is time or device.
func (p *plan) isUsed(column int) bool {
	return column == p.key || slices.Contains(p.time.columns, column) ||
		slices.ContainsFunc(p.fields, func(f field) bool { return f.column == column })
}

// detected takes the columns by the rules of the package comment.
func (p *plan) detected(sample [][]string, o Options) error {
	for _, name := range slices.Concat(o.Columns, o.Text) {
		if _, err := p.column(name); err != nil {
			return err
		}
	}

	split, err := p.splitter(o)
	if err != nil {
		return err
	}

	for i, name := range p.names {
		if i == p.key || slices.Contains(p.time.columns, i) {
			continue
		}

		f := field{column: i, metric: name, text: slices.Contains(o.Text, name)}
		chosen := f.text || slices.Contains(o.Columns, name)
		wanted := chosen || len(o.Columns) == 0 && isNumeric(sample, i)

		if split.pattern != nil {
			var ok bool
			if f.device, f.metric, ok = split.split(name); !ok {
				f.device, f.metric = o.Rest, name
				wanted = wanted && o.Rest != ""
			}
		} else if p.key < 0 {
			f.device = o.Device
		}

		if wanted {
			p.fields = append(p.fields, f)
		} else {
			p.leftOut = append(p.leftOut, name)
		}
	}

	return nil
}

// A splitter takes a column's name apart into device and metric.
type splitter struct {
	pattern        *regexp.Regexp // nil if names hold no device
	device, metric int            // groups
}

func (p *plan) splitter(o Options) (splitter, error) {
	s := splitter{device: 1, metric: 2}

	switch {
	case o.Split == noneWord, o.Split == "" && (p.key >= 0 || !p.isPrefixed()):
		return s, nil
	case o.Split == "":
		s.pattern = prefixed

		return s, nil
	}

	var err error
	if s.pattern, err = regexp.Compile(o.Split); err != nil {
		return s, fmt.Errorf("split: %w", err)
	}

	if s.pattern.NumSubexp() != 2 {
		return s, fmt.Errorf("split %q: want two groups, the device and the metric", o.Split)
	}

	if s.pattern.SubexpIndex("metric") == 1 || s.pattern.SubexpIndex("device") == 2 {
		s.device, s.metric = 2, 1
	}

	return s, nil
}

func (s splitter) split(name string) (device, metric string, ok bool) {
	m := s.pattern.FindStringSubmatch(name)
	if m == nil || m[s.device] == "" || m[s.metric] == "" {
		return "", "", false
	}

	return m[s.device], m[s.metric], true
}

// isPrefixed reports whether the names of the columns show at least two devices.
func (p *plan) isPrefixed() bool {
	first := ""

	for _, name := range p.names {
		m := prefixed.FindStringSubmatch(name)

		switch {
		case m == nil:
		case first == "":
			first = m[1]
		case m[1] != first:
			return true
		}
	}

	return false
}

// isNumeric reports whether the first filled cell of the column is a number.
func isNumeric(sample [][]string, column int) bool {
	for _, cells := range sample {
		if cell := strings.TrimSpace(cells[column]); !isMissing(cell) {
			_, ok := number(cell)

			return ok
		}
	}

	return false
}

// group brings the fields of a device together, devices in the order in which they first show.
func (p *plan) group() {
	order := make(map[string]int)

	for _, f := range p.fields {
		if _, ok := order[f.device]; !ok {
			order[f.device] = len(order)
		}
	}

	slices.SortStableFunc(p.fields, func(a, b field) int { return order[a.device] - order[b.device] })
}

// checkFields refuses devices that cannot stand in a topic and metrics that a device would have twice.
func (p *plan) checkFields() error {
	for i, f := range p.fields {
		if f.device != "" && f.device != identifier(f.device) {
			return fmt.Errorf("device %q of column %q: want letters, digits and . _ : - only", f.device, p.names[f.column])
		}

		for _, other := range p.fields[:i] {
			if other.device == f.device && other.metric == f.metric {
				return fmt.Errorf("columns %q and %q would both be the metric %q of the device %q",
					p.names[other.column], p.names[f.column], f.metric, f.device)
			}
		}
	}

	return nil
}

// identifier returns text with everything replaced by "_" that does not belong into one level of a topic.
func identifier(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._:-", r) {
			return r
		}

		return '_'
	}, text)
}

func (p *plan) devices() []Message {
	var devices []Message

	for _, f := range p.fields {
		if len(devices) == 0 || devices[len(devices)-1].Device != f.device {
			devices = append(devices, Message{Device: f.device})
		}

		last := &devices[len(devices)-1]
		last.Readings = append(last.Readings, Reading{Metric: f.metric})
	}

	return devices
}

// fill makes row of the cells. Its errors begin with the column.
func (p *plan) fill(row *Row, cells []string) error {
	var err error
	if row.Time, err = p.time.parse(cells); err != nil {
		return err
	}

	key := ""

	if p.key >= 0 {
		cell := strings.TrimSpace(cells[p.key])
		if cell == "" {
			return fmt.Errorf("column %q: no device", p.keyName)
		}

		if key = identifier(cell); strings.Trim(key, "0123456789") == "" {
			key = identifier(p.keyName) + "-" + key
		}
	}

	row.Messages = row.Messages[:0]

	for i, f := range p.fields {
		if i == 0 || p.fields[i-1].device != f.device {
			row.Messages = append(row.Messages, Message{Device: f.device})
			if f.device == "" {
				row.Messages[len(row.Messages)-1].Device = key
			}
		}

		reading, err := f.read(strings.TrimSpace(cells[f.column]))
		if err != nil {
			return fmt.Errorf("column %q: %w", p.names[f.column], err)
		}

		last := &row.Messages[len(row.Messages)-1]
		last.Readings = append(last.Readings, reading)
	}

	return nil
}

// read returns what a cell of the column says.
func (f *field) read(cell string) (Reading, error) {
	switch {
	case isMissing(cell):
		return Reading{Metric: f.metric, JSON: "null"}, nil
	case f.text:
		quoted, err := json.Marshal(cell)
		if err != nil {
			return Reading{}, fmt.Errorf("text: %w", err)
		}

		return Reading{Metric: f.metric, JSON: string(quoted)}, nil
	}

	text, ok := number(cell)
	if !ok {
		return Reading{}, fmt.Errorf("%q is not a number", shorten(cell))
	}

	return Reading{Metric: f.metric, JSON: text}, nil
}
