package recording

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// memory is a file that is not one.
type memory struct{ *strings.Reader }

func (memory) Close() error { return nil }

// FuzzRecording checks that whatever is read from whatever file can stand in a topic and in a JSON object.
func FuzzRecording(f *testing.F) {
	f.Add("Date,Time,S1_Temp,S2_Temp\n2017-12-22,9:05:01,24.5,\n", "", "", "")
	f.Add("trajectory,timestamp,x\n0000,1964-01-12 00:00:05.007000208,-1.5\n", "", "", "")
	f.Add("T1,RH_1\n1,2\n", `^(?P<metric>T|RH_)(?P<device>\d)$`, "", "")
	f.Add("a,b,c\n1,2,3\n", "", "a=x.y", "b+c")

	f.Fuzz(func(t *testing.T, text, split, mapping, times string) {
		options := Options{Device: "d", Split: split, Time: times}
		if mapping != "" {
			options.Map = strings.Split(mapping, ",")
		}

		r, err := newRecording("f.csv", memory{strings.NewReader(text)}, options)
		if err != nil {
			return
		}

		for {
			row, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}

			if err != nil {
				if !strings.Contains(err.Error(), "f.csv, line ") {
					t.Fatalf("the error names no place: %v", err)
				}

				return
			}

			for _, m := range row.Messages {
				if m.Device == "" || strings.ContainsAny(m.Device, "/+#\x00") {
					t.Fatalf("device %q", m.Device)
				}

				for _, reading := range m.Readings {
					if !json.Valid([]byte(reading.JSON)) {
						t.Fatalf("%s is no JSON", reading.JSON)
					}
				}
			}
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"2017-12-22 9:05:01", "-188265600.5", "1700000000123456789", "2024-02-29T12:00:00+02:00"} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseTime(text)
		if err != nil {
			return
		}

		again, err := ParseTime(at.Format("2006-01-02 15:04:05.999999999"))
		if year := at.Year(); year >= 0 && year < 10_000 && (err != nil || !again.Equal(at)) {
			t.Fatalf("%q is %s, which reads back as %s, %v", text, at.Format(time.RFC3339Nano), again, err)
		}
	})
}

func FuzzNumber(f *testing.F) {
	for _, text := range []string{"24.94", "+5", ".5", "5.", "1e400", "0x10", "1_000", "007", "-0", "NaN"} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		if spelled, ok := number(text); ok && !json.Valid([]byte(spelled)) {
			t.Fatalf("%q became %q, which is no JSON number", text, spelled)
		}
	})
}
