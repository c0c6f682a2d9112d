package interop

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/extensions/topicaliases"
	"pulso/test/internal/hub"
)

// What MQTT 5 adds, as paho.golang sees it, and what mosquitto and MQTT.js make of the same.

// hear starts an MQTT 5 client whose messages go to the channel.
func hear(t *testing.T, h *hub.Hub, configure func(*autopaho.ClientConfig)) (*five, <-chan *paho.Publish) {
	t.Helper()
	heard := make(chan *paho.Publish, 1000)
	f := startFive(t, h, func(cfg *autopaho.ClientConfig) {
		cfg.OnPublishReceived = append(cfg.OnPublishReceived, func(p paho.PublishReceived) (bool, error) {
			heard <- p.Packet
			return true, nil
		})
		if configure != nil {
			configure(cfg)
		}
	})
	return f, heard
}

// session configures a session that outlives its connection by some seconds.
func session(id string, expiry uint32) func(*autopaho.ClientConfig) {
	return func(cfg *autopaho.ClientConfig) {
		cfg.ClientID = id
		cfg.CleanStartOnInitialConnection = false
		cfg.SessionExpiryInterval = expiry
	}
}

func next(t *testing.T, heard <-chan *paho.Publish) *paho.Publish {
	t.Helper()
	select {
	case p := <-heard:
		return p
	case <-time.After(patience):
		t.Fatalf("no message within %v", patience)
		return nil
	}
}

func nothing(t *testing.T, heard <-chan *paho.Publish, wait time.Duration) {
	t.Helper()
	select {
	case p := <-heard:
		t.Errorf("got %s: %s, want nothing", p.Topic, p.Payload)
	case <-time.After(wait):
	}
}

func to(filter string, qos byte) *paho.Subscribe {
	return &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}}
}

func at(topic, payload string, qos byte) *paho.Publish {
	return &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Properties: &paho.PublishProperties{}}
}

// A request carries where to answer and what to name; the answer finds the one who asked.
func TestRequestResponse(t *testing.T) {
	h := hub.Start(t)
	server, requests := hear(t, h, nil)
	server.subscribe(to("service/double", 1))
	asker, answers := hear(t, h, nil)
	asker.subscribe(to("answers/me", 1))
	request := at("service/double", "21", 1)
	request.Properties.ResponseTopic, request.Properties.CorrelationData = "answers/me", []byte{0, 1, 0xff}
	asker.publish(request)
	r := next(t, requests)
	n, _ := strconv.Atoi(string(r.Payload))
	answer := at(r.Properties.ResponseTopic, strconv.Itoa(2*n), 1)
	answer.Properties.CorrelationData = r.Properties.CorrelationData
	server.publish(answer)
	a := next(t, answers)
	if string(a.Payload) != "42" || !bytes.Equal(a.Properties.CorrelationData, []byte{0, 1, 0xff}) {
		t.Errorf("answer %s for % x, want 42 for 00 01 ff", a.Payload, a.Properties.CorrelationData)
	}
}

// What a publisher says about a message reaches the subscribers unchanged and in order, at once and after kill -9.
func TestProperties(t *testing.T) {
	h := hub.Start(t)
	online, heard := hear(t, h, nil)
	online.subscribe(to("properties", 2))
	offline, _ := hear(t, h, session("later", 3600))
	offline.subscribe(to("properties", 2))
	offline.leave()
	m := at("properties", "{}", 2)
	utf8 := byte(1)
	m.Properties.ContentType, m.Properties.PayloadFormat = "application/json", &utf8
	m.Properties.User = paho.UserProperties{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}, {Key: "b", Value: "☃"}}
	publisher := startFive(t, h, nil)
	publisher.publish(m)
	checkProperties(t, next(t, heard), m)
	h.Kill()
	h.Again()
	_, heard = hear(t, h, session("later", 3600))
	checkProperties(t, next(t, heard), m)
}

func checkProperties(t *testing.T, got, want *paho.Publish) {
	t.Helper()
	g, w := got.Properties, want.Properties
	if g.ContentType != w.ContentType || g.PayloadFormat == nil || *g.PayloadFormat != *w.PayloadFormat || !slices.Equal(g.User, w.User) {
		t.Errorf("properties %+v, want %+v", g, w)
	}
}

// A message says which of a client's subscriptions it is for.
func TestSubscriptionIdentifiers(t *testing.T) {
	h := hub.Start(t)
	f, heard := hear(t, h, nil)
	for id, filter := range map[int]string{7: "identified/#", 268_435_455: "identified/one"} {
		s := to(filter, 1)
		s.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
		f.subscribe(s)
	}
	f.publish(at("identified/two", "", 1))
	if p := next(t, heard); *p.Properties.SubscriptionIdentifier != 7 {
		t.Errorf("subscription identifier %d, want 7", *p.Properties.SubscriptionIdentifier)
	}
	// The hub may send a message that two subscriptions ask for once or twice [MQTT-3.3.4-5]; paho.golang shows one identifier a copy.
	f.publish(at("identified/one", "", 1))
	if p := next(t, heard); *p.Properties.SubscriptionIdentifier != 7 && *p.Properties.SubscriptionIdentifier != 268_435_455 {
		t.Errorf("subscription identifier %d, want 7 or 268435455", *p.Properties.SubscriptionIdentifier)
	}
}

// A publisher may name a topic once and use a number from then on, until the connection ends.
func TestTopicAliases(t *testing.T) {
	h := hub.Start(t)
	reader, heard := hear(t, h, nil)
	reader.subscribe(to("aliased/#", 1))
	aliases := topicaliases.NewTAHandler(3) // as many as there are topics: it panics when it needs one more
	f := startFive(t, h, func(cfg *autopaho.ClientConfig) { cfg.PublishHook = aliases.PublishHook })
	if p := f.connack.Load().Properties; p == nil || p.TopicAliasMaximum == nil || *p.TopicAliasMaximum < 3 {
		t.Skip("the hub takes no topic aliases")
	}
	for i := range 10 {
		f.publish(at("aliased/"+strconv.Itoa(i%3), strconv.Itoa(i), 1))
	}
	for i := range 10 {
		want := "aliased/" + strconv.Itoa(i%3)
		if p := next(t, heard); p.Topic != want || string(p.Payload) != strconv.Itoa(i) {
			t.Errorf("got %s: %s, want %s: %d", p.Topic, p.Payload, want, i)
		}
	}
}

// A message whose time has passed is not delivered; what is delivered says how much is left.
func TestMessageExpiry(t *testing.T) {
	h := hub.Start(t)
	away, _ := hear(t, h, session("expiry", 3600))
	away.subscribe(to("expiry/#", 1))
	away.leave()
	publisher := startFive(t, h, nil)
	for _, seconds := range []uint32{1, 600, 0} {
		m := at(fmt.Sprintf("expiry/%d", seconds), "", 1)
		if seconds > 0 {
			m.Properties.MessageExpiry = &seconds
		}
		publisher.publish(m)
	}
	time.Sleep(2 * time.Second) // the passing of the time that the test is about
	_, heard := hear(t, h, session("expiry", 3600))
	p := next(t, heard)
	if left := p.Properties.MessageExpiry; p.Topic != "expiry/600" || left == nil || *left > 598 || *left < 500 {
		t.Errorf("got %s with %v left, want expiry/600 with at most 598 s", p.Topic, left)
	}
	if p := next(t, heard); p.Topic != "expiry/0" || p.Properties.MessageExpiry != nil {
		t.Errorf("got %s, want expiry/0 without an expiry", p.Topic)
	}
	nothing(t, heard, 100*time.Millisecond)
}

// The members of a group share what is published, each message for one of them, and others hear it all. What a member has left
// is taken over by the rest.
func TestSharedSubscriptions(t *testing.T) {
	h := hub.Start(t)
	const n = 300
	var members [3]*five
	var heard [3]<-chan *paho.Publish
	for i := range members {
		members[i], heard[i] = hear(t, h, nil)
		members[i].subscribe(to("$share/workers/work/#", 1))
	}
	everyone, all := hear(t, h, nil)
	everyone.subscribe(to("work/#", 1))
	publisher := startFive(t, h, nil)
	for i := range n {
		if i == n/2 {
			members[0].leave()
		}
		publisher.publish(at("work/"+strconv.Itoa(i%7), strconv.Itoa(i), 1))
	}
	for i := range n {
		if p := next(t, all); string(p.Payload) != strconv.Itoa(i) {
			t.Fatalf("the subscriber outside the group got %s, want %d", p.Payload, i)
		}
	}
	got := map[string][len(members)]int{}
	hub.Eventually(t, patience, "all messages at some member", func() error {
		for i, c := range heard {
			for len(c) > 0 {
				payload := string((<-c).Payload)
				times := got[payload]
				times[i]++
				got[payload] = times
			}
		}
		if len(got) < n {
			return fmt.Errorf("%d of %d", len(got), n)
		}
		return nil
	})
	for payload, times := range got {
		// What the first had and not acknowledged when it left, another has had again.
		if times[0] > 1 || times[1]+times[2] > 1 {
			t.Errorf("message %s came to the members %v times", payload, times)
		}
	}
}

// A will waits for its delay, and is not published if the client is back before.
func TestWillDelay(t *testing.T) {
	h := hub.Start(t)
	watch, heard := hear(t, h, nil)
	watch.subscribe(to("delayed/#", 1))
	delayed := func(id string) func(*autopaho.ClientConfig) {
		return func(cfg *autopaho.ClientConfig) {
			session(id, 3600)(cfg)
			seconds := uint32(2)
			cfg.WillMessage = &paho.WillMessage{Topic: "delayed/" + id, Payload: []byte("gone"), QoS: 1}
			cfg.WillProperties = &paho.WillProperties{WillDelayInterval: &seconds}
		}
	}
	back, _ := hear(t, h, delayed("back"))
	away, _ := hear(t, h, delayed("away"))
	began := time.Now()
	back.cut()
	away.cut()
	hear(t, h, delayed("back"))
	if p := next(t, heard); p.Topic != "delayed/away" || time.Since(began) < 1900*time.Millisecond {
		t.Errorf("%s after %v, want delayed/away after 2 s", p.Topic, time.Since(began))
	}
	nothing(t, heard, 500*time.Millisecond)
}

// A session is there as long as its client asked for, over kill -9 too, and not longer.
func TestSessionExpiry(t *testing.T) {
	h := hub.Start(t)
	for id, expiry := range map[string]uint32{"short": 1, "long": 3600} {
		f, _ := hear(t, h, session(id, expiry))
		f.subscribe(to("kept", 1))
		f.leave()
	}
	h.Kill()
	h.Again()
	time.Sleep(2 * time.Second) // the passing of the time that the test is about
	for id, want := range map[string]bool{"short": false, "long": true} {
		f, _ := hear(t, h, session(id, 3600))
		if got := f.connack.Load().SessionPresent; got != want {
			t.Errorf("session %s present: %t, want %t", id, got, want)
		}
	}
}

// A client without a name gets one; options of a subscription do what they say.
func TestOptions(t *testing.T) {
	h := hub.Start(t)
	f, heard := hear(t, h, nil)
	if p := f.connack.Load().Properties; p == nil || p.AssignedClientID == "" {
		t.Errorf("connack %+v, want an assigned client id", p)
	}
	kept := at("options/kept", "kept", 1)
	kept.Retain = true
	startFive(t, h, nil).publish(kept)
	for _, s := range []paho.SubscribeOptions{
		{Topic: "options/#", QoS: 1, NoLocal: true, RetainHandling: 2},
		{Topic: "options/#", QoS: 1, NoLocal: true, RetainHandling: 1}, // not a new one
	} {
		f.subscribe(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{s}})
	}
	f.publish(at("options/own", "own", 1))
	nothing(t, heard, 200*time.Millisecond)
	f.subscribe(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "options/#", QoS: 1, RetainAsPublished: true}}})
	if p := next(t, heard); p.Topic != "options/kept" || !p.Retain {
		t.Errorf("got %s, retained %t, want the retained options/kept", p.Topic, p.Retain)
	}
	startFive(t, h, nil).publish(kept)
	if p := next(t, heard); p.Topic != "options/kept" || !p.Retain {
		t.Errorf("got %s, retained %t, want options/kept as it was published", p.Topic, p.Retain)
	}
}

// autopaho keeps what it could not send while the hub was gone, and its session, and brings both to the hub that comes back.
func TestPublisherOutlivesHub(t *testing.T) {
	h := hub.Start(t)
	reader, heard := hear(t, h, session("reader", 3600))
	reader.subscribe(to("outlives", 2))
	publisher := startFive(t, h, session("publisher", 3600))
	const n = 200
	for i := range n {
		if i == n/2 {
			h.Kill()
		}
		queued := &autopaho.QueuePublish{Publish: at("outlives", strconv.Itoa(i), 2)}
		if err := publisher.PublishViaQueue(publisher.ctx, queued); err != nil {
			t.Fatal(err)
		}
	}
	h.Again()
	for i := range n {
		if p := next(t, heard); string(p.Payload) != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, p.Payload)
		}
	}
	nothing(t, heard, 200*time.Millisecond)
}

// mosquitto_pub's properties reach mosquitto_sub and MQTT.js, and the other way round.
func TestPropertiesBetweenPrograms(t *testing.T) {
	h := hub.Start(t)
	m := &mosquitto{version: "mqttv5"}
	format := "message %P|%C|%R|%D|%S"
	sub := run(t, func(string) bool { return false }, hub.Program(t, "stdbuf"), append([]string{"-oL", hub.Program(t, "mosquitto_sub")},
		append(m.args(h), "-d", "-t", "programs/#", "-q", "1", "-F", format, "-D", "subscribe", "subscription-identifier", "9")...)...)
	sub.await("Subscribed (mid:")
	js := &mqttJS{version: 5}
	o := js.order(h)
	o.Filters = map[string]jsOptions{"programs/#": {QoS: 1}}
	o.Properties = map[string]any{"subscriptionIdentifier": 9}
	heard := make(chan *jsMessage, 10)
	o.run(t, func(m *jsMessage) { heard <- m }).await(`"granted"`)

	publish := append(m.args(h), "-t", "programs/a", "-q", "1", "-m", "x")
	for _, property := range []string{"user-property k v", "content-type text/plain", "response-topic back", "correlation-data c1"} {
		publish = append(append(publish, "-D", "publish"), strings.Fields(property)...)
	}
	run(t, func(string) bool { return false }, hub.Program(t, "mosquitto_pub"), publish...).wait()
	from := js.order(h)
	from.Messages = []jsMessage{{Topic: "programs/b", Payload: []byte("x"), QoS: 1, Properties: map[string]any{
		"userProperties": map[string]string{"k": "v"}, "contentType": "text/plain", "responseTopic": "back",
	}}}
	from.run(t, func(*jsMessage) {}).await(`"done"`)

	for _, want := range []string{"message k:v|text/plain|back|c1|9", "message k:v|text/plain|back||9"} {
		if got := sub.await("message "); got != want {
			t.Errorf("mosquitto_sub got %q, want %q", got, want)
		}
	}
	for range 2 {
		checkJS(t, heard)
	}
}

var errNothing = errors.New("nothing")

func checkJS(t *testing.T, heard <-chan *jsMessage) {
	t.Helper()
	var m *jsMessage
	hub.Eventually(t, patience, "a message at MQTT.js", func() error {
		select {
		case m = <-heard:
			return nil
		default:
			return errNothing
		}
	})
	p := m.Properties
	got := fmt.Sprintf("%v %v %v %v", p["userProperties"], p["contentType"], p["responseTopic"], p["subscriptionIdentifier"])
	if got != "map[k:v] text/plain back 9" {
		t.Errorf("MQTT.js got %v", p)
	}
}
