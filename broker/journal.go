package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pulso/bridge/event"
	"pulso/broker/store"
)

const (
	journalPeriod = 500 * time.Millisecond // how long a change may wait that nobody waits for
	checkpointAge = 5 * time.Second        // how old the checkpoint may be when nothing else changes
)

// A journal gathers what must survive the process and commits it to the store in batches, at once where somebody waits.
//
// What it promises: each batch has the state of what changed as of some moment, and the checkpoint, a place in the log
// that was reached before that moment. So after a crash the stored state together with the events from the checkpoint on
// is what was: an event from before it that concerned a session is either in the session's state, or settled.
type journal struct {
	broker *Broker
	store  keeper // nil: nothing survives
	wake   chan struct{}
	quit   chan struct{}
	ended  chan struct{} // closed when run has ended; nil if it was never begun

	quitOnce sync.Once

	mu            sync.Mutex
	sessions      []*session
	groups        []*group
	endedSessions []string
	endedGroups   map[groupKey]struct{}
	topics        map[string]struct{} // whose retained message changed
	wills         map[string]struct{} // clients whose delayed will changed
	waiters       []chan error        // who waits for what was gathered to be stored
	err           error               // why nothing is stored at present
	failed        error               // why nothing will be any more

	// Of run's goroutine.
	checkpoint event.Position
	written    time.Time
}

// A keeper is what a journal needs of a [store.Store].
type keeper interface {
	Commit(ctx context.Context, b *store.Batch) error
}

func newJournal(b *Broker, s *store.Store) *journal {
	j := &journal{
		broker: b, wake: make(chan struct{}, 1), quit: make(chan struct{}),
		endedGroups: map[groupKey]struct{}{}, topics: map[string]struct{}{}, wills: map[string]struct{}{},
	}
	if s != nil {
		j.store = s
	}
	return j
}

// hurry has what was gathered committed as soon as the batch under way is done.
func (j *journal) hurry() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// gather adds to what is committed next.
func (j *journal) gather(add func()) {
	if j.store == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil { // else nobody would ever take it
		add()
	}
}

func (j *journal) session(s *session) { j.gather(func() { j.sessions = append(j.sessions, s) }) }
func (j *journal) group(g *group)     { j.gather(func() { j.groups = append(j.groups, g) }) }
func (j *journal) end(client string) {
	j.gather(func() { j.endedSessions = append(j.endedSessions, client) })
}

func (j *journal) endGroup(key groupKey) {
	j.gather(func() { j.endedGroups[key] = struct{}{} })
}
func (j *journal) retained(topic string) { j.gather(func() { j.topics[topic] = struct{}{} }) }
func (j *journal) will(client string)    { j.gather(func() { j.wills[client] = struct{}{} }) }

// sync waits until everything that was gathered so far survives.
func (j *journal) sync(done <-chan struct{}) error {
	if j.store == nil {
		return nil
	}
	told := make(chan error, 1)
	j.mu.Lock()
	if j.failed != nil {
		defer j.mu.Unlock()
		return j.failed
	}
	j.waiters = append(j.waiters, told)
	j.mu.Unlock()
	j.hurry()
	select {
	case err := <-told:
		return err
	case <-done:
		return ErrStopped
	}
}

// stop has what is left committed, and waits for that.
func (j *journal) stop() {
	if j.ended == nil {
		return
	}
	j.quitOnce.Do(func() { close(j.quit) })
	<-j.ended
}

// Err says why nothing is stored at present, nil if it is.
func (j *journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *journal) setErr(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

// run commits until quit, and then what is left.
func (j *journal) run() {
	defer close(j.ended)
	tick := time.NewTicker(journalPeriod)
	defer tick.Stop()
	for {
		select {
		case <-j.wake:
		case <-tick.C:
		case <-j.quit:
			j.flush()
			return
		}
		if !j.flush() {
			return
		}
	}
}

// A snapshot is a batch with those who wait for it.
type snapshot struct {
	batch     store.Batch
	sessions  []*session
	revisions []uint64
	waiters   []chan error
}

// flush commits what was gathered. It returns false when the store will never take anything more.
func (j *journal) flush() bool {
	if j.store == nil {
		return true
	}
	s := j.snapshot()
	if s == nil {
		return true
	}
	err := j.commit(&s.batch)
	for _, told := range s.waiters {
		told <- err
	}
	for i, session := range s.sessions {
		session.confirm(s.revisions[i], err)
	}
	if err == nil {
		j.checkpoint, j.written = s.batch.Checkpoint, time.Now()
		return true
	}
	if !errors.Is(err, store.ErrFull) {
		j.broker.log.Error("sessions, retained messages and wills are no longer stored: the hub must be restarted", "error", err)
	}
	j.abandon(err)
	return false
}

// abandon tells all who wait that nothing more will be stored.
func (j *journal) abandon(err error) {
	j.mu.Lock()
	j.failed = err
	waiters := j.waiters
	j.waiters = nil
	j.mu.Unlock()
	for _, told := range waiters {
		told <- err
	}
	j.broker.mu.Lock()
	sessions := slices.Collect(maps.Values(j.broker.sessions))
	j.broker.mu.Unlock()
	for _, s := range sessions {
		s.confirm(0, err)
	}
}

// failure says why nothing will ever be stored any more; nil: it will.
func (j *journal) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// commit stores a batch. While there is no room it tries again.
func (j *journal) commit(batch *store.Batch) error {
	began := time.Now()
	for {
		start := time.Now()
		err := j.store.Commit(context.Background(), batch)
		j.broker.metrics.storeSeconds.Observe(time.Since(start).Seconds())
		if err == nil {
			if j.Err() != nil {
				j.broker.log.Info("sessions are stored again", "after", time.Since(began).Round(time.Millisecond))
			}
			j.setErr(nil)
			return nil
		}
		first := j.Err() == nil
		j.setErr(fmt.Errorf("store of sessions: %w", err))
		if !errors.Is(err, store.ErrFull) {
			return err
		}
		if first {
			j.broker.log.Error("no room to store sessions: nothing of QoS 2 is acknowledged until there is", "error", err)
		}
		select {
		case <-time.After(journalPeriod):
		case <-j.quit:
			return err
		}
	}
}

// snapshot takes what was gathered; nil: there is nothing worth a commit.
func (j *journal) snapshot() *snapshot {
	reached := j.broker.position() // before the state is looked at: see journal
	j.mu.Lock()
	sessions, groups := j.sessions, j.groups
	topics, wills := j.topics, j.wills
	s := &snapshot{batch: store.Batch{Ended: j.endedSessions, Checkpoint: reached}, waiters: j.waiters}
	for key := range j.endedGroups {
		s.batch.GroupsEnded = append(s.batch.GroupsEnded, store.GroupKey{Name: key.name, Filter: key.filter})
	}
	j.sessions, j.groups, j.endedSessions, j.waiters = nil, nil, nil, nil
	clear(j.endedGroups)
	j.topics, j.wills = map[string]struct{}{}, map[string]struct{}{} // the old ones are read without the lock
	j.mu.Unlock()
	nothing := len(sessions)+len(groups)+len(s.batch.Ended)+len(s.batch.GroupsEnded)+len(topics)+len(wills)+len(s.waiters) == 0
	if nothing && (reached == j.checkpoint || time.Since(j.written) < checkpointAge) {
		return nil
	}
	for _, g := range groups { // before the sessions: what a member gets meanwhile stands in both, and is skipped once
		g.save(&s.batch)
	}
	for _, session := range sessions {
		if revision, ok := session.save(&s.batch); ok {
			s.sessions, s.revisions = append(s.sessions, session), append(s.revisions, revision)
		}
	}
	for topic := range topics {
		r := store.Retained{Event: event.Event{Topic: topic}}
		if m, ok := j.broker.retained.get(topic); ok {
			r.Event = m.event
		}
		s.batch.Retained = append(s.batch.Retained, r)
	}
	for client := range wills {
		if w, ok := j.broker.wills.stored(client); ok {
			s.batch.Wills = append(s.batch.Wills, w)
		} else {
			s.batch.WillsSettled = append(s.batch.WillsSettled, client)
		}
	}
	return s
}

// save adds the session's state to a batch and returns its revision.
func (s *session) save(batch *store.Batch) (revision uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = false
	if !s.kept() {
		return 0, false
	}
	s.known = true
	row := store.Session{
		Client: s.id, Identity: s.identity, Version: s.version, Expiry: s.expiry,
		Next: s.next, Behind: s.behind, ReceivedUpTo: s.receivedUpTo, Passed: s.passed,
	}
	if !s.since.IsZero() {
		row.Expires = s.since.UnixNano()
	}
	for i := range s.queue { // what waits in memory is served from the log after a crash
		if d := &s.queue[i]; d.qos > 0 && d.replay == nil {
			row.Next, row.Behind = d.message.event.Position, true
			break
		}
	}
	for id, state := range s.received {
		if state == receivingStored {
			row.Seen = append(row.Seen, id)
		}
	}
	for i := range s.inflight {
		o := &s.inflight[i]
		if o.group != nil && o.qos == 1 { // that is the group's, see group.save
			continue
		}
		saved := store.Inflight{
			ID: o.id, QoS: o.qos, Received: o.received, Retain: o.retain, Offset: o.offset, Topic: o.topic, Identifiers: o.ids,
		}
		if o.group != nil {
			saved.Group = store.GroupKey{Name: o.group.key.name, Filter: o.group.key.filter}
		}
		row.Inflight = append(row.Inflight, saved)
	}
	batch.Sessions = append(batch.Sessions, row)
	for filter := range s.changed {
		sub, has := s.filters[filter]
		if !has {
			batch.Unsubscribed = append(batch.Unsubscribed, store.SubscriptionKey{Client: s.id, Filter: filter})
			continue
		}
		batch.Subscribed = append(batch.Subscribed, store.Subscription{
			Client: s.id, Filter: filter, QoS: sub.qos, RetainHandling: sub.retainHandling, NoLocal: sub.noLocal,
			RetainAsPublished: sub.retainAsPublished, Identifier: sub.identifier, Since: sub.since,
		})
	}
	s.changed = nil
	return s.revision, true
}

// save adds the group's state to a batch, if a member's session survives the process.
func (g *group) save(batch *store.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dirty = false
	if g.ended {
		return
	}
	row := store.Group{Name: g.key.name, Filter: g.key.filter, Next: g.next}
	if len(g.queue) > 0 {
		row.Next = g.queue[0].message.event.Position
	}
	for i := range g.again {
		row.Again = append(row.Again, g.again[i].message.event.Position)
	}
	for offset := range g.out {
		row.Again = append(row.Again, event.Position{Epoch: g.next.Epoch, Offset: offset})
	}
	batch.Groups = append(batch.Groups, row)
}
