package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

// AppendView appends the fields of a frame that views fill (removed, devices, status, topics, activity, hub and chat) to those of
// another. f is only read. Text that is not UTF-8 comes with U+FFFD in its place.
func (e Encoding) AppendView(fields []byte, f *pulsov1.Frame) []byte {
	if e == Proto {
		return appendViewProto(fields, f)
	}
	fields = appendDevicesJSON(fields, f)
	fields = appendTopicsJSON(fields, f)
	if h := f.GetHub(); h != nil {
		fields = appendHubJSON(appendKey(fields, len(fields), `"hub":`), h)
	}
	if c := f.GetChat(); c != nil {
		fields = appendChatJSON(appendKey(fields, len(fields), `"chat":`), c)
	}
	return fields
}

// appendViewProto appends the fields as protobuf has them.
func appendViewProto(fields []byte, f *pulsov1.Frame) []byte {
	if out, err := (proto.MarshalOptions{}).MarshalAppend(fields, f); err == nil {
		return out
	}
	// The one thing that a message cannot hold is text that is not UTF-8. It is rare, so that looking for it beforehand would
	// be for nothing nearly always.
	repaired := proto.CloneOf(f)
	repair(repaired.ProtoReflect())
	out, err := proto.MarshalOptions{}.MarshalAppend(fields, repaired)
	if err != nil {
		return fields
	}
	return out
}

// repair puts U+FFFD for what is not UTF-8 in the texts of a message and of those in it.
func repair(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList():
			for i, list := 0, value.List(); i < list.Len(); i++ {
				if v, changed := repaired(field.Kind(), list.Get(i)); changed {
					list.Set(i, v)
				}
			}
		default:
			if v, changed := repaired(field.Kind(), value); changed {
				m.Set(field, v)
			}
		}
		return true
	})
}

// repaired is a value of a field that is no list or map, and whether it takes the old one's place.
func repaired(kind protoreflect.Kind, v protoreflect.Value) (protoreflect.Value, bool) {
	switch kind {
	case protoreflect.MessageKind:
		repair(v.Message())
	case protoreflect.StringKind:
		if s := v.String(); !utf8.ValidString(s) {
			return protoreflect.ValueOfString(validText(s)), true
		}
	default:
	}
	return v, false
}

// appendKey begins a member of an object, which has members already if n is not 0.
func appendKey(dst []byte, n int, key string) []byte {
	return append(appendComma(dst, n), key...)
}

// appendText appends a member. key is everything in front of its value.
func appendText(dst []byte, key, text string) []byte { return AppendString(append(dst, key...), text) }
