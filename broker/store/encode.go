package store

import (
	"encoding/json"
	"strconv"

	"pulso/bridge/event"
)

// properties is the form in which [event.Properties] are kept.
type properties struct {
	ContentType     *string     `json:"content_type,omitempty"`
	ResponseTopic   string      `json:"response_topic,omitempty"`
	CorrelationData []byte      `json:"correlation_data,omitzero"` // base64
	User            [][2]string `json:"user,omitempty"`
	Expiry          *uint32     `json:"expiry_seconds,omitempty"`
	UTF8            bool        `json:"utf8,omitempty"`
	Bytes           bool        `json:"bytes,omitempty"`
}

// encodeProperties returns "" for none.
func encodeProperties(p *event.Properties) (string, error) {
	if p == nil {
		return "", nil
	}
	kept := properties{
		ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData, UTF8: p.UTF8, Bytes: p.Bytes,
	}
	if p.HasContentType {
		kept.ContentType = &p.ContentType
	}
	for _, u := range p.User {
		kept.User = append(kept.User, [2]string{u.Name, u.Value})
	}
	if p.HasExpiry {
		kept.Expiry = &p.Expiry
	}
	b, err := json.Marshal(kept)
	return string(b), err
}

func decodeProperties(b []byte) (*event.Properties, error) {
	if len(b) == 0 {
		return nil, nil //nolint:nilnil // An event without properties has nil.
	}
	var kept properties
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, err
	}
	p := &event.Properties{
		ResponseTopic: kept.ResponseTopic, CorrelationData: kept.CorrelationData, UTF8: kept.UTF8, Bytes: kept.Bytes,
	}
	if kept.ContentType != nil {
		p.ContentType, p.HasContentType = *kept.ContentType, true
	}
	for _, u := range kept.User {
		p.User = append(p.User, event.UserProperty{Name: u[0], Value: u[1]})
	}
	if kept.Expiry != nil {
		p.Expiry, p.HasExpiry = *kept.Expiry, true
	}
	return p, nil
}

const emptyList = "[]"

func encodeInflight(list []Inflight) (string, error) {
	if len(list) == 0 {
		return emptyList, nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func encodeIDs(ids []uint16) string {
	if len(ids) == 0 {
		return emptyList
	}
	b := make([]byte, 0, 6*len(ids)+1)
	for _, id := range ids {
		b = strconv.AppendUint(append(b, ','), uint64(id), 10)
	}
	b[0] = '['
	return string(append(b, ']'))
}

func encodePositions(list []event.Position) (string, error) {
	if len(list) == 0 {
		return emptyList, nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// decodeList reads a JSON list; an empty one is nil.
func decodeList[T any](list *[]T) func([]byte) error {
	return func(b []byte) error {
		if string(b) == emptyList {
			return nil
		}
		return json.Unmarshal(b, list)
	}
}
