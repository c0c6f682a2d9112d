package topics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The state is a JSON value a line: a head, then the topics by number.
type (
	savedHead struct {
		Version int    `json:"version"`
		Refused uint64 `json:"refused"`
	}
	savedTopic struct {
		Name    string `json:"name"`
		Device  string `json:"device,omitempty"`
		First   int64  `json:"first"`
		Last    int64  `json:"last"`
		Events  uint64 `json:"events"`
		Bytes   int    `json:"bytes"`
		Preview string `json:"preview"`
	}
)

const savedVersion = 1

// errState is wrapped by what Restore says of a state that Save did not write.
var errState = errors.New("unusable state of the topics view")

// Save implements view.View. Rates are not saved: they are of the last seconds.
func (v *View) Save(w io.Writer) error {
	head, topics := v.copy()
	encoder := json.NewEncoder(w)
	if err := encoder.Encode(head); err != nil {
		return err
	}
	for i := range topics {
		if err := encoder.Encode(&topics[i]); err != nil {
			return err
		}
	}
	return nil
}

// copy takes the state under the mutex, so that it is not held while it is written.
func (v *View) copy() (savedHead, []savedTopic) {
	v.mu.Lock()
	defer v.mu.Unlock()
	topics := make([]savedTopic, len(v.all))
	for i, t := range v.all {
		topics[i] = savedTopic{t.name, t.device, t.first, t.last, t.events, t.bytes, string(appendPreview(nil, t.begin))}
	}
	return savedHead{Version: savedVersion, Refused: v.refused}, topics
}

// Restore implements view.View.
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
	for {
		var s savedTopic
		err := decoder.Decode(&s)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && v.byName[s.Name] != nil {
			err = fmt.Errorf("topic %.80q twice", s.Name)
		}
		if err != nil {
			v.clear()
			return fmt.Errorf("%w: %w", errState, err)
		}
		v.add(&topic{
			number: uint32(len(v.all)) + 1, name: s.Name, device: s.Device, first: s.First, last: s.Last, events: s.Events,
			bytes: s.Bytes, begin: []byte(s.Preview), changed: v.version, announced: v.version,
		})
	}
}
