package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"pulso/bridge/event"
)

// The state is a JSON value a line: a head, then the clients' connections, then the devices by number.
type (
	savedHead struct {
		Version int              `json:"version"`
		Refused Refused          `json:"refused"`
		Clients map[string]int64 `json:"clients"`
	}
	savedDevice struct {
		ID          string       `json:"id"`
		Kind        string       `json:"kind,omitempty"`
		Name        string       `json:"name,omitempty"`
		Client      string       `json:"client"`
		Status      Status       `json:"status"`
		Left        bool         `json:"left,omitempty"`
		First       int64        `json:"first"`
		Last        int64        `json:"last"`
		Alive       int64        `json:"alive,omitempty"`
		Events      uint64       `json:"events"`
		Undecodable uint64       `json:"undecodable,omitempty"`
		Topics      []string     `json:"topics"`
		Values      []savedValue `json:"values,omitempty"`
		Texts       [][2]string  `json:"texts,omitempty"` // name, value
		// Registries are the topics of the registries that said the texts; empty: the device did.
		Registries []string `json:"registries,omitempty"`
		Burst      int64    `json:"burst,omitempty"`
		Gaps       []int64  `json:"gaps,omitempty"`
		GapCount   int      `json:"gap_count,omitempty"`
	}
	savedValue struct {
		Name  string  `json:"name"`
		Unit  string  `json:"unit,omitempty"`
		Topic string  `json:"topic"`
		Time  int64   `json:"time"`
		Value float64 `json:"value"`
	}
)

const savedVersion = 1

// errState is wrapped by what Restore says of a state that Save did not write.
var errState = errors.New("unusable state of the devices view")

// Save implements view.View. Rates are not saved: they are of the last seconds.
func (v *View) Save(w io.Writer) error {
	head, devices := v.copy()
	encoder := json.NewEncoder(w)
	if err := encoder.Encode(head); err != nil {
		return err
	}
	for i := range devices {
		if err := encoder.Encode(&devices[i]); err != nil {
			return err
		}
	}
	return nil
}

// copy takes the state under the mutex, so that it is not held while it is written.
func (v *View) copy() (savedHead, []savedDevice) {
	v.mu.Lock()
	defer v.mu.Unlock()
	head := savedHead{Version: savedVersion, Refused: v.refused, Clients: make(map[string]int64)}
	for name, c := range v.clients {
		if c.since != 0 {
			head.Clients[name] = c.since
		}
	}
	devices := make([]savedDevice, len(v.all))
	for i, d := range v.all {
		s := &devices[i]
		*s = savedDevice{
			ID: d.id, Kind: d.kind, Name: d.name, Client: d.client, Status: d.status, Left: d.left, First: d.first,
			Last: d.last, Alive: d.alive, Events: d.events, Undecodable: d.undecodable, Topics: slices.Clip(d.topics), Burst: d.burst, GapCount: d.gapCount,
			Gaps: append([]int64(nil), d.gaps[:min(d.gapCount, gapsKept)]...),
		}
		for _, t := range d.texts {
			s.Texts, s.Registries = append(s.Texts, [2]string{t.Name, t.Value}), append(s.Registries, t.registry)
		}
		s.Values = make([]savedValue, len(d.values))
		for k, value := range d.values {
			s.Values[k] = savedValue{value.Series.Name, value.Series.Unit, value.Series.Topic, value.Time, value.Value}
		}
	}
	return head, devices
}

// Restore implements view.View. Devices are numbered anew, in the order in which they were; series are this node's.
func (v *View) Restore(r io.Reader) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
	decoder := json.NewDecoder(r)
	var head savedHead
	if err := decoder.Decode(&head); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if head.Version != savedVersion {
		return fmt.Errorf("%w: version %d", errState, head.Version)
	}
	v.refused = head.Refused
	for name, since := range head.Clients {
		v.clients[name] = &client{since: since}
	}
	for {
		var s savedDevice
		if err := decoder.Decode(&s); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			v.clear()
			return fmt.Errorf("%w: %w", errState, err)
		}
		if s.Status >= statuses || len(s.Gaps) > gapsKept || s.GapCount < len(s.Gaps) || v.byID[s.ID] != nil {
			v.clear()
			return fmt.Errorf("%w: device %.40q", errState, s.ID)
		}
		v.restoreDevice(&s)
	}
}

func (v *View) restoreDevice(s *savedDevice) {
	d := &device{
		id: s.ID, kind: s.Kind, name: s.Name, status: s.Status, left: s.Left,
		first: s.First, last: s.Last, alive: s.Alive, events: s.Events, undecodable: s.Undecodable, topics: s.Topics,
		burst: s.Burst, gapCount: s.GapCount, changed: v.version, announced: v.version,
	}
	for i, t := range s.Texts {
		restored := text{event.Text{Name: t[0], Value: t[1]}, unknownRegistry}
		if len(s.Registries) == len(s.Texts) {
			restored.registry = s.Registries[i]
		}
		d.texts = append(d.texts, restored)
	}
	d.came = make([]uint64, len(d.topics))
	for i := range d.came {
		d.came[i] = v.version
	}
	copy(d.gaps[:], s.Gaps)
	d.interval = d.median()
	for _, value := range s.Values {
		series := v.config.Intern(s.ID, value.Name, value.Unit, value.Topic)
		if series == nil {
			v.refused.Metrics++
			continue
		}
		d.addValue(Value{Series: series, Time: value.Time, Value: value.Value})
	}
	v.add(d)
	if d.client = s.Client; d.client != "" {
		c := v.clients[d.client]
		if c == nil {
			c = &client{}
			v.clients[d.client] = c
		}
		c.add(d)
	}
}
