package broker

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// TestGuardsHaveTheirTests: every test that docs/SECURITY.md names exists.
func TestGuardsHaveTheirTests(t *testing.T) {
	text, err := os.ReadFile("../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## What stops what\n")
	table, _, _ = strings.Cut(table, "\n## ")
	code := map[string]string{}
	rows, tests := 0, 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.Contains(line, "| danger |") {
			continue
		}
		rows++
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 {
			t.Errorf("no test for: %s", cells[1])
		}
		for _, name := range names {
			tests++
			folder, function := path.Split(name[1])
			if code[folder] == "" {
				code[folder] = testsIn(t, filepath.Join("..", folder))
			}
			if !strings.Contains(code[folder], "\nfunc "+function+"(") {
				t.Errorf("%s does not exist", name[1])
			}
		}
	}
	if rows < 40 || tests < rows {
		t.Errorf("%d rows with %d tests: was the table read?", rows, tests)
	}
}

func testsIn(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s has no tests: %v", folder, err)
	}
	var all strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

// An alias is no way round what is forbidden: the topic that it stands for is judged each time.
func TestAliasOfAForbiddenTopic(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "c"})
	alias := func(topic string, id byte) []byte {
		return rawPacketOf(0x32, append(appendString(nil, topic), 0, id, 3, 0x23, 0, 1, 'x'))
	}
	for id, topic := range []string{"$SYS/a", "", "fine", "", "$SYS/b", ""} {
		c.send(alias(topic, byte(id+1)))
		want := byte(codeNotAuthorized)
		if id == 2 || id == 3 {
			want = 0
		}
		if body := c.want(0x40); len(body) > 2 && body[2] != want || len(body) == 2 && want != 0 {
			t.Fatalf("message %d: PUBACK %x, want reason %#x", id, body, want)
		}
	}
	if n := len(r.sink.kind(event.KindPublish, "c")); n != 2 {
		t.Fatalf("%d messages in the log", n)
	}
}

// What a publisher says in user properties is the subscribers', not part of what it is answered.
func TestAcknowledgementsCarryNoProperties(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "c"})
	e := &event.Event{Topic: "a", Payload: []byte("x"), Properties: &event.Properties{
		User: []event.UserProperty{{Name: "secret", Value: "of the publisher"}},
	}}
	for qos, answer := range map[byte]byte{1: 0x40, 2: 0x50} {
		c.send(packet.AppendPublish(nil, 5, &packet.Message{Event: e, QoS: qos, ID: 7}))
		if body := c.want(answer); len(body) > 3 {
			t.Errorf("QoS %d: answered with %q", qos, body)
		}
	}
	c.ack(packet.Pubrel, 7)
	if body := c.want(0x70); len(body) > 3 {
		t.Errorf("PUBCOMP %q", body)
	}
}
