package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/internal/watched"
)

// Config of a [Book].
type Config struct {
	// Path is the file of contracts; empty: they end with the process.
	Path string
	// Every is how often the file is looked at; 0 is 250 ms.
	Every time.Duration
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

// A Book is the contracts that count. Whoever changes their file, this program or another, changes what counts within Every.
// Its methods are safe for concurrent use.
type Book struct {
	cfg     Config
	file    *watched.File
	metrics *metrics

	state   atomic.Pointer[state]
	changes sync.Mutex
}

// state is the contracts at one time.
type state struct {
	content *Content
	entries []*entry

	mu    sync.RWMutex
	found map[string][]*entry // by topic
}

// An entry is a contract that is ready to be asked.
type entry struct {
	name    string
	mode    Mode
	version *Version
	schema  *Schema
	seen    *observed
}

// maxFound bounds the topics whose contracts are remembered. Beyond it all are forgotten, and found anew.
const maxFound = 10_000

// Open reads the contracts. A file that is there and cannot be read is an error: what was promised would go unchecked.
func Open(cfg Config) (*Book, error) {
	if cfg.Every == 0 {
		cfg.Every = 250 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Book{cfg: cfg, metrics: newMetrics(cfg.Metrics), file: watched.New(cfg.Path, maxFile)}
	b.state.Store(&state{content: new(Content)})
	if err := b.refresh(); err != nil {
		return nil, err
	}
	return b, nil
}

// Run looks at the file until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	tick := time.NewTicker(b.cfg.Every)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := b.refresh()
		if err == nil {
			failed = ""
		} else if err.Error() != failed {
			failed = err.Error()
			b.metrics.failures.Inc()
			b.cfg.Logger.Error("the contracts cannot be read: those that are known go on counting", "error", err)
		}
	}
}

// refresh reads the file if it is another one than before.
func (b *Book) refresh() error {
	b.changes.Lock()
	defer b.changes.Unlock()
	text, changed, err := b.file.Read()
	if err != nil || !changed {
		return err
	}
	content, schemas, err := parse(text)
	if err != nil {
		b.file.Forget()
		return err
	}
	b.take(content, schemas)
	return nil
}

// take makes a content the one that counts. What has been observed of a version that stays is kept.
func (b *Book) take(content *Content, schemas []*Schema) {
	before := b.state.Load()
	s := &state{content: content}
	for i := range content.Contracts {
		k := &content.Contracts[i]
		e := &entry{name: k.Name, mode: k.Mode, version: k.Last(), schema: schemas[i]}
		for _, old := range before.entries {
			if old.name == e.name && old.version.Number == e.version.Number && old.version.Created.Equal(e.version.Created) {
				e.seen = old.seen
			}
		}
		if e.seen == nil {
			e.seen = newObserved(time.Now())
		}
		s.entries = append(s.entries, e)
	}
	b.state.Store(s)
	b.metrics.contracts.Set(float64(len(s.entries)))
}

// Edit changes the contracts in their file, and here at once. Its error wraps [ErrContract] or [ErrNone] where the change is wrong.
func (b *Book) Edit(change func(*Content) error) error {
	if b.cfg.Path != "" {
		if err := Edit(b.cfg.Path, change); err != nil {
			return err
		}
		return b.refresh()
	}
	b.changes.Lock()
	defer b.changes.Unlock()
	content := b.Content()
	if err := change(&content); err != nil {
		return err
	}
	schemas, err := content.check()
	if err == nil {
		b.take(&content, schemas)
	}
	return err
}

// Content is a copy of the contracts, for those who show or change them.
func (b *Book) Content() Content {
	all := slices.Clone(b.state.Load().content.Contracts)
	for i := range all {
		all[i].Versions = slices.Clone(all[i].Versions)
	}
	return Content{all}
}

// of finds the contracts of a topic.
func (s *state) of(topic string) []*entry {
	s.mu.RLock()
	found, known := s.found[topic]
	s.mu.RUnlock()
	if known {
		return found
	}
	for _, e := range s.entries {
		if event.Match(e.version.Filter, topic) {
			found = append(found, e)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil || len(s.found) >= maxFound {
		s.found = make(map[string][]*entry)
	}
	s.found[strings.Clone(topic)] = found
	return found
}

// RefusedError is the error of [Book.Admit] for a message that is refused.
type RefusedError struct {
	Contract string
	Version  int
	Reason   string
}

// Error implements error.
func (r *RefusedError) Error() string {
	return fmt.Sprintf("the message breaks version %d of the contract %s: %s", r.Version, r.Contract, r.Reason)
}

// Properties of a message that has been set aside.
const (
	// PropertyContract is the name of the contract that it breaks, and its version.
	PropertyContract = "pulso-contract"
	// PropertyReason is what is wrong with it.
	PropertyReason = "pulso-reason"
)

// Admit judges a message on its way to the log by all contracts of its topic; of those that it breaks, the strictest decides. The
// error, a [*RefusedError], says that it must be refused, which is asked only of who can tell the sender so. One that is to be set aside is
// changed: it goes to a topic below [event.Dead], is not retained, and has the reason in its properties. An empty retained message,
// which clears a topic, breaks no contract.
func (b *Book) Admit(e *event.Event, canRefuse bool) error {
	s := b.state.Load()
	if len(s.entries) == 0 || !e.Kind.IsMessage() || e.Topic == "" || e.Topic[0] == '$' || e.Retain && len(e.Payload) == 0 {
		return nil
	}
	var strictest *entry
	var why *Fault
	for _, k := range s.of(e.Topic) {
		fault := k.schema.Check(e.Payload)
		k.seen.note(e, fault)
		if fault == nil {
			b.metrics.kept.Inc()
			continue
		}
		if strictest == nil || k.mode.severity() > strictest.mode.severity() {
			strictest, why = k, fault
		}
	}
	switch {
	case strictest == nil:
		return nil
	case strictest.mode == Observe:
		b.metrics.observed.Inc()
	case strictest.mode == Reject && canRefuse:
		b.metrics.rejected.Inc()
		return &RefusedError{strictest.name, strictest.version.Number, why.Reason}
	default:
		b.metrics.quarantined.Inc()
		setAside(e, strictest, why)
	}
	return nil
}

// setAside makes a message one that nobody takes for what the device said.
func setAside(e *event.Event, k *entry, why *Fault) {
	topic := e.Topic
	if most := event.MaxTopicBytes - len(event.Dead); len(topic) > most { // the end of it says least
		topic = strings.ToValidUTF8(topic[:most], "")
	}
	if strings.Count(topic, "/")+2 > event.MaxLevels {
		topic = topic[:strings.LastIndexByte(topic, '/')]
	}
	p := event.Properties{}
	if e.Properties != nil {
		p = *e.Properties
	}
	p.User = append(slices.Clone(p.User),
		event.UserProperty{Name: PropertyContract, Value: fmt.Sprintf("%s %d", k.name, k.version.Number)},
		event.UserProperty{Name: PropertyReason, Value: why.Reason})
	e.Topic, e.Ref, e.Retain, e.Properties = event.Dead+topic, nil, false, &p
}

// parse reads a file of contracts.
func parse(text []byte) (*Content, []*Schema, error) {
	c := new(Content)
	if err := watched.Strictly(text, c); err != nil {
		return nil, nil, fmt.Errorf("%w: the file is not what it should be: %w", ErrContract, err)
	}
	for i := range c.Contracts { // the file has them on several lines
		for j := range c.Contracts[i].Versions {
			var compact bytes.Buffer
			if v := &c.Contracts[i].Versions[j]; json.Compact(&compact, v.Schema) == nil {
				v.Schema = compact.Bytes()
			}
		}
	}
	schemas, err := c.check()
	return c, schemas, err
}

// Read is what a file of contracts says. One that is not there says nothing.
func Read(path string) (*Content, error) {
	text, _, err := watched.New(path, maxFile).Read()
	if err != nil {
		return nil, err
	}
	c, _, err := parse(text)
	return c, err
}

// Edit changes a file of contracts: nobody sees it half written, and of two who change it at one time the second goes on from
// what the first wrote.
func Edit(path string, change func(*Content) error) error {
	return watched.Edit(path, maxFile, func(text []byte) (any, error) {
		c, _, err := parse(text)
		if err == nil {
			err = change(c)
		}
		if err == nil {
			_, err = c.check()
		}
		return c, err
	})
}

// A Watched contract is one with what has been seen of it.
type Watched struct {
	Contract

	Seen Report `json:"seen"`
}

// All are the contracts with what has been seen of the version that counts. sees narrows the samples to topics; nil: to none.
func (b *Book) All(sees func(topic string) bool) []Watched {
	s := b.state.Load()
	all := make([]Watched, len(s.entries))
	for i, e := range s.entries {
		all[i] = Watched{s.content.Contracts[i], e.seen.report(sees)}
	}
	return all
}

// IsWrong reports whether an error of [Book.Edit] is about what was asked for, and not about the file.
func IsWrong(err error) bool {
	return errors.Is(err, ErrContract) || errors.Is(err, ErrNone) || errors.Is(err, event.ErrFilter)
}
