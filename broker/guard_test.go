package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// recorder is a guardHandler that notes what it gets.
type recorder struct{ log []string }

func (r *recorder) acknowledged(kind byte, id uint16, code byte) {
	r.log = append(r.log, fmt.Sprintf("ack %d %d %#x", kind, id, code))
}

func (r *recorder) reserved(topic string, qos byte, id uint16) error {
	r.log = append(r.log, fmt.Sprintf("reserved %s %d %d", topic, qos, id))
	return nil
}

func (r *recorder) disconnecting(code byte) {
	r.log = append(r.log, fmt.Sprintf("disconnect %#x", code))
}
func (*recorder) consumed() {}

func (*recorder) emptyWill() {}

func TestGuardPassesWholePackets(t *testing.T) {
	big := appendPublish(nil, 5, &publish{event: &event.Event{Topic: "b", Payload: bytes.Repeat([]byte("x"), 100_000)}})
	dollar := appendPublish(nil, 5, &publish{event: &event.Event{Topic: "$SYS/x", Payload: []byte("lie")}, qos: 1, id: 3})
	connect := connectPacket(options{version: 5, id: "c"})
	in := bytes.Join([][]byte{
		connect, {0xc0, 0}, big, {0x40, 2, 0, 1}, dollar, {0x50, 3, 0, 2, 0x10}, {0xc0, 0}, {0xe0, 1, 4},
	}, nil)
	want := bytes.Join([][]byte{connect, {0xc0, 0}, big, {0xc0, 0}, {0xe0, 1, 4}}, nil)
	for name, src := range map[string]io.Reader{
		"at once": bytes.NewReader(in), "byte by byte": iotest.OneByteReader(bytes.NewReader(in)),
		"halves": iotest.HalfReader(bytes.NewReader(in)), "data with error": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		rec := &recorder{}
		got, err := io.ReadAll(&guard{src: src, handler: rec, maxPacket: 1 << 20})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d bytes", name, len(got), err, len(want))
		}
		if log := strings.Join(rec.log, ", "); log != "ack 4 1 0x0, reserved $SYS/x 1 3, ack 5 2 0x10, disconnect 0x4" {
			t.Errorf("%s: %s", name, log)
		}
	}
}

func TestGuardViolations(t *testing.T) {
	connect := connectPacket(options{version: 5, id: "c"})
	for name, c := range map[string]struct {
		in     []byte
		reason string
	}{
		"HTTP":                        {[]byte("GET / HTTP/1.1\r\n\r\n"), reasonNotMQTT},
		"TLS":                         {[]byte{0x16, 3, 1, 2, 0}, reasonNotMQTT},
		"PUBLISH first":               {[]byte{0x30, 3, 0, 1, 'a'}, reasonNotMQTT},
		"other protocol":              {rawPacketOf(0x10, append(appendString(nil, "AMQP"), 4, 2, 0, 0, 0, 0)), reasonNotMQTT},
		"level 6":                     {rawPacketOf(0x10, append(appendString(nil, "MQTT"), 6, 2, 0, 0, 0, 0)), reasonVersion},
		"level 3 of MQTT":             {rawPacketOf(0x10, append(appendString(nil, "MQTT"), 3, 2, 0, 0, 0, 0)), reasonVersion},
		"empty CONNECT":               {[]byte{0x10, 0}, reasonMalformed},
		"large CONNECT":               {[]byte{0x10, 0xff, 0xff, 0x7f}, reasonTooLarge},
		"CONNECT of 20 KB":            {[]byte{0x10, 0xa0, 0x9c, 0x01}, reasonTooLarge},
		"five length bytes":           {append(bytes.Clone(connect), 0x30, 0x80, 0x80, 0x80, 0x80, 0x01), reasonMalformed},
		"large PUBLISH":               {append(bytes.Clone(connect), 0x30, 0x81, 0x80, 0x40), reasonTooLarge},
		"PUBLISH of QoS 3":            {append(bytes.Clone(connect), 0x36, 0), reasonMalformed},
		"PUBLISH without a topic":     {append(bytes.Clone(connect), 0x30, 1, 0), reasonMalformed},
		"PUBLISH with a long topic":   {append(bytes.Clone(connect), 0x30, 3, 0, 9, 'a'), reasonMalformed},
		"PUBLISH without a packet id": {append(bytes.Clone(connect), 0x32, 3, 0, 1, 'a'), reasonMalformed},
		"CONNECT with too much":       {rawPacketOf(0x10, append(bytes.Clone(connect[2:]), 0)), reasonMalformed},
		"CONNECT with too little":     {rawPacketOf(0x10, connect[2:len(connect)-1]), reasonMalformed},
		"second CONNECT":              {append(bytes.Clone(connect), connect...), reasonProtocol},
		"CONNACK":                     {append(bytes.Clone(connect), 0x20, 2, 0, 0), reasonProtocol},
		"AUTH":                        {append(bytes.Clone(connect), 0xf0, 0), reasonProtocol},
		"SUBSCRIBE without options":   {append(bytes.Clone(connect), killer...), reasonMalformed},
		"SUBSCRIBE with flags 0":      {append(bytes.Clone(connect), 0x80, 2, 0, 1), reasonMalformed},
		"SUBSCRIBE without filters":   {append(bytes.Clone(connect), 0x82, 3, 0, 1, 0), reasonProtocol},
		"SUBSCRIBE with id 0":         {append(bytes.Clone(connect), 0x82, 3, 0, 0, 0), reasonMalformed},
		"SUBSCRIBE with QoS 3":        {append(bytes.Clone(connect), 0x82, 7, 0, 1, 0, 0, 1, 'a', 3), reasonMalformed},
		"SUBSCRIBE, long properties":  {append(bytes.Clone(connect), 0x82, 4, 0, 1, 9, 0), reasonMalformed},
		"many filters":                {append(bytes.Clone(connect), manyFilters(maxPacketFilter+1)...), reasonTooLarge},
		"huge SUBSCRIBE":              {append(bytes.Clone(connect), 0x82, 0x80, 0x80, 0x20), reasonTooLarge},
		"PUBACK of id 0":              {append(bytes.Clone(connect), 0x40, 2, 0, 0), reasonMalformed},
		"PUBREL of one byte":          {append(bytes.Clone(connect), 0x62, 1, 0), reasonMalformed},
		"PINGREQ with a body":         {append(bytes.Clone(connect), 0xc0, 1, 0), reasonMalformed},
	} {
		_, err := io.Copy(io.Discard, &guard{src: bytes.NewReader(c.in), handler: &recorder{}, maxPacket: 1 << 20})
		if v := (*violation)(nil); !errors.As(err, &v) || v.reason != c.reason {
			t.Errorf("%s: %v, want %q", name, err, c.reason)
		}
	}
}

// killer is a SUBSCRIBE of MQTT 5 that lacks its options byte: mochi's decoder reads beyond its end.
var killer = []byte{0x82, 8, 0, 1, 0, 0, 3, 'a', '/', 'b'}

func manyFilters(n int) []byte {
	body := []byte{0, 1, 0}
	for range n {
		body = append(body, 0, 1, 'a', 0)
	}
	return rawPacketOf(0x82, body)
}

func TestKillerHarmsNobody(t *testing.T) {
	r := newRig(t, nil)
	other := r.connect(options{id: "other"})
	c := r.connect(options{version: 5, id: "c"})
	c.send(killer)
	if rest := c.wantEnd(); !bytes.Equal(rest, []byte{0xe0, 2, 0x81, 0}) {
		t.Fatalf("got %x, want a DISCONNECT", rest)
	}
	other.publish("a", "x", 1, 1)
	other.wantAck(0x40, 1)
	if got := r.closed(reasonMalformed); got != 1 {
		t.Fatalf("closed as malformed: %v", got)
	}
}

// TestPanicIsCaught sends the same packet past the guard.
func TestPanicIsCaught(t *testing.T) {
	r := newRig(t, nil)
	other := r.connect(options{id: "other"})
	c := r.connect(options{version: 5, id: "c"})
	l := r.link("c")
	l.conn.guard.handler = panicker{l}
	c.send([]byte{0x40, 2, 0, 1})
	c.wantEnd()
	other.ping()
	eventually(t, "the id is free", func() bool { return r.link("c") == nil })
	r.connect(options{version: 5, id: "c"}).ping()
}

type panicker struct{ *link }

func (panicker) acknowledged(_ byte, id uint16, _ byte) {
	killer[int(id)+len(killer)]++ // beyond its end
}

func (r *rig) link(id string) *link {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return r.broker.owners[id]
}

func TestRefusedConnects(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.ConnectTimeout = 150 * time.Millisecond
		c.Authenticate = func(user string, password []byte, _ string) bool {
			return user == "" || user == "u" && string(password) == "secret"
		}
	})
	t.Run("level", func(t *testing.T) {
		for level, want := range map[byte]string{3: "\x20\x02\x00\x01", 6: "\x20\x03\x00\x84\x00"} {
			c := r.dial()
			c.send(rawPacketOf(0x10, append(appendString(nil, "MQTT"), level, 2, 0, 0, 0, 0)))
			if got := c.wantEnd(); string(got) != want {
				t.Errorf("level %d: %x", level, got)
			}
		}
		if f := r.refusal(reasonVersion); f.Remote == "" || f.Time.IsZero() || f.Detail == "" {
			t.Errorf("refusal %+v", f)
		}
	})
	t.Run("garbage", func(*testing.T) {
		c := r.dial()
		c.send([]byte("GET / HTTP/1.1\r\n\r\n"))
		c.wantEnd()
		r.refusal(reasonNotMQTT)
	})
	t.Run("no CONNECT", func(*testing.T) {
		r.dial().wantEnd()
		r.refusal(reasonTimeout)
	})
	t.Run("byte by byte", func(t *testing.T) {
		c := r.dial()
		for _, b := range connectPacket(options{version: 4, id: strings.Repeat("x", 200)}) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
		t.Error("was not cut off")
	})
	t.Run("credentials", func(t *testing.T) {
		for version, want := range map[byte]byte{4: 4, 5: 0x86} {
			if code := r.dial().connect(options{version: version, id: "x", user: "u", password: "wrong"}); code != want {
				t.Errorf("MQTT %d: CONNACK %#x", version, code)
			}
		}
		if f := r.refusal(reasonCredentials); f.Client != "x" || strings.Contains(fmt.Sprint(f), "wrong") {
			t.Errorf("refusal %+v", f)
		}
		r.connect(options{id: "x", user: "u", password: "secret"}).ping()
	})
	t.Run("will", func(t *testing.T) {
		for _, topic := range []string{"$SYS/broker/version", "a/#"} {
			if code := r.dial().connect(options{version: 5, id: "w", will: topic}); code != 0x90 {
				t.Errorf("will to %s: CONNACK %#x", topic, code)
			}
		}
		r.refusal(reasonWill)
	})
	t.Run("client id", func(t *testing.T) {
		if code := r.dial().connect(options{version: 4, persistent: true}); code != 2 {
			t.Errorf("no client id: CONNACK %#x", code)
		}
		if code := r.dial().connect(options{version: 5, id: strings.Repeat("x", 300)}); code != 0x85 {
			t.Errorf("long client id: CONNACK %#x", code)
		}
	})
	t.Run("authentication method", func(t *testing.T) {
		if code := r.dial().connect(options{version: 5, id: "a", props: []byte{0x15, 0, 1, 'x'}}); code != 0x8c {
			t.Errorf("CONNACK %#x", code)
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxConnections = 2 })
	a := r.connect(options{id: "a"})
	r.connect(options{id: "b"})
	r.dial().wantEnd()
	r.refusal(reasonLimit)
	a.send([]byte{0xe0, 0})
	a.wantEnd()
	eventually(t, "room", func() bool { r.broker.mu.Lock(); defer r.broker.mu.Unlock(); return len(r.broker.links) == 1 })
	r.connect(options{id: "c"}).ping()
}

func TestOversize(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxPacket = 10_000 })
	c := r.connect(options{version: 5, id: "c"})
	c.send([]byte{0x30, 0xff, 0xff, 0x7f})
	if rest := c.wantEnd(); !bytes.Equal(rest, []byte{0xe0, 2, 0x95, 0}) {
		t.Fatalf("got %x", rest)
	}
}

// TestLastWordsAreHeard: a client that is still sending when it is closed gets the reason, not a reset.
func TestLastWordsAreHeard(t *testing.T) {
	r := newRig(t, nil)
	for range 10 {
		c := r.connect(options{version: 5, id: "c"})
		go func() { _, _ = c.Write(append([]byte{0x30, 0xff, 0xff, 0x7f}, make([]byte, 500_000)...)) }()
		first, body := c.read()
		if first != 0xe0 || body[0] != 0x95 {
			t.Fatalf("got %#x %x", first, body)
		}
		_ = c.Close()
	}
}

func TestForbiddenTopics(t *testing.T) {
	r := newRig(t, nil)
	v5 := r.connect(options{version: 5, id: "v5"})
	for topic, want := range map[string]string{
		"$SYS/broker/uptime": "\x87", "$aws/things": "\x87", strings.Repeat("/", 200): "\x90",
	} {
		v5.publish(topic, "x", 0, 0)
		v5.publish(topic, "x", 1, 7)
		if body := v5.want(0x40); string(body) != "\x00\x07"+want {
			t.Errorf("%.20q: PUBACK %x", topic, body)
		}
		v5.publish(topic, "x", 2, 8)
		if body := v5.want(0x50); string(body) != "\x00\x08"+want {
			t.Errorf("%.20q: PUBREC %x", topic, body)
		}
	}
	v5.ping()
	v3 := r.connect(options{id: "v3"})
	v3.publish("$SYS/x", "x", 0, 0)
	v3.ping()
	v3.publish("$SYS/x", "x", 1, 1)
	v3.wantEnd()
	bad := r.connect(options{id: "utf8"})
	bad.publish("a\xff", "x", 1, 1)
	bad.wantEnd()
	eventually(t, "closed as malformed", func() bool { return r.closed(reasonMalformed) == 1 })
	if n := len(r.sink.kind(event.KindPublish, "")); n != 0 {
		t.Fatalf("%d messages in the log", n)
	}
}

func TestPortProbeIsNoRefusal(t *testing.T) {
	r := newRig(t, nil)
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.Close()
	r.connect(options{id: "a"}).ping()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refusals) > 0 {
		t.Fatalf("%+v", r.refusals)
	}
}

// FuzzGuard checks that the guard neither panics nor passes on what mochi's decoders cannot bear, and that it judges the
// same whatever the pieces in which bytes arrive.
func FuzzGuard(f *testing.F) {
	v5, v4 := connectPacket(options{version: 5, id: "c", will: "w"}), connectPacket(options{version: 4, id: "c"})
	for _, rest := range [][]byte{
		killer, manyFilters(3),
		{0xc0, 0},
		{0xe0, 0},
		{0x40, 2, 0, 1},
		{0x62, 3, 0, 1, 0},
		{0x30, 5, 0, 1, 'a', 0, 'x'},
		{0xa2, 6, 0, 1, 0, 0, 1, 'a'},
		{0x30, 6, 0, 4, '$', 'S', 'Y', 'S'},
	} {
		f.Add(append(bytes.Clone(v5), rest...))
		f.Add(append(bytes.Clone(v4), rest...))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 1 << 16
		g := &guard{src: bytes.NewReader(in), handler: &recorder{}, maxPacket: limit}
		whole, err := io.ReadAll(g)
		if len(g.buf) > limit {
			t.Fatalf("buffer of %d bytes", len(g.buf))
		}
		pieces, err2 := io.ReadAll(&guard{src: iotest.OneByteReader(bytes.NewReader(in)), handler: &recorder{}, maxPacket: limit})
		if !bytes.Equal(whole, pieces) || (err == nil) != (err2 == nil) {
			t.Fatalf("%x, %v at once; %x, %v byte by byte", whole, err, pieces, err2)
		}
		decodeAll(t, whole, g.version)
	})
}

// decodeAll decodes as mochi's server does; a panic fails the test.
func decodeAll(t *testing.T, b []byte, version byte) {
	t.Helper()
	r := bytes.NewReader(b)
	for r.Len() > 0 {
		first, _ := r.ReadByte()
		pk := packets.Packet{ProtocolVersion: version}
		if pk.FixedHeader.Decode(first) != nil {
			t.Fatalf("fixed header %#x was passed on", first)
		}
		size, n, err := packets.DecodeLength(r)
		if err != nil || n > 4 {
			return // the end is missing
		}
		pk.FixedHeader.Remaining = size
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		switch pk.FixedHeader.Type {
		case packets.Connect:
			_ = pk.ConnectDecode(body)
		case packets.Publish:
			_ = pk.PublishDecode(body)
		case packets.Subscribe:
			_ = pk.SubscribeDecode(body)
		case packets.Unsubscribe:
			_ = pk.UnsubscribeDecode(body)
		case packets.Pubrel:
			_ = pk.PubrelDecode(body)
		case packets.Disconnect:
			_ = pk.DisconnectDecode(body)
		}
	}
}

func TestEncodeMatchesMochi(t *testing.T) {
	e := &event.Event{Topic: "a/b", Payload: []byte("payload"), Properties: &event.Properties{
		ContentType: "t", ResponseTopic: "r", CorrelationData: []byte{9}, HasExpiry: true, UTF8: true,
		User: []event.UserProperty{{Name: "n", Value: "v"}},
	}}
	for _, version := range []byte{3, 4, 5} {
		b := appendPublish(nil, version, &publish{event: e, ids: []int{5, 300}, expiry: 77, id: 513, qos: 2, retain: true, dup: true})
		pk := packets.Packet{ProtocolVersion: version}
		if err := pk.FixedHeader.Decode(b[0]); err != nil {
			t.Fatal(err)
		}
		size, n := varint(b[1:])
		if size != len(b)-1-n {
			t.Fatalf("remaining length %d of %d", size, len(b)-1-n)
		}
		if err := pk.PublishDecode(b[1+n:]); err != nil {
			t.Fatal(err)
		}
		if pk.TopicName != e.Topic || string(pk.Payload) != "payload" || pk.PacketID != 513 || pk.FixedHeader.Qos != 2 ||
			!pk.FixedHeader.Retain || !pk.FixedHeader.Dup {
			t.Fatalf("decoded %+v", pk)
		}
		p := pk.Properties
		if version == 5 && (p.ContentType != "t" || p.ResponseTopic != "r" || p.MessageExpiryInterval != 77 ||
			p.PayloadFormat != 1 || len(p.User) != 1 || fmt.Sprint(p.SubscriptionIdentifier) != "[5 300]" || p.CorrelationData[0] != 9) {
			t.Fatalf("properties %+v", p)
		}
	}
}
