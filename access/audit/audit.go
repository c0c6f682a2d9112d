// Package audit is the record of who did what: logins, changes of accounts, and whatever changes how the hub works. The log has
// it, as events of a kind of their own ([event.KindAudit]) that nobody can change; a [View] knows the newest, and a [Handler]
// tells them.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"pulso/bridge/event"
)

// A Record is one thing that somebody did. It has no secret.
type Record struct {
	// Time is when, in milliseconds since the Unix epoch.
	Time int64 `json:"time"`
	// Who is the account; empty where nobody has proved to be one, or a program has changed the accounts' file.
	Who string `json:"who"`
	// What was done, in a few words or as a request's method and route.
	What string `json:"what"`
	// About is what it was done to: an account, a role, a path.
	About string `json:"about,omitempty"`
	// From is the address that it came from; empty: this machine's files.
	From string `json:"from,omitempty"`
	// Outcome is done or refused.
	Outcome Outcome `json:"outcome"`
}

// An Outcome is what became of it.
type Outcome string

// The outcomes there are.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused"
)

// maxText bounds each text of a record, in bytes: names come from whoever connects.
const maxText = 200

// Event is a record as the log takes it.
func (r Record) Event() event.Event {
	for _, text := range []*string{&r.Who, &r.What, &r.About, &r.From} {
		*text = (*text)[:min(len(*text), maxText)]
	}
	payload, err := json.Marshal(r)
	if err != nil { // texts and a number always can be
		payload = nil
	}
	return event.Event{Kind: event.KindAudit, Time: r.Time * 1e6, Client: r.Who, Payload: payload, Source: event.SourceHub, QoS: 1}
}

// MaxKept is how many records a View knows. The log holds those before, as long as it holds anything.
const MaxKept = 20_000

// A View knows the newest records from the log. Its runner calls Apply, Save and Restore; Newest may be called from any
// goroutine.
type View struct {
	mu   sync.Mutex
	list []Record // oldest first
	gone uint64   // how many came before the first
	// reads are who has asked for what; they are not in list.
	reads readers
}

// NewView returns an empty View.
func NewView() *View { return &View{reads: readers{}} }

// Name implements view.View.
func (*View) Name() string { return "audit" }

// Apply implements view.View.
func (v *View) Apply(batch []event.Decoded) {
	for i := range batch {
		e := &batch[i]
		if e.Kind != event.KindAudit {
			continue
		}
		var r Record
		if json.Unmarshal(e.Payload, &r) != nil {
			continue // of a version that is not known
		}
		v.mu.Lock()
		if r.What == whatRead {
			v.reads.note(&r)
		} else {
			v.list = append(v.list, r)
			v.trim()
		}
		v.mu.Unlock()
	}
}

// trim drops the oldest where there are too many, a tenth at a time.
func (v *View) trim() {
	if extra := len(v.list) - MaxKept; extra > MaxKept/10 {
		v.list = slices.Delete(v.list, 0, extra)
		v.gone += uint64(extra)
	}
}

// Newest returns the newest records first, at most limit; before is the number of one, 0 for none: only those before it. who, where it
// is not empty, is the account. number is that of the last record returned, to go on with.
func (v *View) Newest(who string, before uint64, limit int) (list []Record, number uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	end := uint64(len(v.list))
	if before > 0 {
		end = min(end, max(before, v.gone+1)-v.gone-1)
	}
	for i := end; i > 0 && len(list) < limit; i-- {
		if r := v.list[i-1]; who == "" || r.Who == who {
			list = append(list, r)
			number = v.gone + i
		}
	}
	return list, number
}

const savedVersion = 1

type saved struct {
	Version int      `json:"version"`
	Gone    uint64   `json:"gone"`
	Records []Record `json:"records"`
	Readers []Reader `json:"readers"`
}

// errState is wrapped by what Restore says of a state that Save did not write.
var errState = errors.New("unusable state of the audit")

// Save implements view.View.
func (v *View) Save(w io.Writer) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return json.NewEncoder(w).Encode(saved{savedVersion, v.gone, v.list, v.reads.list()})
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
	v.list, v.gone, v.reads = nil, 0, readers{}
	if err == nil && s.Version != savedVersion {
		err = fmt.Errorf("version %d", s.Version)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	v.list, v.gone = s.Records, s.Gone
	for _, r := range s.Readers {
		v.reads[[2]string{r.Who, r.Filter}] = r.Last
	}
	v.trim()
	return nil
}
