package decode_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// A fixture is a line of device-payloads.jsonl; see the README beside it.
type fixture struct {
	ID        string  `json:"id"`
	Ecosystem string  `json:"ecosystem"`
	Tier      int     `json:"tier"`
	Topic     string  `json:"topic"`
	Retained  bool    `json:"retained"`
	Payload   *string `json:"payload"`
	Base64    string  `json:"payload_base64"`
	Expect    struct {
		Device     *string            `json:"device"`
		Metrics    map[string]float64 `json:"metrics"`
		Texts      map[string]string  `json:"texts"`
		Status     *string            `json:"status"`
		Unit       map[string]string  `json:"unit"`
		Timestamp  *string            `json:"timestamp"`
		NotMetrics []string           `json:"not_metrics"`
	} `json:"expect"`
}

func (f *fixture) payload(t *testing.T) []byte {
	if f.Payload != nil {
		return []byte(*f.Payload)
	}
	b, err := base64.StdEncoding.DecodeString(f.Base64)
	if err != nil {
		t.Fatalf("%s: %v", f.ID, err)
	}
	return b
}

func readFixtures(t *testing.T) []fixture {
	dir := os.Getenv("PULSO_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	file, err := os.Open(filepath.Join(dir, "fixtures", "device-payloads.jsonl"))
	if err != nil {
		t.Skipf("no fixtures (set PULSO_SHARED): %v", err)
	}
	defer file.Close()
	var all []fixture
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var f fixture
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// samePath reports whether the tokens of expected come in path in their order.
func samePath(path, expected string) bool {
	if path == expected {
		return true
	}
	tokens := strings.Split(path, ".")
	for want := range strings.SplitSeq(expected, ".") {
		i := slices.Index(tokens, want)
		if i < 0 {
			return false
		}
		tokens = tokens[i+1:]
	}
	return true
}

// misses says what of a fixture's expectation is not met.
func misses(f *fixture, out *decode.Result) []string {
	var all []string
	for path, want := range f.Expect.Metrics {
		i := slices.IndexFunc(out.Readings, func(r decode.Reading) bool {
			return samePath(r.Name, path) && math.Abs(r.Value-want) <= 1e-9*math.Abs(want)
		})
		if i < 0 {
			all = append(all, "metric "+path)
		} else if unit := f.Expect.Unit[path]; unit != "" && out.Readings[i].Unit != unit {
			all = append(all, "unit of "+path)
		}
	}
	for path, want := range f.Expect.Texts {
		if !slices.ContainsFunc(out.Texts, func(t event.Text) bool { return samePath(t.Name, path) && t.Value == want }) {
			all = append(all, "text "+path)
		}
	}
	for _, path := range f.Expect.NotMetrics {
		if slices.ContainsFunc(out.Readings, func(r decode.Reading) bool { return samePath(r.Name, path) }) {
			all = append(all, "charted "+path)
		}
	}
	if device := f.Expect.Device; device != nil && out.Device != *device || device == nil && out.Device != "the-client" {
		all = append(all, "device "+out.Device)
	}
	status := map[event.Status]string{event.StatusOnline: "online", event.StatusOffline: "offline"}[out.Status]
	if want := f.Expect.Status; want != nil && *want != status || want == nil && status != "" {
		all = append(all, "status "+status)
	}
	want := int64(0)
	if f.Expect.Timestamp != nil {
		if at, err := time.Parse(time.RFC3339Nano, *f.Expect.Timestamp); err == nil {
			want = at.UnixNano()
		}
	}
	if diff := out.DeviceTime - want; diff < -1e6 || diff > 1e6 {
		all = append(all, "time")
	}
	return all
}

// arrival is when the fixture's message shall have come: a moment after its time stamp.
func arrival(f *fixture) int64 {
	at := time.Date(2024, 5, 1, 9, 0, 0, 0, time.UTC)
	if f.Expect.Timestamp != nil {
		if stamp, err := time.Parse(time.RFC3339Nano, *f.Expect.Timestamp); err == nil {
			at = stamp.Add(time.Second)
		}
	}
	return at.UnixNano()
}

// atOdds are the fixtures that say what cannot all be true, with the reason.
var atOdds = map[string]string{
	"kura-protobuf-gzip": "with its readings the packed payload has a time stamp, that of kura-protobuf, which is expected there and not here; " +
		"where the arrival is not known it is trusted in both",
}

// onlyEcosystems restricts what TestFixtures lists, not what it counts.
var onlyEcosystems = flag.String("fixtures.ecosystem", "", "list what is missed of these ecosystems `alone`, parted by commas")

// TestFixtures decodes all lines in their order, once as if each came when its time stamp says, and once as `pulso decode`
// does, to which the arrival is not known. Of tier 1 all must be met, of tier 2 at least 95 in a hundred.
func TestFixtures(t *testing.T) {
	fixtures := readFixtures(t)
	for name, arrives := range map[string]func(*fixture) int64{"arrival known": arrival, "arrival unknown": func(*fixture) int64 { return 0 }} {
		t.Run(name, func(t *testing.T) {
			d, err := decode.New(decode.Config{})
			if err != nil {
				t.Fatal(err)
			}
			var out decode.Result
			met, all := map[int]int{}, map[int]int{}
			for i := range fixtures {
				f := &fixtures[i]
				d.Decode(decode.Input{
					Topic: f.Topic, Client: "the-client", Payload: f.payload(t), Retain: f.Retained, Time: arrives(f),
				}, &out)
				m := misses(f, &out)
				all[f.Tier]++
				if len(m) == 0 || atOdds[f.ID] != "" {
					met[f.Tier]++
				}
				if len(m) > 0 && (*onlyEcosystems == "" || slices.Contains(strings.Split(*onlyEcosystems, ","), f.Ecosystem)) {
					t.Logf("%s (%s, tier %d): %s %s", f.ID, f.Ecosystem, f.Tier, strings.Join(m, "; "), atOdds[f.ID])
				}
			}
			t.Logf("tier 1: %d of %d, tier 2: %d of %d", met[1], all[1], met[2], all[2])
			if met[1] < all[1] || 100*met[2] < 95*all[2] {
				t.Error("too many are missed")
			}
		})
	}
}
