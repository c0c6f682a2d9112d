package app

import (
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"google.golang.org/protobuf/encoding/protowire"
)

// A Sparkplug node whose metrics have aliases that nobody knows is asked to be born again.
func TestUnknownAliasesAskForRebirth(t *testing.T) {
	h := runHub(t, inMemory(t))
	node := device(t, h, "node")
	defer node.Disconnect(0)
	asked := make(chan []byte, 4)
	settle(t, node.Subscribe("spBv1.0/G/NCMD/E", 0, func(_ paho.Client, m paho.Message) { asked <- m.Payload() }))
	varint := func(b []byte, field protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
	}
	const alias, kind, value, int32Kind = 2, 4, 10, 3
	metric := varint(varint(varint(nil, alias, 1), kind, int32Kind), value, 5)
	data := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), metric)
	for range 3 {
		settle(t, node.Publish("spBv1.0/G/NDATA/E", 1, false, data))
	}
	select {
	case payload := <-asked:
		if len(payload) == 0 {
			t.Error("the request is empty")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the node is not asked")
	}
	select {
	case <-asked:
		t.Error("the node is asked again at once")
	case <-time.After(100 * time.Millisecond): // a second request would have come with the first
	}
}
