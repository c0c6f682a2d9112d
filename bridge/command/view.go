package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"pulso/bridge/event"
)

// A View knows the newest commands from the log. Its runner calls Apply, Save and Restore; the others may be called from any
// goroutine.
type View struct {
	mu   sync.Mutex
	list []*Command // oldest first
	byID map[string]*Command
}

// NewView returns an empty View.
func NewView() *View { return &View{byID: map[string]*Command{}} }

// Name implements view.View.
func (*View) Name() string { return "commands" }

// Apply implements view.View.
func (v *View) Apply(batch []event.Decoded) {
	for i := range batch {
		if e := &batch[i]; e.Kind == event.KindCommand {
			v.take(e)
		}
	}
}

func (v *View) take(e *event.Decoded) {
	var r Record
	if json.Unmarshal(e.Payload, &r) != nil || r.ID == "" {
		return // of a version that is not known
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.byID[r.ID]; c != nil {
		c.apply(&r)
		return
	}
	if r.State == Sent {
		v.add(&Command{Record: r, From: e.Client, SentAt: r.At})
	}
}

func (v *View) add(c *Command) {
	if len(v.list) >= MaxKept {
		delete(v.byID, v.list[0].ID)
		v.list = slices.Delete(v.list, 0, 1)
	}
	v.list = append(v.list, c)
	v.byID[c.ID] = c
}

// Commands returns the newest commands first: of one device, or all where it is empty; those older than the one named before,
// where that is not empty; those sent until a time in milliseconds since the Unix epoch, where that is not 0; at most limit. Who
// reads with a scope (nil: everything) gets those whose topic it sees. found is false where there is no such command as before.
func (v *View) Commands(scope event.Scope, device, before string, to int64, limit int) (list []Command, found bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	from := len(v.list)
	if before != "" {
		if from = slices.IndexFunc(v.list, func(c *Command) bool { return c.ID == before && event.Sees(scope, c.Topic) }); from < 0 {
			return nil, false
		}
	}
	for i := from - 1; i >= 0 && len(list) < limit; i-- {
		if c := v.list[i]; (device == "" || c.Device == device) && (to == 0 || c.SentAt <= to) && event.Sees(scope, c.Topic) {
			list = append(list, c.seenBy(scope))
		}
	}
	return list, true
}

// seenBy is what who reads with a scope is told of a command whose topic it sees: not what was said on others.
func (c *Command) seenBy(scope event.Scope) Command {
	told := *c
	if scope == nil {
		return told
	}
	told.Expected = nil
	for _, topic := range c.Expected {
		if event.Sees(scope, topic) {
			told.Expected = append(told.Expected, topic)
		}
	}
	if c.Answered != event.ResponseTopic && !event.Sees(scope, c.Answered) {
		told.Response, told.Answered = nil, ""
	}
	return told
}

// pending returns the ids of commands that have not ended.
func (v *View) pending() (ids []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.list {
		if !c.State.final() {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

const savedVersion = 1

type saved struct {
	Version  int        `json:"version"`
	Commands []*Command `json:"commands"`
}

// errState is wrapped by what Restore says of a state that Save did not write.
var errState = errors.New("unusable state of the commands")

// Save implements view.View.
func (v *View) Save(w io.Writer) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return json.NewEncoder(w).Encode(saved{savedVersion, v.list})
}

// Restore implements view.View.
func (v *View) Restore(r io.Reader) error {
	var s saved
	err := json.NewDecoder(r).Decode(&s)
	if errors.Is(err, io.EOF) {
		err, s.Version = nil, savedVersion
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list, v.byID = nil, map[string]*Command{}
	if err == nil && s.Version != savedVersion {
		err = fmt.Errorf("version %d", s.Version)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	for _, c := range s.Commands {
		if c != nil && c.ID != "" {
			v.add(c)
		}
	}
	return nil
}
