package wire_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// fields are the names of a message's fields as the proto file has them.
func fields(m protoreflect.ProtoMessage) []string {
	var names []string
	list := m.ProtoReflect().Descriptor().Fields()
	for i := range list.Len() {
		names = append(names, string(list.Get(i).Name()))
	}
	slices.Sort(names)
	return names
}

func jsonNames(v any) []string {
	var names []string
	for f := range reflect.TypeOf(v).Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" && f.IsExported() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestCommandsHaveTheFieldsOfTheProto(t *testing.T) {
	t.Parallel()
	for _, pair := range []struct {
		ours  any
		proto protoreflect.ProtoMessage
	}{
		{wire.Command{}, &pulsov1.Command{}},
		{wire.Hello{}, &pulsov1.Hello{}},
		{wire.Subscribe{}, &pulsov1.Subscribe{}},
		{wire.Unsubscribe{}, &pulsov1.Unsubscribe{}},
		{wire.Publish{}, &pulsov1.Publish{}},
		{wire.Ping{}, &pulsov1.Ping{}},
		{wire.Change{}, &pulsov1.Change{}},
		{wire.Painted{}, &pulsov1.Painted{}},
	} {
		if ours, theirs := jsonNames(pair.ours), fields(pair.proto); !slices.Equal(ours, theirs) {
			t.Errorf("%T reads %q, the proto has %q", pair.ours, ours, theirs)
		}
	}
}

// values are the names of an enum's values but the first, without prefix and in lower case, by number.
func values(e protoreflect.Enum, prefix string) map[int]string {
	names := make(map[int]string)
	list := e.Descriptor().Values()
	for i := range list.Len() {
		if n := int(list.Get(i).Number()); n != 0 {
			names[n] = strings.ToLower(strings.TrimPrefix(string(list.Get(i).Name()), prefix))
		}
	}
	return names
}

func TestEnumsAreThoseOfTheProto(t *testing.T) {
	t.Parallel()
	forms := make(map[int]string)
	for f := wire.FormEvents; f <= wire.FormChat; f++ {
		forms[int(f)] = f.String()
		if parsed, ok := wire.ParseForm(f.String()); !ok || parsed != f {
			t.Errorf("ParseForm(%q) is %v", f, parsed)
		}
	}
	deliveries := map[int]string{
		int(wire.DeliveryEvery): wire.DeliveryEvery.String(), int(wire.DeliveryLatest): wire.DeliveryLatest.String(),
	}
	codes := make(map[int]string)
	for _, c := range wire.CloseCodes() {
		codes[int(c.Code)] = c.Name
		if c.Code.Info() != c || c.Code.ComesBack() != (c.Code < 4500) {
			t.Errorf("%d: %+v", c.Code, c.Code.Info())
		}
	}
	for _, pair := range []struct {
		ours, proto map[int]string
	}{
		{forms, values(pulsov1.Form(0), "FORM_")},
		{deliveries, values(pulsov1.Delivery(0), "DELIVERY_")},
		{codes, values(pulsov1.CloseCode(0), "CLOSE_CODE_")},
	} {
		if !reflect.DeepEqual(pair.ours, pair.proto) {
			t.Errorf("ours: %v\nthe proto's: %v", pair.ours, pair.proto)
		}
	}
	if _, ok := wire.ParseForm("sonnet"); ok || wire.Form(99).String() != "form 99" || wire.Delivery(9).String() != "delivery 9" {
		t.Error("unknown forms and deliveries")
	}
	if i := wire.CloseCode(1).Info(); i.Name != "unknown" {
		t.Errorf("unknown close code: %+v", i)
	}
}

func TestProtocolPageNamesAllCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[int]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{4}) \| (\w+) \|`).FindAllStringSubmatch(string(page), -1) {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		documented[n] = row[2]
	}
	table := make(map[int]string)
	for _, c := range wire.CloseCodes() {
		table[int(c.Code)] = c.Name
	}
	if !reflect.DeepEqual(documented, table) {
		t.Errorf("documented: %v\ntable: %v", documented, table)
	}
	_, rest, _ := strings.Cut(string(page), "Error codes:\n")
	errors, _, _ := strings.Cut(rest, "\n\n")
	for _, code := range []string{
		wire.CodeBadJSON, wire.CodeBadProto, wire.CodeBadCommand, wire.CodeTooLarge, wire.CodeInvalidFilter, wire.CodeInvalidTopic, wire.CodeInvalidPosition,
		wire.CodeNotSubscribed, wire.CodeTooMany, wire.CodeUnavailable, wire.CodeForbidden, wire.CodeUnauthorized,
	} {
		if !strings.Contains(errors, "`"+code+"`") {
			t.Errorf("the page does not name the error code %s", code)
		}
	}
}
