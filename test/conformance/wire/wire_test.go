package wire_test

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"pulso/test/conformance/wire"
)

func TestVarInt(t *testing.T) {
	for n, want := range map[uint32][]byte{
		0:           {0},
		127:         {0x7f},
		128:         {0x80, 1},
		16_383:      {0xff, 0x7f},
		16_384:      {0x80, 0x80, 1},
		268_435_455: {0xff, 0xff, 0xff, 0x7f},
		268_435_456: {0x80, 0x80, 0x80, 0x80, 1},
	} {
		if got := wire.VarInt(n); !bytes.Equal(got, want) {
			t.Errorf("%d: got % x, want % x", n, got, want)
		}
	}
}

func TestConnectBytes(t *testing.T) {
	connect := &wire.Connect{
		ClientID: "c", KeepAlive: 10, Resume: true, User: new("u"), Password: new("p"),
		Will:  &wire.Will{Topic: "t", Payload: "w", QoS: 1, Retain: true, Props: wire.Properties{wire.Num(wire.WillDelay, 5)}},
		Props: wire.Properties{wire.Num(wire.ReceiveMaximum, 3)},
	}
	want := []byte("\x10\x23\x00\x04MQTT\x05\xec\x00\x0a" + "\x03\x21\x00\x03" + "\x00\x01c" +
		"\x05\x18\x00\x00\x00\x05" + "\x00\x01t" + "\x00\x01w" + "\x00\x01u" + "\x00\x01p")
	want[1] = byte(len(want) - 2)
	if got := connect.Bytes(0); !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

func TestDecode(t *testing.T) {
	sent := &wire.Publish{
		Topic: "a/b", Payload: "x", QoS: 2, ID: 7, Dup: true, Retain: true,
		Props: wire.Properties{wire.Num(wire.SubscriptionID, 300), wire.User("k", "v"), wire.Num(wire.SubscriptionID, 2), wire.User("k", "w")},
	}
	b := sent.Bytes(wire.V5)
	got, err := wire.Decode(wire.V5, b[0], b[2:])
	if err != nil {
		t.Fatal(err)
	}
	if got.Topic != "a/b" || got.Payload != "x" || got.QoS != 2 || got.ID != 7 || !got.Dup || !got.Retain {
		t.Errorf("got %v", got)
	}
	if ids := got.Props.SubscriptionIDs(); len(ids) != 2 || ids[0] != 2 || ids[1] != 300 {
		t.Errorf("subscription identifiers %v", ids)
	}
	if users := got.Props.Users(); len(users) != 4 || users[3] != "w" {
		t.Errorf("user properties %q", users)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for what, b := range map[string]string{
		"flags":                     "\x21\x03\x00\x00\x00",
		"CONNACK flags":             "\x20\x03\x02\x00\x00",
		"present beside an error":   "\x20\x03\x01\x80\x00",
		"reason code":               "\x20\x03\x00\x01\x00",
		"property of others":        "\x20\x06\x00\x00\x03\x23\x00\x01",
		"property twice":            "\x20\x09\x00\x00\x06\x21\x00\x01\x21\x00\x02",
		"receive maximum of 0":      "\x20\x06\x00\x00\x03\x21\x00\x00",
		"properties cut off":        "\x20\x05\x00\x00\x06\x21\x00",
		"QoS 3":                     "\x36\x07\x00\x01a\x00\x01\x00x",
		"DUP at QoS 0":              "\x38\x05\x00\x01a\x00x",
		"id 0":                      "\x32\x07\x00\x01a\x00\x00\x00x",
		"wildcard":                  "\x30\x05\x00\x01#\x00x",
		"no UTF-8":                  "\x30\x05\x00\x01\xff\x00x",
		"null character":            "\x30\x05\x00\x01\x00\x00x",
		"neither topic nor alias":   "\x30\x04\x00\x00\x00x",
		"SUBACK without codes":      "\x90\x03\x00\x01\x00",
		"too many bytes":            "\xd0\x01\x00",
		"a client's packet":         "\xc0\x00",
		"topic cut off":             "\x30\x03\x00\x05a",
		"variable integer too long": "\x30\x07\x00\x01a\x80\x00xx",
	} {
		if got, err := wire.Decode(wire.V5, b[0], []byte(b[2:])); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: got %v %v", what, got, err)
		}
	}
}

func TestClient(t *testing.T) {
	near, far := net.Pipe()
	c := wire.NewClient(t, near)
	go func() {
		b := make([]byte, 1024)
		for range 2 { // CONNECT, then PUBLISH
			if _, err := far.Read(b); err != nil {
				return
			}
			answer := []byte("\x20\x06\x00\x00\x03\x22\x00\x05")
			if b[0] == 0x32 {
				answer = []byte("\x30\x05\x00\x01a\x00x" + "\x40\x02\x00\x01")
			}
			if _, err := far.Write(answer); err != nil {
				return
			}
		}
		far.Close()
	}()
	if ack := c.Connect(&wire.Connect{}); ack.Props.Num(wire.TopicAliasMaximum, 0) != 5 {
		t.Errorf("got %v", ack)
	}
	c.Publish(&wire.Publish{Topic: "b", QoS: 1})
	c.ReceiveMessage("a", "x") // it came before the PUBACK and was put aside
	c.ExpectClose()
}

func FuzzDecode(f *testing.F) {
	f.Add(byte(5), byte(0x20), []byte("\x00\x00\x03\x21\x00\x01"))
	f.Add(byte(5), byte(0x3b), []byte("\x00\x01a\x00\x01\x00x"))
	f.Add(byte(4), byte(0x90), []byte("\x00\x01\x02\x80"))
	f.Fuzz(func(t *testing.T, version, first byte, body []byte) {
		p, err := wire.Decode(version, first, body)
		if err == nil && p.Type != wire.Type(first>>4) {
			t.Errorf("type %v of 0x%02x", p.Type, first)
		}
	})
}
