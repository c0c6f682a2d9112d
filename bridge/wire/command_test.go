package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	c, err := wire.JSON.ParseCommand([]byte(`{"id":2,"subscribe":{"filters":["b","a","b"],"form":"values","delivery":"latest",
		"rate":2.5,"from":"k3f.7","history":5,"devices":["z","y"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Subscribe
	if c.ID != 2 || !slices.Equal(s.Filters, []string{"a", "b"}) || s.Form != wire.FormValues || s.Delivery != wire.DeliveryLatest ||
		s.Rate != 2.5 || s.From != (event.Position{Epoch: 26043, Offset: 7}) || s.History != 5 || !slices.Equal(s.Devices, []string{"y", "z"}) {
		t.Errorf("%+v", s)
	}
	for text, want := range map[string]string{
		`{"publish":{"topic":"a","payload":{"on" : true}}}`:                       `{"on" : true}`,
		`{"publish":{"topic":"a","payload":null}}`:                                "null",
		`{"publish":{"topic":"a","payload_text":""}}`:                             "",
		`{"publish":{"topic":"a","payload_text":"é"}}`:                            "é",
		`{"publish":{"topic":"a","payload_base64":"/wA=","qos":1,"retain":true}}`: "\xff\x00",
	} {
		c, err := wire.JSON.ParseCommand([]byte(text))
		if err != nil || string(c.Publish.Body) != want {
			t.Errorf("%s: %q, %v", text, c.Publish.Body, err)
		}
	}
	for text, filters := range map[string][]string{
		`{"subscribe":{"form":"hub"}}`:                                          {"#"},
		`{"subscribe":{"form":"hub","filters":["a"],"devices":["d"]}}`:          {"#"},
		`{"subscribe":{"devices":["d"]}}`:                                       {"#"},
		`{"subscribe":{"form":"chat","filters":["chat/+"],"delivery":"every"}}`: {"chat/+"},
	} {
		c, err := wire.JSON.ParseCommand([]byte(text))
		if err != nil || !slices.Equal(c.Subscribe.Filters, filters) {
			t.Errorf("%s: %q, %v", text, c.Subscribe.Filters, err)
		} else if s := c.Subscribe; s.Form.IsView() && (s.Delivery != wire.DeliveryLatest || s.Devices != nil) {
			t.Errorf("%s: %+v", text, s)
		}
	}
	if c, err := wire.JSON.ParseCommand([]byte(`{"subscribe":{"filters":["a"],"from":"start"}}`)); err != nil || !c.Subscribe.FromStart {
		t.Errorf("from the start: %+v, %v", c.Subscribe, err)
	}
}

func TestParseCommandErrors(t *testing.T) {
	t.Parallel()
	many := `"` + strings.Join(slices.Repeat([]string{"a"}, 257), `","`) + `"`
	for _, test := range []struct {
		text, code string
		names      string // what the message must contain
	}{
		{``, wire.CodeBadJSON, "too early"},
		{`{"id":5`, wire.CodeBadJSON, "too early"},
		{`{"id":5,}`, wire.CodeBadJSON, "byte 9"},
		{"{\"id\":5,\"hello\":{\"name\":\"\xff\"}}", wire.CodeBadJSON, "UTF-8"},
		{`{"id":5,"ping":{}} {}`, wire.CodeBadJSON, "one object"},
		{`[]`, wire.CodeBadCommand, "the command must be an object"},
		{`null`, wire.CodeBadCommand, "no command"},
		{`{"id":5}`, wire.CodeBadCommand, "no command"},
		{`{"id":5,"ping":{},"hello":{}}`, wire.CodeBadCommand, "2 commands"},
		{`{"id":-5,"ping":{}}`, wire.CodeBadCommand, "id must be a whole number"},
		{`{"id":5,"dance":{}}`, wire.CodeBadCommand, `"dance"`},
		{`{"id":5,"` + strings.Repeat("x", 10_000) + `":{}}`, wire.CodeBadCommand, "unknown field"},
		{`{"id":5,"hello":{"name":1` + strings.Repeat("0", 10_000) + `}}`, wire.CodeBadCommand, "hello.name must be a string"},
		{`{"id":5,"ping":{"payload":1}}`, wire.CodeBadCommand, `"payload"`},
		{`{"id":5,"ping":1}`, wire.CodeBadCommand, "ping must be an object"},
		{`{"id":5,"hello":{"name":1}}`, wire.CodeBadCommand, "hello.name must be a string"},
		{`{"id":5,"hello":{"name":"` + strings.Repeat("x", 129) + `"}}`, wire.CodeBadCommand, "hello.name"},
		{`{"id":5,"subscribe":{}}`, wire.CodeBadCommand, "subscribe.filters"},
		{`{"id":5,"subscribe":{"filters":"a"}}`, wire.CodeBadCommand, "subscribe.filters must be a list"},
		{`{"id":5,"subscribe":{"filters":["a"],"form":"sonnet"}}`, wire.CodeBadCommand, "subscribe.form"},
		{`{"id":5,"subscribe":{"filters":["a"],"delivery":"never"}}`, wire.CodeBadCommand, "subscribe.delivery"},
		{`{"id":5,"subscribe":{"filters":["a"],"rate":-1}}`, wire.CodeBadCommand, "subscribe.rate"},
		{`{"id":5,"subscribe":{"filters":["a"],"rate":1001}}`, wire.CodeBadCommand, "subscribe.rate"},
		{`{"id":5,"subscribe":{"filters":["a"],"rate":"fast"}}`, wire.CodeBadCommand, "subscribe.rate must be a number"},
		{`{"id":5,"subscribe":{"filters":["a"],"history":1001}}`, wire.CodeBadCommand, "subscribe.history"},
		{`{"id":5,"subscribe":{"filters":["a"],"history":1.5}}`, wire.CodeBadCommand, "subscribe.history must be a whole number"},
		{`{"id":5,"subscribe":{"filters":["a"],"from":"k3f"}}`, wire.CodeInvalidPosition, "subscribe.from"},
		{`{"id":5,"subscribe":{"filters":["a/#/b"]}}`, wire.CodeInvalidFilter, "a/#/b"},
		{`{"id":5,"subscribe":{"filters":["chat/a","b"],"form":"chat"}}`, wire.CodeInvalidFilter, "chat/"},
		{`{"id":5,"subscribe":{"filters":[` + many + `]}}`, wire.CodeTooMany, "257 filters"},
		{`{"id":5,"subscribe":{"filters":["a"],"devices":[` + many + `]}}`, wire.CodeTooMany, "257 devices"},
		{`{"id":5,"subscribe":{"filters":["a"],"devices":["` + strings.Repeat("x", 64<<10) + `"]}}`, wire.CodeTooLarge, "subscribe.devices"},
		{`{"id":5,"subscribe":{"filters":["c"` + strings.Repeat(`,"`+strings.Repeat("b/", 127)+`b"`, 16) + `]}}`, wire.CodeTooLarge, "levels"},
		{`{"id":5,"unsubscribe":{"room":"7"}}`, wire.CodeBadCommand, "unsubscribe.room must be a whole number"},
		{`{"id":5,"publish":{"topic":"","payload":1}}`, wire.CodeInvalidTopic, "empty"},
		{`{"id":5,"publish":{"topic":"a/+","payload":1}}`, wire.CodeInvalidTopic, "a/+"},
		{`{"id":5,"publish":{"topic":"$SYS/a","payload":1}}`, wire.CodeForbidden, "$SYS/a"},
		{`{"id":5,"publish":{"topic":"a","payload":1,"qos":2}}`, wire.CodeBadCommand, "publish.qos"},
		{`{"id":5,"publish":{"topic":"a"}}`, wire.CodeBadCommand, "payload_base64"},
		{`{"id":5,"publish":{"topic":"a","payload":1,"payload_text":"1"}}`, wire.CodeBadCommand, "2 payloads"},
		{`{"id":5,"publish":{"topic":"a","payload_base64":"?"}}`, wire.CodeBadCommand, "publish.payload_base64"},
		{`{"id":5,"publish":{"topic":"a","payload":1,"retain":"yes"}}`, wire.CodeBadCommand, "publish.retain must be a boolean"},
	} {
		c, err := wire.JSON.ParseCommand([]byte(test.text))
		if err == nil || err.Code != test.code || !strings.Contains(err.Message, test.names) {
			t.Errorf("%.100s: want %s with %q, got %v", test.text, test.code, test.names, err)
			continue
		}
		if strings.HasPrefix(test.text, `{"id":5,"`) && err.Code != wire.CodeBadJSON && c.ID != 5 {
			t.Errorf("%.100s: the id is lost: %d", test.text, c.ID)
		}
		if len(err.Message) > 400 || err.Error() != fmt.Sprintf("%s: %s", err.Code, err.Message) {
			t.Errorf("%.100s: message %q", test.text, err.Message)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, text := range []string{
		`{"id":1,"hello":{"client":"a","name":"b","token":"c"}}`, `{"id":2,"subscribe":{"filters":["a/+/#"],"devices":["d"],"rate":1e-300}}`,
		`{"id":3,"unsubscribe":{"room":7}}`, `{"id":4,"publish":{"topic":"a","payload":[1]}}`, `{"id":5,"ping":{}}`, `{"id":1e3}`, `[`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := wire.JSON.ParseCommand(text)
		if err != nil {
			if err.Code == "" || err.Message == "" {
				t.Fatalf("an error without code or message: %+v", err)
			}
			return
		}
		switch {
		case c.Subscribe != nil:
			if c.Subscribe.Form == 0 || c.Subscribe.Delivery == 0 || len(c.Subscribe.Filters) == 0 || !slices.IsSorted(c.Subscribe.Filters) {
				t.Fatalf("%+v", c.Subscribe)
			}
		case c.Publish != nil:
			if event.CheckTopic(c.Publish.Topic) != nil || c.Publish.Topic[0] == '$' {
				t.Fatalf("%+v", c.Publish)
			}
		case c.Hello == nil && c.Unsubscribe == nil && c.Ping == nil:
			t.Fatal("no command and no error")
		}
	})
}
