package packet_test

import (
	"bytes"
	"slices"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// Two other decoders are the oracles: what this package accepts they read as the same. They take much that it refuses,
// so nothing is asked of them about that.

// ofMochi decodes a packet with mochi's codec, which is told what the connection knows.
func ofMochi(t *testing.T, first byte, body []byte, version byte, decode func(*mochi.Packet, []byte) error) *mochi.Packet {
	t.Helper()
	pk := &mochi.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		t.Fatalf("mochi refuses the first byte 0x%02x: %v", first, err)
	}
	pk.FixedHeader.Remaining = len(body)
	if err := decode(pk, body); err != nil {
		t.Fatalf("mochi refuses % x: %v", body, err)
	}
	return pk
}

// ofPaho decodes a packet of MQTT 3 with paho's codec.
func ofPaho[T paho.ControlPacket](t *testing.T, first byte, body []byte) T {
	t.Helper()
	cp, err := paho.ReadPacket(bytes.NewReader(pack(first, vbi(len(body)), body)))
	if err != nil {
		t.Fatalf("paho refuses % x: %v", body, err)
	}
	p, ok := cp.(T)
	if !ok {
		t.Fatalf("paho takes % x for a %T", body, cp)
	}
	return p
}

func sameConnect(t *testing.T, body []byte, got *packet.Connecting) {
	t.Helper()
	flags := body[len(pack(map[bool]string{true: "MQIsdp", false: "MQTT"}[got.Version == 3]))+1]
	if got.HasUser != (flags&0x80 != 0) || got.HasPassword != (flags&0x40 != 0) {
		return // fields that only MQTT 3.1 may leave out
	}
	pk := ofMochi(t, 0x10, body, got.Version, (*mochi.Packet).ConnectDecode)
	c, p := &pk.Connect, &pk.Properties
	ok := pk.ProtocolVersion == got.Version && c.Clean == got.CleanStart && c.Keepalive == got.KeepAlive &&
		c.ClientIdentifier == got.ClientID && string(c.Username) == got.User && bytes.Equal(c.Password, got.Password) &&
		p.SessionExpiryInterval == got.SessionExpiry && p.MaximumPacketSize == got.MaximumPacket &&
		p.TopicAliasMaximum == got.AliasMaximum && (p.RequestResponseInfo == 1) == got.RequestResponse &&
		(!p.RequestProblemInfoFlag || p.RequestProblemInfo == 1) == got.RequestProblem &&
		p.AuthenticationMethod == got.AuthMethod && bytes.Equal(p.AuthenticationData, got.AuthData) &&
		(p.ReceiveMaximum == got.ReceiveMaximum || p.ReceiveMaximum == 0 && got.ReceiveMaximum == 65535) &&
		c.WillFlag == (got.Will != nil)
	if w := got.Will; ok && w != nil {
		ok = c.WillTopic == w.Topic && bytes.Equal(c.WillPayload, w.Payload) && c.WillQos == w.QoS && c.WillRetain == w.Retain &&
			c.WillProperties.WillDelayInterval == w.Delay && sameProperties(&c.WillProperties, w.Properties)
	}
	if !ok {
		t.Errorf("mochi reads %+v %+v\nwe read %+v, will %+v", c, p, got, got.Will)
	}
	if got.Version == 5 {
		return
	}
	old := ofPaho[*paho.ConnectPacket](t, 0x10, body)
	if old.ClientIdentifier != got.ClientID || old.Username != got.User || !bytes.Equal(old.Password, got.Password) ||
		old.CleanSession != got.CleanStart || old.Keepalive != got.KeepAlive || old.WillFlag != (got.Will != nil) ||
		got.Will != nil && (old.WillTopic != got.Will.Topic || !bytes.Equal(old.WillMessage, got.Will.Payload) ||
			old.WillQos != got.Will.QoS || old.WillRetain != got.Will.Retain) {
		t.Errorf("paho reads %s\nwe read %+v, will %+v", old, got, got.Will)
	}
}

// sameProperties compares the properties of a message. Ours are nil where nothing outlives the packet.
func sameProperties(p *mochi.Properties, got *event.Properties) bool {
	if got == nil {
		got = &event.Properties{}
	}
	return p.ContentType == got.ContentType && p.ResponseTopic == got.ResponseTopic &&
		bytes.Equal(p.CorrelationData, got.CorrelationData) && p.MessageExpiryInterval == got.Expiry && (p.PayloadFormat == 1) == got.UTF8 &&
		slices.EqualFunc(p.User, got.User, func(a mochi.UserProperty, b event.UserProperty) bool { return a.Key == b.Name && a.Val == b.Value })
}

func samePublish(t *testing.T, first byte, body []byte, version byte, got *packet.Published) {
	t.Helper()
	if version == 3 && got.Dup && got.QoS == 0 {
		return // which both take for MQTT 3.1.1, where it is forbidden
	}
	pk := ofMochi(t, first, body, version, (*mochi.Packet).PublishDecode)
	if pk.TopicName != string(got.Topic) || !bytes.Equal(pk.Payload, got.Payload) || pk.PacketID != got.ID ||
		pk.Properties.TopicAlias != got.Alias || pk.FixedHeader.Qos != got.QoS || pk.FixedHeader.Dup != got.Dup ||
		pk.FixedHeader.Retain != got.Retain || !sameProperties(&pk.Properties, got.Properties()) {
		t.Errorf("mochi reads %+v, we read %+v, %+v", pk, got, got.Properties())
	}
	if version == 5 {
		return
	}
	old := ofPaho[*paho.PublishPacket](t, first, body)
	if old.TopicName != string(got.Topic) || !bytes.Equal(old.Payload, got.Payload) || old.MessageID != got.ID || old.Qos != got.QoS ||
		old.Dup != got.Dup || old.Retain != got.Retain {
		t.Errorf("paho reads %s, we read %+v", old, got)
	}
}

func sameSubscribe(t *testing.T, body []byte, version byte, got *packet.Subscribing) {
	t.Helper()
	pk := ofMochi(t, 0x82, body, version, (*mochi.Packet).SubscribeDecode)
	ok := pk.PacketID == got.ID && slices.EqualFunc(pk.Filters, got.Subscriptions, func(a mochi.Subscription, b packet.Subscription) bool {
		return a.Filter == b.Filter && a.Qos == b.QoS && a.NoLocal == b.NoLocal && a.RetainAsPublished == b.RetainAsPublished &&
			a.RetainHandling == b.RetainHandling && a.Identifier == got.Identifier
	})
	if !ok {
		t.Errorf("mochi reads %+v, we read %+v", pk, got)
	}
	if version == 5 {
		return
	}
	old := ofPaho[*paho.SubscribePacket](t, 0x82, body)
	for i, s := range got.Subscriptions {
		if len(old.Topics) != len(got.Subscriptions) || old.Topics[i] != s.Filter || old.Qoss[i] != s.QoS || old.MessageID != got.ID {
			t.Fatalf("paho reads %s, we read %+v", old, got)
		}
	}
}

func sameUnsubscribe(t *testing.T, body []byte, version byte, got *packet.Unsubscribing) {
	t.Helper()
	pk := ofMochi(t, 0xa2, body, version, (*mochi.Packet).UnsubscribeDecode)
	if pk.PacketID != got.ID || !slices.EqualFunc(pk.Filters, got.Filters, func(a mochi.Subscription, b string) bool { return a.Filter == b }) {
		t.Errorf("mochi reads %+v, we read %+v", pk, got)
	}
	if version == 5 {
		return
	}
	if old := ofPaho[*paho.UnsubscribePacket](t, 0xa2, body); !slices.Equal(old.Topics, got.Filters) || old.MessageID != got.ID {
		t.Errorf("paho reads %s, we read %+v", old, got)
	}
}

func sameAck(t *testing.T, kind packet.Kind, body []byte, version byte, id uint16, code byte) {
	t.Helper()
	first, decode := byte(kind)<<4, (*mochi.Packet).PubackDecode
	if kind == packet.Pubrel {
		first |= 2
	}
	if len(body) == 3 { // mochi wants properties after a reason code
		body = append(slices.Clip(body), 0)
	}
	pk := ofMochi(t, first, body, version, decode)
	if pk.PacketID != id || pk.ReasonCode != code {
		t.Errorf("mochi reads %+v, we read id %d, code 0x%02x", pk, id, code)
	}
}

func TestOraclesOfConnect(t *testing.T) {
	for _, c := range connectCases {
		if got, err := packet.DecodeConnect(c.body); err == nil {
			t.Run(c.name, func(t *testing.T) { sameConnect(t, c.body, got) })
		}
	}
}

func TestOraclesOfPublish(t *testing.T) {
	for _, c := range publishCases {
		var p packet.Published
		if err := p.Decode(c.first, c.body, c.version); err == nil {
			t.Run(c.name, func(t *testing.T) { samePublish(t, c.first, c.body, c.version, &p) })
		}
	}
}

func TestOraclesOfFilters(t *testing.T) {
	for _, c := range filterCases {
		got, err := decodeFilters(c.kind, c.body, c.version)
		if err != nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			switch got := got.(type) {
			case *packet.Subscribing:
				sameSubscribe(t, c.body, c.version, got)
			case *packet.Unsubscribing:
				sameUnsubscribe(t, c.body, c.version, got)
			}
		})
	}
}

// TestOraclesReadWhatAppendPublishWrites is the way to a subscriber.
func TestOraclesReadWhatAppendPublishWrites(t *testing.T) {
	for i := range messages {
		for _, version := range []byte{4, 5} {
			b := packet.AppendPublish(nil, version, &messages[i])
			size, _, _ := packet.FixedHeader(b, version)
			var p packet.Published
			if err := p.Decode(b[0], b[size:], version); err != nil {
				t.Fatal(err)
			}
			samePublish(t, b[0], b[size:], version, &p)
		}
	}
}

// TestOraclesWriteWhatIsAccepted is the way from a client.
func TestOraclesWriteWhatIsAccepted(t *testing.T) {
	buf := &bytes.Buffer{}
	pub := paho.NewControlPacket(paho.Publish).(*paho.PublishPacket) //nolint:forcetypeassert,errcheck // It is one.
	pub.TopicName, pub.Qos, pub.MessageID, pub.Payload = "a/b", 1, 7, []byte("payload")
	con := paho.NewControlPacket(paho.Connect).(*paho.ConnectPacket) //nolint:forcetypeassert,errcheck // It is one.
	con.ProtocolName, con.ProtocolVersion, con.ClientIdentifier, con.CleanSession = "MQTT", 4, "client", true
	con.UsernameFlag, con.PasswordFlag, con.Username, con.Password = true, true, "u", []byte("p")
	sub := paho.NewControlPacket(paho.Subscribe).(*paho.SubscribePacket) //nolint:forcetypeassert,errcheck // It is one.
	sub.MessageID, sub.Topics, sub.Qoss = 7, []string{"a", "b/#"}, []byte{1, 2}
	rel := paho.NewControlPacket(paho.Pubrel).(*paho.PubrelPacket) //nolint:forcetypeassert,errcheck // It is one.
	rel.MessageID = 7
	for _, p := range []paho.ControlPacket{con, pub, sub, rel, paho.NewControlPacket(paho.Pingreq), paho.NewControlPacket(paho.Disconnect)} {
		buf.Reset()
		if err := p.Write(buf); err != nil {
			t.Fatal(err)
		}
		version := byte(4)
		if p == con {
			version = 0
		}
		b := buf.Bytes()
		size, remaining, err := packet.FixedHeader(b, version)
		if err != nil || size+remaining != len(b) {
			t.Fatalf("%s: %v", p, err)
		}
		if err := packet.CheckFirst(b[0], version); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if err := packet.Check(b[0], b[size:], version); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}
