package interop

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// mosquitto is mosquitto_pub and mosquitto_sub.
type mosquitto struct{ version string }

// received is how mosquitto_sub is told to print a message: topics may hold spaces, so they come last.
const received = "M %q %r X%x %t"

func (m *mosquitto) open(t *testing.T, h *hub.Hub, c connection) *receiver {
	t.Helper()
	r := newReceiver()
	args := append(m.args(h), "-d", "-F", received, "-q", fmt.Sprint(c.qos))
	if c.id != "" {
		args = append(args, "-i", c.id)
	}
	if c.persistent {
		args = append(args, "-c")
	}
	for _, f := range c.filters {
		args = append(args, "-t", f)
	}
	if len(c.filters) == 0 {
		args = append(args, "-t", "nothing/of/interest") // it insists on one
	}
	for _, f := range c.unsubscribe {
		args = append(args, "-U", f)
	}
	if c.will != nil {
		args = append(args, "--will-topic", c.will.topic, "--will-payload", string(c.will.payload), "--will-qos", fmt.Sprint(c.will.qos))
		if c.will.retained {
			args = append(args, "--will-retain")
		}
	}
	// Into a pipe it would say things only when it has said much.
	args = append([]string{"-oL", hub.Program(t, "mosquitto_sub")}, args...)
	p := run(t, func(line string) bool { return r.line(t, line) }, hub.Program(t, "stdbuf"), args...)
	if granted := p.await("Subscribed (mid:"); len(c.filters) > 0 {
		want := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d, ", c.qos), len(c.filters)), ", ")
		if !strings.HasSuffix(granted, ": "+want) {
			t.Errorf("%s, want %s", granted, want)
		}
	}
	if len(c.unsubscribe) > 0 {
		p.await("received UNSUBACK")
	}
	r.disconnect, r.cut = p.stop, p.kill
	return r
}

// line takes a line of mosquitto_sub's that holds a message.
func (r *receiver) line(t *testing.T, line string) bool {
	var m message
	var retained int
	var payload string
	rest, ok := strings.CutPrefix(line, "M ")
	if !ok {
		return false
	}
	fields := strings.SplitN(rest, " ", 4)
	if len(fields) != 4 {
		return false
	}
	if _, err := fmt.Sscan(strings.Join(fields[:3], " "), &m.qos, &retained, &payload); err != nil {
		t.Errorf("mosquitto_sub said %.100q: %v", line, err)
		return true
	}
	var err error
	if m.payload, err = hex.DecodeString(payload[1:]); err != nil {
		t.Errorf("mosquitto_sub said %.100q: %v", line, err)
	}
	m.topic, m.retained = fields[3], retained == 1
	r.messages <- m
	return true
}

// publish runs mosquitto_pub for each series of messages that differ in nothing but their payloads.
func (m *mosquitto) publish(t *testing.T, h *hub.Hub, messages ...message) {
	t.Helper()
	for from := 0; from < len(messages); {
		first, to := messages[from], from+1
		for to < len(messages) && messages[to].topic == first.topic && messages[to].qos == first.qos && messages[to].retained == first.retained {
			to++
		}
		m.series(t, h, messages[from:to])
		from = to
	}
}

func (m *mosquitto) series(t *testing.T, h *hub.Hub, messages []message) {
	t.Helper()
	first := messages[0]
	args := append(m.args(h), "-t", first.topic, "-q", fmt.Sprint(first.qos))
	if first.retained {
		args = append(args, "-r")
	}
	how := "-s" // the whole of the standard input
	switch {
	case len(messages) > 1:
		how = "-l" // a message a line
	case len(first.payload) == 0:
		how = "-n"
	}
	p := run(t, func(string) bool { return false }, hub.Program(t, "mosquitto_pub"), append(args, how)...)
	for i, m := range messages {
		if i > 0 {
			fmt.Fprintln(p.stdin)
		}
		if _, err := p.stdin.Write(m.payload); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.stdin.Close()
	if code := p.wait(); code != 0 {
		t.Fatalf("mosquitto_pub ended with status %d: %s", code, p.rest())
	}
}

func (m *mosquitto) args(h *hub.Hub) []string {
	host, port, _ := net.SplitHostPort(h.MQTT)
	args := []string{"-h", host, "-p", port, "-V", m.version}
	if who := mqtt.Default; who.User != "" {
		args = append(args, "-u", who.User, "-P", who.Password)
	}
	return args
}
