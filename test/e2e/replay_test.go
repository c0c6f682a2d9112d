package e2e

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A recording of seven devices is replayed: all its rows arrive, in order, as often as sent, and what the hub knows of
// the devices at the end is the file's last row.
func TestReplayArrivesWhole(t *testing.T) {
	file := shared(t, "datasets/room_occupancy.csv")
	rows, header := readCSV(t, file)
	h := serve(t, t.TempDir())

	s := dial(t, h)
	s.sendf(`{"id":1,"subscribe":{"filters":["devices/+/telemetry"],"form":"events","delivery":"every"}}`)
	s.until(5*time.Second, func(m *message) bool { return m.Subscribed != nil })

	if out, err := pulso(t, 2*time.Minute, "sim", "replay", file, "--broker", "tcp://"+h.mqtt); err != nil {
		t.Fatalf("replay: %v\n%s", err, out)
	}
	got := make(map[string][]map[string]json.Number)
	count := 0
	s.until(time.Minute, func(m *message) bool {
		for _, e := range m.Events {
			var values map[string]json.Number
			if err := json.Unmarshal(e.Payload, &values); err != nil {
				t.Fatalf("%s: %v", e.Payload, err)
			}
			got[e.Device] = append(got[e.Device], values)
			count++
		}
		return count >= 7*len(rows)
	})
	if devices := slices.Sorted(maps.Keys(got)); !slices.Equal(devices, []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7"}) {
		t.Fatalf("devices %v, want S1 to S7", devices)
	}
	for device, messages := range got {
		if len(messages) != len(rows) {
			t.Errorf("%s: %d messages for %d rows", device, len(messages), len(rows))
			continue
		}
		for i, values := range messages {
			for column, name := range header {
				metric, ok := strings.CutPrefix(name, device+"_")
				if ok && values[metric].String() != rows[i][column] {
					t.Fatalf("%s, row %d: %s is %s, the file has %s", device, i+1, metric, values[metric], rows[i][column])
				}
			}
		}
	}
	checkLastValues(t, h, header, rows[len(rows)-1])
}

// checkLastValues compares what the hub knows of each device with a row.
func checkLastValues(t *testing.T, h *hub, header, last []string) {
	t.Helper()
	want := make(map[string]float64)
	for i, name := range header {
		if device, metric, ok := strings.Cut(name, "_"); ok && len(device) == 2 && device[0] == 'S' {
			v, err := strconv.ParseFloat(last[i], 64)
			if err != nil {
				t.Fatal(err)
			}
			want[device+" "+metric] = v
		}
	}
	s := dial(t, h)
	s.sendf(`{"id":1,"subscribe":{"filters":["devices/+/telemetry"],"form":"values","delivery":"latest"}}`)
	got := make(map[string]float64)
	s.until(5*time.Second, func(m *message) bool {
		if m.Snapshot == nil {
			return false
		}
		names := make(map[float64]string)
		for _, row := range m.Snapshot.Series {
			var number float64
			var device, name string
			decodeRow(t, row, &number, &device, &name)
			names[number] = device + " " + name
		}
		for _, row := range m.Snapshot.Values {
			got[names[row[0]]] = row[2]
		}
		return true
	})
	if !maps.Equal(got, want) {
		t.Errorf("last values\n%v, the file's last row has\n%v", got, want)
	}
}

func readCSV(t *testing.T, path string) (rows [][]string, header []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:], all[0]
}
