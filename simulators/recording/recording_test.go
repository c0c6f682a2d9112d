package recording

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// write puts the text into a file of its own and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}

// read opens the file and returns its rows, each as a line of text.
func read(t *testing.T, path string, o Options) ([]string, error) {
	t.Helper()

	r, err := Open(path, o)
	if err != nil {
		return nil, err
	}

	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()

	var rows []string

	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}

		if err != nil {
			return rows, err
		}

		rows = append(rows, describe(row))
	}
}

func describe(row *Row) string {
	var b strings.Builder

	fmt.Fprintf(&b, "%d", row.Line)

	if !row.Time.IsZero() {
		fmt.Fprintf(&b, " %s", row.Time.Format(time.RFC3339Nano))
	}

	for _, m := range row.Messages {
		fmt.Fprintf(&b, " | %s", m.Device)

		for _, reading := range m.Readings {
			fmt.Fprintf(&b, " %s=%s", reading.Metric, reading.JSON)
		}
	}

	return b.String()
}

func TestMapping(t *testing.T) {
	t.Parallel()

	const nodes = "Date,Time,S1_Temp,S2_Temp,S1_Light,S2_CO2_Slope,Count,Note\n2017-12-22,9:05:01,24.50,,0,-1e-3,3,x\n2017-12-22,10:05:01,1,2,3,4,5,y\n"

	tests := []struct {
		name, text string
		options    Options
		want       []string
	}{
		{"devices in the names", nodes, Options{}, []string{
			`2 2017-12-22T09:05:01Z | S1 Temp=24.50 Light=0 | S2 Temp=null CO2_Slope=-1e-3`,
			`3 2017-12-22T10:05:01Z | S1 Temp=1 Light=3 | S2 Temp=2 CO2_Slope=4`,
		}},
		{"the rest too", nodes, Options{Rest: "room"}, []string{
			`2 2017-12-22T09:05:01Z | S1 Temp=24.50 Light=0 | S2 Temp=null CO2_Slope=-1e-3 | room Count=3`,
			`3 2017-12-22T10:05:01Z | S1 Temp=1 Light=3 | S2 Temp=2 CO2_Slope=4 | room Count=5`,
		}},
		{"no device in the names", nodes, Options{Split: "-", Columns: []string{"Count"}}, []string{
			`2 2017-12-22T09:05:01Z | f Count=3`, `3 2017-12-22T10:05:01Z | f Count=5`,
		}},
		{"text", nodes, Options{Split: "-", Columns: []string{"Count"}, Text: []string{"Note"}, Device: "room"}, []string{
			`2 2017-12-22T09:05:01Z | room Count=3 Note="x"`, `3 2017-12-22T10:05:01Z | room Count=5 Note="y"`,
		}},
		{"map", nodes, Options{Map: []string{"S1_Temp=hall.temperature", "Count=people"}, Device: "room"}, []string{
			`2 2017-12-22T09:05:01Z | hall temperature=24.50 | room people=3`,
			`3 2017-12-22T10:05:01Z | hall temperature=1 | room people=5`,
		}},
		{"split by groups in the other order", "T1,RH_1,T2\n1,2,3\n", Options{Split: `^(?P<metric>T|RH_)(?P<device>\d)$`}, []string{
			`2 | 1 T=1 RH_=2 | 2 T=3`,
		}},
		{"one prefix is no device", "PM25_raw,PM25_mean\n1,2\n", Options{}, []string{`2 | f PM25_raw=1 PM25_mean=2`}},
		{"device column", "sensor,value\na b/c,1\n007,2\n", Options{}, []string{`2 | a_b_c value=1`, `3 | sensor-007 value=2`}},
		{"no device column", "sensor,value\n5,1\n", Options{DeviceColumn: "-"}, []string{`2 | f sensor=5 value=1`}},
		{"other spellings of numbers", "a,b,c,d\n+5,.5,5.,1E3\n", Options{}, []string{`2 | f a=5 b=0.5 c=5 d=1E3`}},
		{"leading zeros are no number", "a,b\n007,1\n", Options{}, []string{`2 | f b=1`}},
		{"missing", "a,b\n,1\nNaN,2\n3,n/a\n", Options{}, []string{`2 | f a=null b=1`, `3 | f a=null b=2`, `4 | f a=3 b=null`}},
		{"byte order mark, spaces, quotes", "\ufeff\"a, b\", c\n 1 ,\" 2\"\n", Options{}, []string{`2 | f a, b=1 c=2`}},
		{"not the time after all", "time,a\nnoon,1\n", Options{}, []string{`2 | f a=1`}},
		{"time by name", "when,a\n-188265600.5,1\n", Options{Time: "when"}, []string{`2 1964-01-13T23:59:59.5Z | f a=1`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			got, err := read(t, write(t, "f.csv", test.text), test.options)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got  %v, %v\nwant %v", got, err, test.want)
			}
		})
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	t.Parallel()

	tests := []struct {
		text    string
		options Options
		want    string
	}{
		{"", Options{}, `f.csv is empty: want a header row`},
		{"a,b\n", Options{}, `f.csv has a header but no rows`},
		{"a,b\n1,2\n3\n", Options{}, `f.csv, line 3: has not as many cells as the header`},
		{"a,b\n1,2\n3,4,5\n", Options{}, `f.csv, line 3: has not as many cells as the header`},
		{"a,b\n1,2\n3,x\n", Options{}, `f.csv, line 3, column "b": "x" is not a number`},
		{"a,b\n1,2\n3,\"x\n", Options{}, `f.csv, line`},
		{"a,a\n1,2\n", Options{}, `f.csv: column 1 and column 2 are both called "a"`},
		{"a,b\n1,x\n", Options{Columns: []string{"b"}}, `f.csv, line 2, column "b": "x" is not a number`},
		{"a,b\n1,2\n", Options{Columns: []string{"c"}}, `column "c" is not in`},
		{"a,b\n1,2\n", Options{Columns: []string{"c"}}, `f.csv; it has: a, b`},
		{"a,b\n1,2\n", Options{Time: "c"}, `time: column "c" is not in`},
		{"a,b\n1,2\n", Options{DeviceColumn: "c"}, `column "c" is not in`},
		{"a,b\n1,2\n", Options{Map: []string{"c=x"}}, `column "c" is not in`},
		{"a,b\n1,2\n", Options{Map: []string{"a"}}, `want COLUMN=METRIC`},
		{"a,b\n1,2\n", Options{Map: []string{"a=x", "b=x"}}, `would both be the metric "x"`},
		{"a,b\n1,2\n", Options{Map: []string{"a=d/e.x"}}, `want letters, digits`},
		{"a,b\n1,2\n", Options{Split: "("}, `split:`},
		{"a,b\n1,2\n", Options{Split: "(a)"}, `want two groups`},
		{"a,b\nx,y\n", Options{}, `no column to send; it has: a, b`},
		{"time,b\n2020-01-01,1\nnoon,2\n", Options{}, `f.csv, line 3, column "time": "noon" is not a time`},
		{"device,b\nd,1\n,2\n", Options{}, `f.csv, line 3, column "device": no device`},
	}
	for _, test := range tests {
		_, err := read(t, write(t, "f.csv", test.text), test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q, %+v\ngot  %v\nwant %s", test.text, test.options, err, test.want)
		}
	}

	if _, err := Open(filepath.Join(t.TempDir(), "none.csv"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"2017-12-22 9:05:01":            "2017-12-22T09:05:01Z",
		"2013-12-02 21:15:00":           "2013-12-02T21:15:00Z",
		"1964-01-12 00:00:05.007000208": "1964-01-12T00:00:05.007000208Z",
		"2024-02-29T12:00:00+02:00":     "2024-02-29T10:00:00Z",
		"2024-02-29 12:00":              "2024-02-29T12:00:00Z",
		"2024-02-29":                    "2024-02-29T00:00:00Z",
		"2024/02/29 01:02:03":           "2024-02-29T01:02:03Z",
		"0":                             "1970-01-01T00:00:00Z",
		"-188265600":                    "1964-01-14T00:00:00Z",
		"1700000000.25":                 "2023-11-14T22:13:20.25Z",
		"1700000000123":                 "2023-11-14T22:13:20.123Z",
		"-188265600001":                 "1964-01-13T23:59:59.999Z",
		"1700000000123456":              "2023-11-14T22:13:20.123456Z",
		"1700000000123456789":           "2023-11-14T22:13:20.123456789Z",
	} {
		got, err := ParseTime(text)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %s, %v, want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
	}

	for _, text := range []string{"", "noon", "01/02/2024", "2023-02-29", "25:00:00", "1e300", "NaN", "Inf"} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("%q: %s, want an error", text, got)
		}
	}
}

// dataset returns the path of a shared recording.
func dataset(t *testing.T, name string) string {
	t.Helper()

	shared := os.Getenv("PULSO_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}

	path := filepath.Join(shared, "datasets", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the recordings are not here (PULSO_SHARED names their folder): %v", err)
	}

	return path
}

func TestDatasets(t *testing.T) {
	t.Parallel()

	tests := []struct {
		file                 string
		rows                 int
		devices              []string
		first, last          string
		leftOut, timeColumns []string
	}{
		{
			"room_occupancy.csv", 10129,
			[]string{"S1", "S2", "S3", "S4", "S5", "S6", "S7"},
			`2 2017-12-22T10:49:41Z | S1 Temp=24.94 Light=121 Sound=0.08 | S2 Temp=24.75 Light=34 Sound=0.19 | ` +
				`S3 Temp=24.56 Light=53 Sound=0.06 | S4 Temp=25.38 Light=40 Sound=0.06 | S5 CO2=390 CO2_Slope=0.769230769 | S6 PIR=0 | S7 PIR=0`,
			`10130 2018-01-11T09:00:09Z | S1 Temp=25.13 Light=6 Sound=0.08 | S2 Temp=25.06 Light=7 Sound=0.05 | ` +
				`S3 Temp=24.69 Light=34 Sound=0.06 | S4 Temp=25.25 Light=22 Sound=0.08 | S5 CO2=345 CO2_Slope=0 | S6 PIR=0 | S7 PIR=0`,
			[]string{"Room_Occupancy_Count"},
			[]string{"Date", "Time"},
		},
		{
			"machine_temperature.csv", 22695,
			[]string{"machine_temperature"},
			`2 2013-12-02T21:15:00Z | machine_temperature value=73.96732207`,
			`22696 2014-02-19T15:25:00Z | machine_temperature value=96.90386085`,
			nil,
			[]string{"timestamp"},
		},
		{
			"gps_delivery_traces.csv", 7200,
			[]string{""},
			`2 1964-01-12T00:00:00Z | trajectory-0000 x=-182.87193190025536 y=89.6601782279619`,
			`7201 1964-01-12T00:06:19.991999864Z | trajectory-0099 x=-331.1526395039644 y=299.59896229379075`,
			[]string{"groundtruth"},
			[]string{"timestamp"},
		},
		{
			"house_appliances_energy.csv", 4932,
			[]string{"house_appliances_energy"},
			`2 2016-01-11T17:30:00Z | house_appliances_energy Appliances=50 lights=40 T1=19.89 RH_1=46.0667 T2=19.2 RH_2=44.59 T3=19.79 RH_3=45 ` +
				`T4=18.89 RH_4=45.7233 T5=17.1667 RH_5=55.09 T6=6.4333 RH_6=83.4233 T7=17.1333 RH_7=41.29 T8=18.1 RH_8=48.59 T9=17 RH_9=45.4`,
			`4933 2016-05-27T17:40:00Z | house_appliances_energy Appliances=270 lights=10 T1=25.5 RH_1=46.5967 T2=25.6286 RH_2=42.7686 T3=27.05 ` +
				`RH_3=41.69 T4=24.7 RH_4=45.73 T5=23.23 RH_5=52.2667 T6=23.6267 RH_6=1 T7=24.54 RH_7=44.4 T8=24.7 RH_8=49.66 T9=23.2 RH_9=46.79`,
			nil,
			[]string{"date"},
		},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()

			path := dataset(t, test.file)

			r, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()

			var devices []string
			for _, m := range r.Devices() {
				devices = append(devices, m.Device)
			}

			if !slices.Equal(devices, test.devices) || !slices.Equal(r.LeftOut(), test.leftOut) || !slices.Equal(r.TimeColumns(), test.timeColumns) {
				t.Errorf("devices %q, left out %q, time %q", devices, r.LeftOut(), r.TimeColumns())
			}

			rows, err := read(t, path, Options{})
			if err != nil || len(rows) != test.rows {
				t.Fatalf("%d rows, %v, want %d", len(rows), err, test.rows)
			}

			if rows[0] != test.first || rows[len(rows)-1] != test.last {
				t.Errorf("first %s\nlast %s", rows[0], rows[len(rows)-1])
			}
		})
	}
}
