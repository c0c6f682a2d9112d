package wire

import (
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

func parseCommandProto(msg []byte) (Command, *Error) {
	var m pulsov1.Command
	if err := proto.Unmarshal(msg, &m); err != nil {
		return Command{ID: m.GetId()}, Errorf(CodeBadProto, "not a Command of pulso.v1: %v", err)
	}
	return CommandOf(&m)
}

// CommandOf is a command that came as a message of the proto, checked as by [Encoding.ParseCommand].
func CommandOf(m *pulsov1.Command) (Command, *Error) {
	c := Command{ID: m.GetId()}
	if err := checkKnown(m.ProtoReflect()); err != nil {
		return c, err
	}
	switch m := m.GetCommand().(type) {
	case *pulsov1.Command_Hello:
		c.Hello = &Hello{Token: m.Hello.GetToken(), Client: m.Hello.GetClient(), Name: m.Hello.GetName()}
	case *pulsov1.Command_Subscribe:
		c.Subscribe = subscribeOf(m.Subscribe)
	case *pulsov1.Command_Unsubscribe:
		c.Unsubscribe = &Unsubscribe{Room: m.Unsubscribe.GetRoom()}
	case *pulsov1.Command_Publish:
		c.Publish = publishOf(m.Publish)
	case *pulsov1.Command_Ping:
		c.Ping = &Ping{}
	case *pulsov1.Command_Change:
		c.Change = &Change{Room: m.Change.GetRoom()}
		if m.Change.GetSubscribe() != nil {
			c.Change.Subscribe = subscribeOf(m.Change.GetSubscribe())
		}
	case *pulsov1.Command_Painted:
		c.Painted = &Painted{Counts: m.Painted.GetCounts()}
	}
	err := c.Check()
	return c, err
}

// checkKnown refuses fields that this version does not know: what they ask for would not be done, in silence.
func checkKnown(m protoreflect.Message) *Error {
	if len(m.GetUnknown()) > 0 {
		return Errorf(CodeBadCommand, "%s has a field that this hub does not know", m.Descriptor().Name())
	}
	var found *Error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() != nil && !f.IsList() {
			found = checkKnown(v.Message())
		}
		return found == nil
	})
	return found
}

func subscribeOf(m *pulsov1.Subscribe) *Subscribe {
	s := &Subscribe{
		Filters: m.GetFilters(), Rate: m.GetRate(), FromText: m.GetFrom(), History: int(m.GetHistory()), Devices: m.GetDevices(), Viewers: m.GetViewers(),
	}
	switch f := m.GetForm(); {
	case f == pulsov1.Form_FORM_UNSPECIFIED:
	case f > 0 && int(f) < len(formNames):
		s.FormName = Form(f).String()
	default:
		s.FormName = strconv.Itoa(int(f))
	}
	switch d := m.GetDelivery(); d {
	case pulsov1.Delivery_DELIVERY_UNSPECIFIED:
	case pulsov1.Delivery_DELIVERY_EVERY, pulsov1.Delivery_DELIVERY_LATEST:
		s.DeliveryName = Delivery(d).String()
	default:
		s.DeliveryName = strconv.Itoa(int(d))
	}
	return s
}

func publishOf(m *pulsov1.Publish) *Publish {
	p := &Publish{Topic: m.GetTopic(), QoS: int(m.GetQos()), Retain: m.GetRetain()}
	switch body := m.GetBody().(type) {
	case *pulsov1.Publish_Payload:
		p.Payload = []byte(body.Payload)
	case *pulsov1.Publish_PayloadText:
		p.Text = &body.PayloadText
	case *pulsov1.Publish_PayloadBase64:
		p.bytes = &body.PayloadBase64
	}
	return p
}
