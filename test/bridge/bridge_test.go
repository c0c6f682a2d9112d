package bridge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mosquitto"
	"pulso/test/internal/mqtt"
)

// expect waits for a line and fails on any other.
func expect(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case got := <-lines:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Errorf("%q did not come", want)
	}
}

// Both versions: what Mosquitto's clients publish is in the log, what a screen publishes reaches them, once, and does not
// come back.
func TestBothWays(t *testing.T) {
	for _, protocol := range []string{"5", "3.1.1"} {
		t.Run(protocol, func(t *testing.T) {
			b := mosquitto.Start(t)
			b.Pub("-t", "kept", "-m", "since before", "-q", "1", "-r")
			h := hub.Start(t, hub.Bridge("--from", "tcp://"+b.Addr, "--protocol", protocol))
			connected(t, h, 1)
			b.Pub("-t", "plant/pump", "-m", "7.5", "-q", "1")
			b.Pub("-t", "plant/pump", "-m", "8.5", "-q", "0")
			b.Pub("-t", "plant/pump", "-m", "9.5", "-q", "2")
			lines := b.Sub("-t", "cmd/#", "-q", "1")
			s := watch(t, h)
			for i := range 3 {
				s.ask(`{"id":%d,"publish":{"topic":"cmd/pump","payload_text":"go %d","qos":%d}}`, i+1, i, i%2)
				expect(t, lines, fmt.Sprintf("cmd/pump go %d", i))
			}
			b.Pub("-t", "last", "-m", "x", "-q", "1") // behind any echo
			eventually(t, "the last is stored", func() bool { return stored(t, h)["last x"] == 1 })
			want := map[string]int{
				"kept since before": 1, "plant/pump 7.5": 1, "plant/pump 8.5": 1, "plant/pump 9.5": 1, "last x": 1,
				"cmd/pump go 0": 1, "cmd/pump go 1": 1, "cmd/pump go 2": 1,
			}
			if got := stored(t, h); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the log holds\n%v, want\n%v", got, want)
			}
			if n := metric(t, h, "pulso_source_forwarded_total"); n != 3 {
				t.Errorf("%v forwarded", n)
			}
			select {
			case line := <-lines:
				t.Errorf("%q came as well", line)
			default:
			}
		})
	}
}

// A publisher sends numbered messages of QoS 1 to Mosquitto, a window of 32 at a time, and counts what is acknowledged.
type publisher struct {
	addr, topic  string
	acknowledged atomic.Int64
	stop         chan struct{}
	wg           sync.WaitGroup
}

func publish(t *testing.T, addr, topic string) *publisher {
	t.Helper()
	p := &publisher{addr: addr, topic: topic, stop: make(chan struct{})}
	conn, err := mqtt.Open(addr, "", &mqtt.Connect{ID: "publisher-" + strings.ReplaceAll(topic, "/", "-")})
	if err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		defer conn.Close()
		for n := 0; ; {
			select {
			case <-p.stop:
				return
			default:
			}
			for range 32 {
				m := mqtt.Publish{Topic: topic, Payload: fmt.Append(nil, n), QoS: 1, ID: n%32 + 1}
				if _, err := conn.Write(m.Bytes(mqtt.V311)); err != nil {
					return
				}
				n++
			}
			for range 32 {
				if _, err := conn.Expect(mqtt.PUBACK, patience); err != nil {
					return
				}
				p.acknowledged.Add(1)
			}
		}
	})
	return p
}

// end stops it and returns how many messages were acknowledged: those from 0 on.
func (p *publisher) end() int {
	close(p.stop)
	p.wg.Wait()
	return int(p.acknowledged.Load())
}

// missing are the messages that no log has, double those that are there more than once, together.
func missing(tb testing.TB, topic string, count int, logs ...map[string]int) (lost, double int) {
	tb.Helper()
	for n := range count {
		sum := 0
		for _, l := range logs {
			sum += l[fmt.Sprintf("%s %d", topic, n)]
		}
		if sum == 0 {
			lost++
		}
		if sum > 1 {
			double += sum - 1
		}
	}
	return lost, double
}

// The hub is killed in the middle of traffic, three times: all that Mosquitto has acknowledged is in its log afterwards.
func TestKill(t *testing.T) {
	for _, protocol := range []string{"5", "3.1.1"} {
		t.Run(protocol, func(t *testing.T) {
			b := mosquitto.Start(t)
			h := hub.Start(t, hub.Bridge("--from", "tcp://"+b.Addr, "--protocol", protocol))
			connected(t, h, 1)
			p := publish(t, b.Addr, "load/a")
			for range 3 {
				before := metric(t, h, "pulso_source_acks_total")
				eventually(t, "messages are stored", func() bool { return metric(t, h, "pulso_source_acks_total") > before+200 })
				h.Kill()
				time.Sleep(100 * time.Millisecond) // some come while it is away
				h.Again()
			}
			count := p.end()
			b.Pub("-t", "end", "-m", "x", "-q", "1")
			eventually(t, "all is stored", func() bool { return stored(t, h)["end x"] > 0 })
			lost, double := missing(t, "load/a", count, stored(t, h))
			t.Logf("%d acknowledged, %d missing, %d twice", count, lost, double)
			if lost > 0 || count < 600 {
				t.Errorf("%d of %d are missing", lost, count)
			}
			if n := metric(t, h, "pulso_source_unknown_outages_total"); n != 1 { // of this life: the time since the kill
				t.Errorf("%v outages", n)
			}
		})
	}
}

// Mosquitto is stopped and started again while the hub runs: its sessions are kept, so nothing is missing; and killed, so that
// it forgets the session: that is said.
func TestCut(t *testing.T) {
	b := mosquitto.Start(t)
	h := hub.Start(t, hub.Bridge("--from", "tcp://"+b.Addr))
	connected(t, h, 1)
	b.Pub("-t", "n", "-m", "1", "-q", "1")
	eventually(t, "1 is stored", func() bool { return stored(t, h)["n 1"] == 1 })
	b.Stop()
	eventually(t, "the hub says so", func() bool { return strings.Contains(get(t, h, "/readyz"), "not connected since") })
	if text := get(t, h, "/readyz"); !strings.HasPrefix(text, "ok\n") {
		t.Errorf("a broker that is away makes the hub unready: %s", text)
	}
	// What a screen publishes meanwhile waits.
	s := watch(t, h)
	s.ask(`{"id":1,"publish":{"topic":"cmd/x","payload_text":"later","qos":1}}`)
	b.Again()
	lines := b.Sub("-t", "cmd/#", "-q", "1", "-i", "listener", "-c")
	connected(t, h, 1)
	expect(t, lines, "cmd/x later")
	b.Pub("-t", "n", "-m", "2", "-q", "1")
	eventually(t, "2 is stored", func() bool { return stored(t, h)["n 2"] == 1 })
	if n := metric(t, h, "pulso_source_sessions_lost_total"); n != 0 {
		t.Errorf("%v sessions lost, but it was saved", n)
	}
	if n := metric(t, h, "pulso_source_unknown_outages_total"); n != 1 {
		t.Errorf("%v outages", n)
	}
	if n := metric(t, h, "pulso_source_unknown_seconds_total"); n <= 0 || n > 60 {
		t.Errorf("%v seconds away", n)
	}

	b.Kill()
	b.Forget()
	b.Again()
	eventually(t, "the hub notes it", func() bool { return metric(t, h, "pulso_source_sessions_lost_total") == 1 })
	connected(t, h, 1)
	if !strings.Contains(h.Output(), "forgotten this hub's session") {
		t.Error("the log says nothing of it")
	}
}

// What a screen has published outlives a hub that is killed and a broker that is away: it arrives in order, none is missing.
func TestCommandsOutliveTheHub(t *testing.T) {
	b := mosquitto.Start(t)
	h := hub.Start(t, hub.Bridge("--from", "tcp://"+b.Addr))
	connected(t, h, 1)
	session := &mqtt.Connect{ID: "listener", Persistent: true}
	listener, err := mqtt.Open(b.Addr, "", session)
	if err == nil {
		err = listener.Subscribe(1, "cmd/#")
	}
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	b.Stop()
	const many = 50
	s := watch(t, h)
	for i := range many {
		s.ask(`{"id":%d,"publish":{"topic":"cmd/x","payload_text":"%d","qos":1}}`, i+1, i)
	}
	h.Kill()
	b.Again()
	h.Again()
	if listener, err = mqtt.Open(b.Addr, "", session); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for next := 0; next < many; {
		_ = listener.SetReadDeadline(time.Now().Add(patience))
		first, body, err := listener.Next()
		if err != nil {
			t.Fatalf("waiting for command %d: %v", next, err)
		}
		if first&0xf0 != mqtt.PUBLISH {
			continue
		}
		p, err := listener.ParsePublish(first, body)
		if err != nil {
			t.Fatal(err)
		}
		if string(p.Payload) != fmt.Sprint(next) {
			t.Fatalf("%s came instead of %d", p.Payload, next)
		}
		if _, err := listener.Write(mqtt.Ack(mqtt.PUBACK, p.ID)); err != nil {
			t.Fatal(err)
		}
		next++
	}
}

// Two hubs of a group share the messages: each is in one log, and none is missing.
func TestShare(t *testing.T) {
	b := mosquitto.Start(t)
	flags := hub.Bridge("--from", "tcp://"+b.Addr, "--share", "hubs", "--filter", "load/#")
	one, two := hub.Start(t, flags), hub.Start(t, flags)
	connected(t, one, 1)
	connected(t, two, 1)
	p := publish(t, b.Addr, "load/s")
	eventually(t, "both have some", func() bool {
		return metric(t, one, "pulso_source_acks_total") > 100 && metric(t, two, "pulso_source_acks_total") > 100
	})
	count := p.end()
	eventually(t, "all is stored", func() bool {
		return metric(t, one, "pulso_source_acks_total")+metric(t, two, "pulso_source_acks_total") >= float64(count)
	})
	lost, double := missing(t, "load/s", count, stored(t, one), stored(t, two))
	t.Logf("%d acknowledged, %d missing, %d twice", count, lost, double)
	if lost > 0 || double > 0 {
		t.Errorf("of %d, %d are missing and %d there twice", count, lost, double)
	}
	// A command does not come back as a message, to whichever of them it is given.
	s := watch(t, one)
	for i := range 20 {
		s.ask(`{"id":%d,"publish":{"topic":"load/cmd","payload_text":"c%d","qos":1}}`, i+1, i)
	}
	eventually(t, "all commands are forwarded", func() bool { return metric(t, one, "pulso_source_forwarded_total") == 20 })
	b.Pub("-t", "load/end", "-m", "x", "-q", "1")
	eventually(t, "the end is stored", func() bool { return stored(t, one)["load/end x"]+stored(t, two)["load/end x"] == 1 })
	log := stored(t, one)
	for i := range 20 {
		if n := log[fmt.Sprintf("load/cmd c%d", i)]; n != 1 {
			t.Errorf("command %d is in its hub's log %d times", i, n)
		}
	}
}

// Two brokers, TLS and a password on one of them, with prefixes: the configuration file says which is which, and commands go to
// the one whose prefix they have.
func TestTwoPlants(t *testing.T) {
	certs := certificates(t)
	plain := mosquitto.Start(t)
	locked := mosquitto.Start(t, "cafile "+certs.ca, "certfile "+certs.cert, "keyfile "+certs.key, "allow_anonymous false",
		"password_file "+mosquitto.Passwords(t, "hub", "s3cr3t-canary"))
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	config := filepath.Join(dir, "pulso.yaml")
	yaml := fmt.Sprintf(`
sources:
  - from: tcp://%s
    name: plant1
    prefix: plant1/
  - from: tls://%s
    name: plant2
    prefix: plant2/
    filter: [devices/#, "$SYS/broker/version"]
    user: hub
    password-file: %s
    ca-file: %s
`, plain.Addr, locked.Addr, password, certs.ca)
	for file, text := range map[string]string{password: "s3cr3t-canary\n", config: yaml} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := hub.Start(t, hub.Flags("--config", config)) // with a broker of its own
	connected(t, h, 2)
	plain.Pub("-t", "devices/a", "-m", "1", "-q", "1")
	secret := []string{"--cafile", certs.ca, "-u", "hub", "-P", "s3cr3t-canary"}
	locked.Pub(append(secret, "-t", "devices/a", "-m", "2", "-q", "1")...)
	locked.Pub(append(secret, "-t", "other/a", "-m", "3", "-q", "1")...)
	eventually(t, "both are stored", func() bool {
		log := stored(t, h)
		return log["plant1/devices/a 1"] == 1 && log["plant2/devices/a 2"] == 1
	})
	for what := range stored(t, h) {
		if strings.Contains(what, "other/a") || !strings.HasPrefix(what, "plant") {
			t.Errorf("%q is stored", what)
		}
	}
	inOne, inTwo := plain.Sub("-t", "#", "-q", "1"), locked.Sub(append(secret, "-t", "#", "-q", "1")...)
	s := watch(t, h)
	s.ask(`{"id":1,"publish":{"topic":"elsewhere","payload_text":"0","qos":1}}`)
	s.ask(`{"id":2,"publish":{"topic":"plant2/cmd","payload_text":"2","qos":1}}`)
	s.ask(`{"id":3,"publish":{"topic":"plant1/cmd","payload_text":"1","qos":1}}`)
	expect(t, inOne, "cmd 1")
	expect(t, inTwo, "cmd 2")
	// Local MQTT clients get what the other brokers have, too.
	local, err := mqtt.Open(h.MQTT, "", &mqtt.Connect{ID: "local"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if err := local.Subscribe(1, "plant1/#"); err != nil {
		t.Fatal(err)
	}
	plain.Pub("-t", "devices/b", "-m", "5", "-q", "1")
	if _, err := local.Expect(mqtt.PUBLISH, patience); err != nil {
		t.Error(err)
	}
	if strings.Contains(h.Output(), "canary") || strings.Contains(get(t, h, "/metrics"), "canary") {
		t.Error("the password is told")
	}
}

// A broker that does not prove who it is, or that refuses the password, is not connected, and it is said why; whoever insists
// may do without the proof.
func TestNotTrusted(t *testing.T) {
	certs := certificates(t)
	b := mosquitto.Start(t, "cafile "+certs.ca, "certfile "+certs.cert, "keyfile "+certs.key, "allow_anonymous false",
		"password_file "+mosquitto.Passwords(t, "hub", "s3cr3t-canary"))
	t.Setenv("BRIDGE_PASSWORD", "s3cr3t-canary")
	t.Setenv("BRIDGE_WRONG", "wrong-canary")
	for problem, flags := range map[string][]string{
		"certificate signed by unknown authority": {"--user", "hub", "--password-env", "BRIDGE_PASSWORD"},
		"not authorized": {"--user", "hub", "--password-env", "BRIDGE_WRONG", "--ca-file", certs.ca},
		"":               {"--user", "hub", "--password-env", "BRIDGE_PASSWORD", "--insecure"},
	} {
		h := hub.Start(t, hub.Bridge(append(flags, "--from", "mqtts://"+b.Addr)...))
		if problem == "" {
			connected(t, h, 1)
		} else {
			eventually(t, problem, func() bool { return strings.Contains(get(t, h, "/readyz"), problem) })
		}
		if strings.Contains(h.Output(), "canary") {
			t.Error("a password is told")
		}
		h.Stop()
	}
}

// Our own broker as the other one, with a hub beside it, by TCP and by WebSocket.
func TestBesideOurOwn(t *testing.T) {
	for _, scheme := range []string{"mqtt", "ws"} {
		t.Run(scheme, func(t *testing.T) { besideOurOwn(t, scheme) })
	}
}

func besideOurOwn(t *testing.T, scheme string) {
	t.Helper()
	remote := hub.Start(t)
	from := "mqtt://" + remote.MQTT
	if scheme == "ws" {
		from = "ws://" + remote.HTTP + "/mqtt"
	}
	h := hub.Start(t, hub.Bridge("--from", from, "--prefix", "far/"))
	connected(t, h, 1)
	p := publish(t, remote.MQTT, "load/o")
	eventually(t, "messages are stored", func() bool { return metric(t, h, "pulso_source_acks_total") > 300 })
	remote.Kill()
	remote.Again()
	p.end()
	connected(t, h, 1)
	count := int(p.acknowledged.Load())
	eventually(t, "all is stored", func() bool {
		lost, _ := missing(t, "far/load/o", count, stored(t, h))
		return lost == 0
	})
	if n := metric(t, h, "pulso_source_sessions_lost_total"); n != 0 {
		t.Errorf("%v sessions lost: it should have been kept", n)
	}
	s := watch(t, h)
	s.ask(`{"id":1,"publish":{"topic":"far/cmd","payload_text":"c","qos":1}}`)
	eventually(t, "the command arrives", func() bool { return stored(t, remote)["cmd c"] == 1 })
}
