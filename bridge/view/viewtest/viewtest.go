// Package viewtest is what the tests of views have in common.
package viewtest

import (
	"encoding/json"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A T is what can fail: a test, or a property of one.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Members returns a frame's members in JSON, nil of a nil frame. It holds both encodings to what they promise: JSON is valid,
// protobuf reads back as the same frame, and neither writes to it.
func Members(t T, f *pulsov1.Frame) []byte {
	t.Helper()
	if f == nil {
		return nil
	}
	before := proto.CloneOf(f)
	members := wire.JSON.AppendView(nil, f)
	if !json.Valid([]byte("{"+string(members)+"}")) || !utf8.Valid(members) {
		t.Errorf("no JSON: %s", members)
	}
	read := &pulsov1.Frame{}
	if err := proto.Unmarshal(wire.Proto.AppendView(nil, f), read); err != nil {
		t.Errorf("no protobuf: %v", err)
	}
	if !proto.Equal(f, before) {
		t.Errorf("encoding has changed a frame\nfrom %v\nto   %v", before, f)
	}
	if _, err := proto.Marshal(f); err == nil && !proto.Equal(read, f) { // else there is text in it that is not UTF-8
		t.Errorf("read back: %v\nwant: %v", read, f)
	}
	return members
}
