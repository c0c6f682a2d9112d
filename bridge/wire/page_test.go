package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// page reads docs/PROTOCOL.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProtocolPageExampleOfTheBinaryForm compares the bytes that the page explains with those of the same frame in its example in
// JSON.
func TestProtocolPageExampleOfTheBinaryForm(t *testing.T) {
	t.Parallel()
	text := page(t)
	pos, err := event.ParsePosition("k3f.1050")
	if err != nil {
		t.Fatal(err)
	}
	s := &event.Series{ID: 12, Device: "d1", Name: "temperature", Unit: "°C", Topic: "devices/d1/telemetry"}
	values := []wire.Value{
		{Series: s, Aggregate: wire.Aggregate{Time: 1763830000123e6, Last: 21.5, Min: 21.5, Max: 21.5, Count: 1}},
		{Series: s, Aggregate: wire.Aggregate{Time: 1763830000623e6, Last: 21.9, Min: 21.4, Max: 23, Count: 6}},
	}
	frame := func(e wire.Encoding) []byte {
		return e.Frame(8, pos, e.AppendValues(e.AppendSeries(nil, []*event.Series{s}), values)).Bytes()
	}
	_, rest, _ := strings.Cut(text, "```hex\n")
	block, _, _ := strings.Cut(rest, "```")
	var explained []byte
	for line := range strings.Lines(block) {
		digits, _, _ := strings.Cut(line, ";")
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		explained = append(explained, b...)
	}
	if want := frame(wire.Proto); !bytes.Equal(explained, want) {
		t.Errorf("the page explains\n% x\nwhere the frame is\n% x", explained, want)
	}
	example := regexp.MustCompile(`(?m)^\{"room":8,"position".*$`).FindString(text)
	var shown, written any
	if err := json.Unmarshal([]byte(example), &shown); err != nil {
		t.Fatalf("%q: %v", example, err)
	}
	if err := json.Unmarshal(frame(wire.JSON), &written); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(shown, written) {
		t.Errorf("the page shows %s where the frame is %s", example, frame(wire.JSON))
	}
}

// TestProtocolPageNamesAllFields looks for every command, reply and field of a session.
func TestProtocolPageNamesAllFields(t *testing.T) {
	t.Parallel()
	text := page(t)
	for _, m := range []protoreflect.ProtoMessage{
		&pulsov1.Command{}, &pulsov1.Hello{}, &pulsov1.Subscribe{}, &pulsov1.Unsubscribe{}, &pulsov1.Change{}, &pulsov1.Publish{},
		&pulsov1.Message{}, &pulsov1.Welcome{}, &pulsov1.Subscribed{}, &pulsov1.Changed{}, &pulsov1.Published{}, &pulsov1.Pong{},
		&pulsov1.Error{}, &pulsov1.Frame{}, &pulsov1.Gap{}, &pulsov1.Event{}, &pulsov1.Series{}, &pulsov1.Values{}, &pulsov1.Device{},
		&pulsov1.DeviceStatus{}, &pulsov1.TopicActivity{}, &pulsov1.Chat{}, &pulsov1.ChatMessage{}, &pulsov1.Viewers{}, &pulsov1.Viewer{},
	} {
		for _, name := range fields(m) {
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
				t.Errorf("the page does not name %s of %s", name, m.ProtoReflect().Descriptor().Name())
			}
		}
	}
}

// TestProtocolPageTellsTheLimits compares the table of limits with what commands are held to.
func TestProtocolPageTellsTheLimits(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(page(t), "### Limits\n")
	table, _, _ := strings.Cut(rest, "\n#")
	for what, limit := range map[string]int{
		"a command": wire.MaxMessage, "filters of a subscription": wire.MaxFilters, "devices of a subscription": wire.MaxFilters,
		"both together": wire.MaxSelection, "levels of all filters": wire.MaxFilterLevels,
		"`history`": wire.MaxHistory, "`rate`": wire.MaxRate, "`name`, `client`": wire.MaxName,
	} {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(what) + ` \| ([\d,]+)( KiB| MiB)?`).FindStringSubmatch(table)
		if row == nil {
			t.Errorf("the table has no row for %s", what)
			continue
		}
		n, err := strconv.Atoi(strings.ReplaceAll(row[1], ",", ""))
		if err != nil {
			t.Error(err)
		}
		if n *= map[string]int{"": 1, " KiB": 1 << 10, " MiB": 1 << 20}[row[2]]; n != limit {
			t.Errorf("the page says %s: %d, where it is %d", what, n, limit)
		}
	}
}
