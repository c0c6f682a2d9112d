// Package recording reads CSV recordings of sensors as what the sensors said: for each row, each device and its
// readings, in the order of the file and in the file's own digits.
//
// Which column belongs to which device and what it is called there is decided once, from the header and the first rows:
//
//  1. Options.Map names columns one by one: nothing else is sent.
//  2. Options.Split is a regular expression over column names with a device and a metric in it.
//  3. Without either, if at least two different devices show in column names of the form <letters><digits>_<metric>
//     ("S1_Temp", "S5_CO2_Slope"), those are the devices, and columns without such a name are left out, unless
//     Options.Rest names a device for them.
//  4. Otherwise all columns are metrics of one device, named after the file, or of one device for each value of the
//     column Options.DeviceColumn, which is found by itself if it has a usual name ("device", "sensor", "trajectory", …).
//
// A column counts as numeric if its first filled cell within the first rows is a JSON number: leading zeros make an
// identifier. Columns that are not numeric are left out unless Options.Text names them. An empty cell, or one that says
// NA, NaN or null, is a missing reading: null, so that each row stays one message of each of its devices.
package recording

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say how to read a recording. The zero value decides everything by itself.
type Options struct {
	// Device is the device of columns that name none; empty means the file's name without its ending.
	Device string
	// DeviceColumn is the column that holds the device's name in each row; empty means to look for one, "-" for none.
	DeviceColumn string
	// Split is a regular expression with two groups, device and metric in this order or by these names; empty means the
	// rule that the package comment tells, "-" that no column names a device.
	Split string
	// Map holds COLUMN=METRIC or COLUMN=DEVICE.METRIC.
	Map []string
	// Columns are the only columns to use; empty means all.
	Columns []string
	// Text are columns to send as text.
	Text []string
	// Rest is the device of the columns that Split does not match; empty leaves them out.
	Rest string
	// Time is the column with the time, or two joined by "+" for date and time of day; empty means to look for it.
	Time string
}

// Limits of a recording: what is larger is not a sensor recording, and is refused.
const (
	maxColumns = 4096
	sampleRows = 50
)

// byteOrderMark is what some programs write before the header.
const byteOrderMark = "\ufeff"

// A Reading is one value. JSON is a number in the digits of the file, a quoted text, or null for a missing reading.
type Reading struct {
	Metric, JSON string
}

// A Message is what one device says in one row.
type Message struct {
	Device   string
	Readings []Reading
}

// A Row is one line of the file.
type Row struct {
	// Line counts from 1, the header's.
	Line int
	// Time is zero if the recording has no time column.
	Time time.Time
	// Messages are in the order in which their devices first show in the header. The slice is reused by Next.
	Messages []Message
}

// A Recording is an open file. It is not safe for concurrent use.
type Recording struct {
	path   string
	file   io.ReadSeekCloser
	reader *csv.Reader
	plan   plan
	row    Row
}

// Open opens the file and decides what its columns mean. Errors name the file, and the line and column if there is one.
func Open(path string, options Options) (*Recording, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}

	r, err := newRecording(path, file, options)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}

	return r, nil
}

func newRecording(path string, file io.ReadSeekCloser, options Options) (*Recording, error) {
	r := &Recording{path: path, file: file}

	header, err := r.rewind()
	if err != nil {
		return nil, err
	}

	var sample [][]string

	for range sampleRows {
		cells, err := r.reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}

		if err != nil {
			return nil, r.explain(err)
		}

		sample = append(sample, slices.Clone(cells))
	}

	if len(sample) == 0 {
		return nil, fmt.Errorf("%s has a header but no rows", path)
	}

	if options.Device == "" {
		base := filepath.Base(path)
		options.Device = identifier(strings.TrimSuffix(base, filepath.Ext(base)))
	}

	if r.plan, err = newPlan(path, header, sample, options); err != nil {
		return nil, err
	}

	err = r.Rewind()

	return r, err
}

// rewind goes back to the file's beginning and reads the header.
func (r *Recording) rewind() ([]string, error) {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind %s: %w", r.path, err)
	}

	text := bufio.NewReader(r.file)
	if start, err := text.Peek(len(byteOrderMark)); err == nil && string(start) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark))
	}

	r.reader = csv.NewReader(text)
	r.reader.ReuseRecord = true

	header, err := r.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty: want a header row", r.path)
	}

	if err != nil {
		return nil, r.explain(err)
	}

	if len(header) > maxColumns {
		return nil, fmt.Errorf("%s has %d columns, want at most %d", r.path, len(header), maxColumns)
	}

	header = slices.Clone(header)
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
	}

	return header, nil
}

// Rewind makes Next begin again at the first row.
func (r *Recording) Rewind() error {
	_, err := r.rewind()

	return err
}

// Close closes the file.
func (r *Recording) Close() error { return r.file.Close() }

// Next returns the next row, or io.EOF after the last. The row is valid until the next call.
func (r *Recording) Next() (*Row, error) {
	cells, err := r.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}

	if err != nil {
		return nil, r.explain(err)
	}

	r.row.Line, _ = r.reader.FieldPos(0)
	if err := r.plan.fill(&r.row, cells); err != nil {
		return nil, fmt.Errorf("%s, line %d, %w", r.path, r.row.Line, err)
	}

	return &r.row, nil
}

// explain turns an error of the CSV reader into one that names the file.
func (r *Recording) explain(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return fmt.Errorf("read %s: %w", r.path, err)
	}

	if errors.Is(parse.Err, csv.ErrFieldCount) {
		return fmt.Errorf("%s, line %d: has not as many cells as the header", r.path, parse.Line)
	}

	return fmt.Errorf("%s, line %d, character %d: %w", r.path, parse.Line, parse.Column, parse.Err)
}

// Devices returns the devices with their metrics, in the header's order. Where each row names its device, there is one
// entry without a name.
func (r *Recording) Devices() []Message { return r.plan.devices() }

// LeftOut returns the columns that are not sent.
func (r *Recording) LeftOut() []string { return slices.Clone(r.plan.leftOut) }

// TimeColumns returns the names of the columns that make the time, none, one or two.
func (r *Recording) TimeColumns() []string { return slices.Clone(r.plan.time.names) }
