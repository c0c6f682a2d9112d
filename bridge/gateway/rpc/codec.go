package rpc

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A response is a SubscribeResponse or SessionResponse, which are the same on the wire: a message that sessions share, in the
// field message.
type response struct{ message *wire.Message }

// field is its number.
const field protowire.Number = 1

// A protoCodec writes responses around the bytes that are there, and everything else as protobuf does. unread hears of a request
// that cannot be read.
type protoCodec struct{ unread func(request any) }

// Name implements connect.Codec.
func (protoCodec) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (c protoCodec) Marshal(v any) ([]byte, error) { return c.MarshalAppend(nil, v) }

// MarshalAppend is Marshal into memory that is there.
func (protoCodec) MarshalAppend(dst []byte, v any) ([]byte, error) {
	switch m := v.(type) {
	case *response:
		return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), m.message.Bytes()), nil
	case proto.Message:
		return proto.MarshalOptions{}.MarshalAppend(dst, m)
	default:
		return nil, fmt.Errorf("%T is no message", v)
	}
}

// Unmarshal implements connect.Codec. Fields that the hub does not know are an error here, too: a command has its own look at what is
// within it.
func (c protoCodec) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	err := proto.Unmarshal(b, m)
	if err == nil && len(m.ProtoReflect().GetUnknown()) > 0 {
		err = fmt.Errorf("%s has a field that this hub does not know", m.ProtoReflect().Descriptor().Name())
	}
	if err != nil {
		c.unread(m)
	}
	return err
}

// A jsonCodec is protobuf's JSON, for curl and for people.
type jsonCodec struct {
	name   string
	unread func(request any)
}

// Name implements connect.Codec.
func (c jsonCodec) Name() string { return c.name }

// Marshal implements connect.Codec.
func (jsonCodec) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case *response:
		out := &pulsov1.SessionResponse{Message: new(pulsov1.Message)}
		if err := proto.Unmarshal(m.message.Bytes(), out.GetMessage()); err != nil {
			return nil, err
		}
		return protojson.Marshal(out)
	case proto.Message:
		return protojson.Marshal(m)
	default:
		return nil, fmt.Errorf("%T is no message", v)
	}
}

// Unmarshal implements connect.Codec. Unknown fields are an error, as in the hub's own JSON.
func (c jsonCodec) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	err := protojson.Unmarshal(b, m)
	if err != nil {
		c.unread(m)
	}
	return err
}
