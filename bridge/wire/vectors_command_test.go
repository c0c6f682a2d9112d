package wire_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// commandsFile holds commands in both encodings, as vectorsFile does messages.
const commandsFile = "testdata/commands.json"

type commandCase struct {
	name, json string
	proto      *pulsov1.Command
}

func commandCases() []commandCase {
	subscribe := &pulsov1.Subscribe{
		Filters: []string{"a/#", "ö/+"}, Form: pulsov1.Form_FORM_VALUES, Delivery: pulsov1.Delivery_DELIVERY_LATEST, Rate: 2.5,
		From: "k3f.1050", History: 300, Devices: []string{"d1", "d2"}, Viewers: true,
	}
	return []commandCase{
		{"hello", `{"id":1,"hello":{"token":"t","client":"test/1","name":"Ana"}}`, &pulsov1.Command{
			Id: 1, Command: &pulsov1.Command_Hello{Hello: &pulsov1.Hello{Token: "t", Client: "test/1", Name: "Ana"}},
		}},
		{"hello that says nothing", `{"id":300,"hello":{}}`, &pulsov1.Command{Id: 300, Command: &pulsov1.Command_Hello{Hello: &pulsov1.Hello{}}}},
		{
			"subscribe", `{"id":2,"subscribe":{"filters":["a/#","ö/+"],"form":"values","delivery":"latest","rate":2.5,` +
				`"from":"k3f.1050","history":300,"devices":["d1","d2"],"viewers":true}}`,
			&pulsov1.Command{Id: 2, Command: &pulsov1.Command_Subscribe{Subscribe: subscribe}},
		},
		{"subscribe to the hub", `{"id":9007199254740991,"subscribe":{"filters":["#"],"form":"hub"}}`, &pulsov1.Command{
			Id: 1<<53 - 1, Command: &pulsov1.Command_Subscribe{Subscribe: &pulsov1.Subscribe{Filters: []string{"#"}, Form: pulsov1.Form_FORM_HUB}},
		}},
		{"unsubscribe", `{"id":3,"unsubscribe":{"room":1099511627776}}`, &pulsov1.Command{
			Id: 3, Command: &pulsov1.Command_Unsubscribe{Unsubscribe: &pulsov1.Unsubscribe{Room: 1 << 40}},
		}},
		{"publish", `{"id":4,"publish":{"topic":"a/b","payload":{"on":true,"é":[1.5,null]},"qos":1,"retain":true}}`, &pulsov1.Command{
			Id: 4, Command: &pulsov1.Command_Publish{Publish: &pulsov1.Publish{
				Topic: "a/b", Body: &pulsov1.Publish_Payload{Payload: `{"on":true,"é":[1.5,null]}`}, Qos: 1, Retain: true,
			}},
		}},
		{"publish text", `{"id":5,"publish":{"topic":"a/b","payload_text":"","qos":0}}`, &pulsov1.Command{
			Id: 5, Command: &pulsov1.Command_Publish{Publish: &pulsov1.Publish{Topic: "a/b", Body: &pulsov1.Publish_PayloadText{}}},
		}},
		{"publish bytes", `{"id":6,"publish":{"topic":"a/b","payload_base64":"/wCA","qos":0}}`, &pulsov1.Command{
			Id: 6, Command: &pulsov1.Command_Publish{Publish: &pulsov1.Publish{
				Topic: "a/b", Body: &pulsov1.Publish_PayloadBase64{PayloadBase64: []byte{0xff, 0, 0x80}},
			}},
		}},
		{"painted", `{"id":10,"painted":{"counts":[0,1,300,70000]}}`, &pulsov1.Command{
			Id: 10, Command: &pulsov1.Command_Painted{Painted: &pulsov1.Painted{Counts: []uint32{0, 1, 300, 70000}}},
		}},
		{"ping", `{"id":7,"ping":{}}`, &pulsov1.Command{Id: 7, Command: &pulsov1.Command_Ping{Ping: &pulsov1.Ping{}}}},
		{
			"change", `{"id":8,"change":{"room":7,"subscribe":{"filters":["b/#"],"form":"events","delivery":"every"}}}`,
			&pulsov1.Command{Id: 8, Command: &pulsov1.Command_Change{Change: &pulsov1.Change{Room: 7, Subscribe: &pulsov1.Subscribe{
				Filters: []string{"b/#"}, Form: pulsov1.Form_FORM_EVENTS, Delivery: pulsov1.Delivery_DELIVERY_EVERY,
			}}}},
		},
	}
}

func TestCommandVectors(t *testing.T) {
	t.Parallel()
	var made []vector
	for _, c := range commandCases() {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.proto)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, vector{c.name, c.json, b})
		inProto, problem := wire.Proto.ParseCommand(b)
		if problem != nil {
			t.Errorf("%s: %v", c.name, problem)
		}
		inText, problem := wire.JSON.ParseCommand([]byte(c.json))
		if problem != nil {
			t.Errorf("%s: %v", c.name, problem)
		}
		if p, q := inProto.Publish, inText.Publish; p != nil && q != nil {
			if !bytes.Equal(p.Body, q.Body) || p.Topic != q.Topic || p.QoS != q.QoS || p.Retain != q.Retain {
				t.Errorf("%s: %+v and %+v", c.name, p, q)
			}
			inProto.Publish, inText.Publish = nil, nil
		}
		if !reflect.DeepEqual(inProto, inText) {
			t.Errorf("%s: %+v and %+v", c.name, inProto, inText)
		}
	}
	text, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(commandsFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(commandsFile); err != nil || !bytes.Equal(kept, text) {
		t.Errorf("%s has other commands (%v): if that is meant, run the test with -update", commandsFile, err)
	}
}
