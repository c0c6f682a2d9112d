package wire

// A Sender is a packet that a client can send.
type Sender interface {
	// Bytes is the packet as it is sent at a version of the protocol.
	Bytes(version byte) []byte
}

// Raw is bytes that need not be a packet.
type Raw []byte

// Bytes is the bytes, whatever the version.
func (r Raw) Bytes(byte) []byte { return r }

// Connect is what a CONNECT can say. Its zero value is a clean start at MQTT 5 with no client id, keep-alive, will or user.
type Connect struct {
	Version   byte // 0 is V5
	Name      string
	Level     byte // the protocol's level if it is not Version
	ClientID  string
	KeepAlive int  // seconds
	Resume    bool // Clean Start (before MQTT 5, Clean Session) is 0
	Will      *Will
	User      *string
	Password  *string
	FlipFlags byte // the connect flags that are sent turned over
	Props     Properties
}

// A Will is the message that a server is to publish when the connection is lost.
type Will struct {
	Topic, Payload string
	QoS            byte
	Retain         bool
	Props          Properties
}

// version is the version that the packet is written for.
func (c *Connect) version() byte {
	if c.Version == 0 {
		return V5
	}
	return c.Version
}

// Bytes is the packet, at its own version.
func (c *Connect) Bytes(byte) []byte {
	version := c.version()
	name, level := c.Name, c.Level
	if name == "" {
		name = "MQTT"
		if version == V31 {
			name = "MQIsdp"
		}
	}
	if level == 0 {
		level = version
	}
	var flags byte
	if !c.Resume {
		flags |= 0x02
	}
	parts := [][]byte{nil, props(version, c.Props), Str(c.ClientID)}
	if w := c.Will; w != nil {
		flags |= 0x04 | w.QoS<<3
		if w.Retain {
			flags |= 0x20
		}
		parts = append(parts, props(version, w.Props), Str(w.Topic), Str(w.Payload))
	}
	if c.User != nil {
		flags |= 0x80
		parts = append(parts, Str(*c.User))
	}
	if c.Password != nil {
		flags |= 0x40
		parts = append(parts, Str(*c.Password))
	}
	parts[0] = Cat(Str(name), []byte{level, flags ^ c.FlipFlags}, U16(c.KeepAlive))
	return Packet(CONNECT.First(), parts...)
}

// props is the properties of a packet, at MQTT 5 only.
func props(version byte, ps Properties) []byte {
	if version != V5 {
		return nil
	}
	return ps.Bytes()
}

// Publish is what a PUBLISH can say.
type Publish struct {
	Topic, Payload string
	QoS            byte
	Dup, Retain    bool
	ID             uint16 // sent where QoS is not 0
	Props          Properties
}

// Bytes is the packet.
func (p *Publish) Bytes(version byte) []byte {
	first := PUBLISH.First() | p.QoS<<1
	if p.Dup {
		first |= 8
	}
	if p.Retain {
		first |= 1
	}
	var id []byte
	if p.QoS > 0 {
		id = U16(int(p.ID))
	}
	return Packet(first, Str(p.Topic), id, props(version, p.Props), []byte(p.Payload))
}

// A Filter is a topic filter of a SUBSCRIBE with its options: the QoS, and at MQTT 5 NoLocal, RetainAsPublished and one of
// RetainIfNew and RetainNever.
type Filter struct {
	Filter  string
	Options byte
}

// Options of a subscription at MQTT 5.
const (
	NoLocal           byte = 0x04
	RetainAsPublished byte = 0x08
	RetainIfNew       byte = 0x10
	RetainNever       byte = 0x20
)

// Subscribe is what a SUBSCRIBE can say.
type Subscribe struct {
	ID      uint16
	Filters []Filter
	Props   Properties
}

// Bytes is the packet.
func (s *Subscribe) Bytes(version byte) []byte {
	parts := [][]byte{U16(int(s.ID)), props(version, s.Props)}
	for _, f := range s.Filters {
		parts = append(parts, Str(f.Filter), []byte{f.Options})
	}
	return Packet(SUBSCRIBE.First(), parts...)
}

// Unsubscribe is what an UNSUBSCRIBE can say.
type Unsubscribe struct {
	ID      uint16
	Filters []string
	Props   Properties
}

// Bytes is the packet.
func (u *Unsubscribe) Bytes(version byte) []byte {
	parts := [][]byte{U16(int(u.ID)), props(version, u.Props)}
	for _, f := range u.Filters {
		parts = append(parts, Str(f))
	}
	return Packet(UNSUBSCRIBE.First(), parts...)
}

// An Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP. Code and properties are sent at MQTT 5 where there are any.
type Ack struct {
	Type  Type
	ID    uint16
	Code  byte
	Props Properties
}

// Bytes is the packet.
func (a *Ack) Bytes(version byte) []byte {
	parts := [][]byte{U16(int(a.ID))}
	if version == V5 && (a.Code != 0 || len(a.Props) > 0) {
		parts = append(parts, []byte{a.Code}, a.Props.Bytes())
	}
	return Packet(a.Type.First(), parts...)
}

// Disconnect is what a DISCONNECT can say. Code and properties are sent at MQTT 5 where there are any.
type Disconnect struct {
	Code  byte
	Props Properties
}

// Bytes is the packet.
func (d *Disconnect) Bytes(version byte) []byte {
	if version != V5 || d.Code == 0 && len(d.Props) == 0 {
		return Packet(DISCONNECT.First())
	}
	return Packet(DISCONNECT.First(), []byte{d.Code}, d.Props.Bytes())
}

// Auth is what an AUTH can say.
type Auth struct {
	Code  byte
	Props Properties
}

// Bytes is the packet.
func (a *Auth) Bytes(byte) []byte {
	return Packet(AUTH.First(), []byte{a.Code}, a.Props.Bytes())
}

// PingReq is a PINGREQ.
func PingReq() Raw { return Raw(Packet(PINGREQ.First())) }
