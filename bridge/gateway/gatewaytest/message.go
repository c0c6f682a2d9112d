package gatewaytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A Message is anything that a hub says, as it stands in the JSON form.
type Message struct {
	Frame

	ID       uint64 `json:"id"`
	Room     uint64 `json:"room"`
	Position string `json:"position"`

	Welcome      *Welcome    `json:"welcome"`
	Subscribed   *Subscribed `json:"subscribed"`
	Changed      *Subscribed `json:"changed"`
	Unsubscribed *struct {
		Room uint64 `json:"room"`
	} `json:"unsubscribed"`
	Published *struct {
		Position string `json:"position"`
	} `json:"published"`
	Pong *struct {
		Now int64 `json:"now"`
	} `json:"pong"`
	Error *Error `json:"error"`

	Snapshot *Frame   `json:"snapshot"`
	Gap      *Gap     `json:"gap"`
	Viewers  *Viewers `json:"viewers"`
}

// A Welcome is the reply to a hello.
type Welcome struct {
	Session string `json:"session"`
	Node    string `json:"node"`
	Version string `json:"version"`
	Now     int64  `json:"now"`
}

// A Subscribed is the reply to a subscribe or a change.
type Subscribed struct {
	Room      uint64 `json:"room"`
	From      uint64 `json:"from"`
	Position  string `json:"position"`
	Recovered bool   `json:"recovered"`
	Reason    string `json:"reason"`
}

// An Error is the reply to a command that failed.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Retry   bool   `json:"retry"`
}

// A Frame is what happened, or how things stand.
type Frame struct {
	At       string            `json:"position"`
	Events   []Event           `json:"events"`
	Values   [][]float64       `json:"values"`
	Series   [][]any           `json:"series"`
	Topics   []json.RawMessage `json:"topics"`
	Activity []json.RawMessage `json:"activity"`
	Devices  []json.RawMessage `json:"devices"`
	Status   []json.RawMessage `json:"status"`
	Chat     json.RawMessage   `json:"chat"`
}

// An Event is a message of a device.
type Event struct {
	Topic   string          `json:"topic"`
	Device  string          `json:"device"`
	Time    int64           `json:"time"`
	Payload json.RawMessage `json:"payload"`
	Text    *string         `json:"payload_text"`
	Bytes   []byte          `json:"payload_base64"`
	Count   uint32          `json:"count"`
}

// A Gap is what was left out.
type Gap struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Events uint64 `json:"events"`
	Reason string `json:"reason"`
}

// Viewers is who else watches; rows are [session, name, transport, since].
type Viewers struct {
	Count   int      `json:"count"`
	Present [][]any  `json:"present"`
	Joined  [][]any  `json:"joined"`
	Left    []string `json:"left"`
}

// FromJSON reads a message of the JSON form.
func FromJSON(raw []byte) (m Message, err error) {
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%w in %.200s", err, raw)
	}
	// The position of a frame is that of the message; json takes the outer field.
	return m, nil
}

// FromProtoBytes reads a message of the binary form.
func FromProtoBytes(raw []byte) (Message, error) {
	var p pulsov1.Message
	if err := proto.Unmarshal(raw, &p); err != nil {
		return Message{}, err
	}
	return FromProto(&p)
}

// FromProto is a message of the proto's as it would stand in the JSON form.
func FromProto(p *pulsov1.Message) (m Message, err error) {
	m = Message{ID: p.GetId(), Room: p.GetRoom()}
	switch x := p.GetMessage().(type) {
	case *pulsov1.Message_Welcome:
		m.Welcome = &Welcome{x.Welcome.GetSession(), x.Welcome.GetNode(), x.Welcome.GetVersion(), x.Welcome.GetNow()}
	case *pulsov1.Message_Subscribed:
		s := x.Subscribed
		m.Subscribed = &Subscribed{Room: s.GetRoom(), Position: s.GetPosition(), Recovered: s.GetRecovered(), Reason: s.GetReason()}
	case *pulsov1.Message_Changed:
		s := x.Changed
		m.Changed = &Subscribed{s.GetRoom(), s.GetFrom(), s.GetPosition(), s.GetRecovered(), s.GetReason()}
	case *pulsov1.Message_Gap:
		m.Gap = &Gap{x.Gap.GetFrom(), x.Gap.GetTo(), x.Gap.GetEvents(), x.Gap.GetReason()}
	case *pulsov1.Message_Error:
		m.Error = &Error{x.Error.GetCode(), x.Error.GetMessage(), x.Error.GetRetry()}
	case *pulsov1.Message_Viewers:
		v := x.Viewers
		m.Viewers = &Viewers{int(v.GetCount()), viewerRows(v.GetPresent()), viewerRows(v.GetJoined()), v.GetLeft()}
	case *pulsov1.Message_Snapshot:
		m.Snapshot = new(Frame)
		*m.Snapshot, err = frame(x.Snapshot)
	case *pulsov1.Message_Frame:
		m.Frame, err = frame(x.Frame)
		m.Position, m.At = m.At, ""
	default:
		err = m.small(p)
	}
	return m, err
}

// small reads the replies that say next to nothing.
func (m *Message) small(p *pulsov1.Message) error {
	about := map[string]any{}
	switch x := p.GetMessage().(type) {
	case *pulsov1.Message_Unsubscribed:
		about["unsubscribed"] = map[string]any{"room": x.Unsubscribed.GetRoom()}
	case *pulsov1.Message_Published:
		about["published"] = map[string]any{"position": x.Published.GetPosition()}
	case *pulsov1.Message_Pong:
		about["pong"] = map[string]any{"now": x.Pong.GetNow()}
	default:
		return fmt.Errorf("a message without contents, or of an unknown kind: %v", p)
	}
	raw, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, m)
}

func viewerRows(list []*pulsov1.Viewer) (rows [][]any) {
	for _, v := range list {
		rows = append(rows, []any{v.GetSession(), v.GetName(), v.GetTransport(), v.GetSince()})
	}
	return rows
}

func frame(p *pulsov1.Frame) (f Frame, err error) {
	f.At = p.GetPosition()
	for _, e := range p.GetEvents() {
		row := Event{Topic: e.GetTopic(), Device: e.GetDevice(), Time: e.GetTime(), Count: e.GetCount()}
		switch body := e.GetBody().(type) {
		case *pulsov1.Event_Payload:
			row.Payload = json.RawMessage(body.Payload)
		case *pulsov1.Event_PayloadText:
			row.Text = &body.PayloadText
		case *pulsov1.Event_PayloadBase64:
			row.Bytes = body.PayloadBase64
		}
		f.Events = append(f.Events, row)
	}
	for _, s := range p.GetSeries() {
		f.Series = append(f.Series, []any{float64(s.GetSeries()), s.GetDevice(), s.GetName(), s.GetUnit(), s.GetTopic()})
	}
	if err = f.views(p); err != nil {
		return f, err
	}
	f.Values, err = rows(p.GetValues())
	return f, err
}

// views takes what views show, as it is: the script asks only whether it is there.
func (f *Frame) views(p *pulsov1.Frame) (err error) {
	add := func(to *[]json.RawMessage, m proto.Message) {
		raw, failure := protojson.Marshal(m)
		err = errors.Join(err, failure)
		*to = append(*to, raw)
	}
	for _, t := range p.GetTopics() {
		add(&f.Topics, t)
	}
	for _, a := range p.GetActivity() {
		add(&f.Activity, a)
	}
	for _, d := range p.GetDevices() {
		add(&f.Devices, d)
	}
	for _, s := range p.GetStatus() {
		add(&f.Status, s)
	}
	if p.GetChat() != nil {
		var chat []json.RawMessage
		add(&chat, p.GetChat())
		f.Chat = chat[0]
	}
	return err
}

// rows reads the columns of values.
func rows(v *pulsov1.Values) (rows [][]float64, err error) {
	c := columns{v: v}
	if n := len(v.GetKinds()); len(v.GetSeries()) != n || len(v.GetTimes()) != n {
		return nil, fmt.Errorf("columns of %d kinds, %d series, %d times", n, len(v.GetSeries()), len(v.GetTimes()))
	}
	series, time := int64(0), v.GetTime()
	for i, kind := range v.GetKinds() {
		series += int64(v.GetSeries()[i])
		time += v.GetTimes()[i]
		row := []float64{float64(series), float64(time)}
		if kind&15 == 15 {
			row = append(row, c.double())
			if kind&16 != 0 {
				row = append(row, c.double(), c.double(), c.count())
			}
		} else {
			last, scale := c.decimal(), math.Pow10(int(kind&15))
			row = append(row, float64(last)/scale)
			if kind&16 != 0 {
				low, high := c.decimal(), c.decimal()
				row = append(row, float64(last-low)/scale, float64(last+high)/scale, c.count())
			}
		}
		rows = append(rows, row)
	}
	return rows, c.err
}

// columns takes the columns' elements one by one.
type columns struct {
	v                         *pulsov1.Values
	decimals, doubles, counts int
	err                       error
}

func (c *columns) decimal() int64 { return take(c, c.v.GetDecimals(), &c.decimals) }

func (c *columns) double() float64 { return take(c, c.v.GetDoubles(), &c.doubles) }

func (c *columns) count() float64 { return float64(take(c, c.v.GetCounts(), &c.counts)) }

func take[T any](c *columns, column []T, i *int) (zero T) {
	if *i >= len(column) {
		c.err = fmt.Errorf("a column ends after %d", *i)
		return zero
	}
	*i++
	return column[*i-1]
}
