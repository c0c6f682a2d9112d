package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/broker/packet"
	"pulso/broker/store"
)

// recover brings back what the store holds, and what the log has said since.
func (b *Broker) recover(ctx context.Context) error {
	_, end := b.cfg.Log.Bounds()
	b.base = end
	b.tail.Store(end.Offset)
	b.reached.Store(&end)
	if b.cfg.Store == nil {
		return nil
	}
	r := recovery{broker: b, now: time.Now(), again: map[groupKey][]event.Position{}, owners: map[string]string{}}
	checkpoint, err := b.cfg.Store.Load(ctx, store.Loader{
		Session: r.session, Subscription: r.subscription, Group: r.group, Retained: r.retained, Will: r.will,
	})
	if err != nil {
		return fmt.Errorf("load sessions: %w", err)
	}
	if checkpoint.IsZero() { // the store is new, which the log need not be
		checkpoint, _ = b.cfg.Log.Bounds()
	}
	if err := r.settle(checkpoint); err != nil {
		return err
	}
	return r.replay(checkpoint)
}

// A recovery is the state of loading.
type recovery struct {
	broker *Broker
	now    time.Time
	subs   []store.Subscription
	groups []store.Group
	wills  []store.Will
	again  map[groupKey][]event.Position
	owners map[string]string // accounts of the sessions, by client id
}

func (r *recovery) session(row *store.Session) error {
	b := r.broker
	r.owners[row.Client] = row.Identity
	expires := time.Time{}
	switch {
	case row.Expires > 0:
		expires = time.Unix(0, row.Expires)
	case row.Expiry != store.NeverExpires: // it was connected when the process ended
		expires = r.now.Add(time.Duration(row.Expiry) * time.Second)
	}
	if !expires.IsZero() && expires.Before(r.now) {
		b.journal.end(row.Client)
		return nil
	}
	s := newSession(b, row.Client, row.Identity)
	s.expires, s.since, s.expiry, s.version, s.known = expires, expires, row.Expiry, row.Version, true
	s.next, s.passed, s.receivedUpTo = row.Next, row.Passed, min(row.ReceivedUpTo, b.base.Offset)
	s.setBehind(row.Behind)
	if len(row.Seen) > 0 {
		s.received = map[uint16]receiving{}
	}
	for _, id := range row.Seen {
		s.received[id] = receivingStored
	}
	for i := range row.Inflight {
		in := &row.Inflight[i]
		o := outgoing{id: in.ID, received: in.Received, offset: in.Offset, topic: in.Topic, tried: true}
		o.qos, o.retain, o.ids = in.QoS, in.Retain, in.Identifiers
		if in.Group != (store.GroupKey{}) {
			o.group = &group{key: groupKey{in.Group.Name, in.Group.Filter}} // the real one is found when all are loaded
		}
		s.inflight = append(s.inflight, o)
		s.lastID = max(s.lastID, in.ID)
	}
	b.sessions[row.Client] = s
	b.offline[row.Client] = s
	return nil
}

func (r *recovery) subscription(row *store.Subscription) error {
	r.subs = append(r.subs, *row)
	return nil
}

func (r *recovery) group(row *store.Group) error {
	r.groups = append(r.groups, *row)
	return nil
}

func (r *recovery) retained(row *store.Retained) error {
	r.broker.retained.keep(&row.Event, true)
	return nil
}

func (r *recovery) will(row *store.Will) error {
	r.wills = append(r.wills, *row)
	return nil
}

// settle puts what was loaded together.
func (r *recovery) settle(checkpoint event.Position) error {
	b := r.broker
	for _, s := range b.sessions {
		if !s.behind && s.next.Offset < checkpoint.Offset { // nothing before the checkpoint was its business
			s.next = checkpoint
		}
		s.next = r.clamp(s.next)
	}
	for i := range r.subs {
		row := &r.subs[i]
		s := b.sessions[row.Client]
		if s == nil {
			continue
		}
		sub := subscription{
			since: min(row.Since, b.base.Offset), identifier: row.Identifier, qos: row.QoS, retainHandling: row.RetainHandling,
			noLocal: row.NoLocal, retainAsPublished: row.RetainAsPublished,
		}
		if name, rest, shared := packet.SplitShare(row.Filter); shared {
			sub.group = b.join(groupKey{name, rest}, s, sub)
		}
		s.put(row.Filter, sub, false)
	}
	for i := range r.groups {
		if err := r.settleGroup(&r.groups[i]); err != nil {
			return err
		}
	}
	for _, s := range b.sessions {
		r.settleInflight(s)
	}
	for i := range r.wills {
		w := &r.wills[i]
		b.delayWill(w.Event.Client, &pendingWill{event: w.Event, owner: r.owners[w.Event.Client], due: time.Unix(0, w.Due)})
	}
	return nil
}

// clamp returns a place that the log has: after loss of power, the newest events may be gone that a place is behind.
func (r *recovery) clamp(p event.Position) event.Position {
	if p.IsZero() || p.Offset > r.broker.base.Offset {
		return r.broker.base
	}
	return p
}

func (r *recovery) settleGroup(row *store.Group) error {
	b := r.broker
	g := b.groups[groupKey{row.Name, row.Filter}]
	if g == nil {
		b.journal.endGroup(groupKey{row.Name, row.Filter})
		return nil
	}
	g.next = r.clamp(row.Next)
	g.setBehind(g.next.Offset < b.base.Offset)
	g.busy.Store(true)
	slices.SortFunc(row.Again, func(a, b event.Position) int { return int(a.Offset) - int(b.Offset) })
	for _, at := range row.Again {
		m, err := b.recall(at, "")
		if errors.Is(err, errGone) {
			b.drop(dropPassed)
			continue
		}
		if err != nil {
			return err
		}
		g.takeBack(&delivery{message: m, group: g, qos: m.event.QoS})
	}
	return nil
}

// settleInflight gives messages in flight their groups, and has the groups know what members still have.
func (r *recovery) settleInflight(s *session) {
	for i := range s.inflight {
		o := &s.inflight[i]
		if o.group == nil {
			continue
		}
		o.group = r.broker.groups[o.group.key]
		if o.group == nil {
			continue
		}
		if o.group.skips == nil {
			o.group.skips = map[uint64]struct{}{}
		}
		o.group.skips[o.offset.Offset] = struct{}{}
	}
}

// replay takes in what the log has from the checkpoint on.
func (r *recovery) replay(from event.Position) error {
	b := r.broker
	everything := func(string) bool { return true }
	for from = r.clamp(from); from.Offset < b.base.Offset; {
		found, next, err := b.cfg.Log.Scan(from, everything, scanLimit)
		trimmed := (*eventlog.TrimmedError)(nil)
		switch {
		case errors.As(err, &trimmed):
			b.log.Warn("the log no longer has what followed the last checkpoint of the broker's store: retained messages may be missing",
				"from", from.String(), "to", trimmed.First.String())
			next = trimmed.First
		case errors.Is(err, eventlog.ErrEpoch):
			next = b.base
		case err != nil:
			return fmt.Errorf("read the log from %s: %w", from, err)
		}
		for i := range found {
			e := &found[i]
			r.remember(e)
			b.dispatch(e)
		}
		from = next
	}
	return nil
}

// remember notes the identifier of a QoS 2 message that was stored, though perhaps not answered, before a crash.
func (r *recovery) remember(e *event.Event) {
	if e.Kind != event.KindPublish || e.Source != event.SourceMQTT || e.PacketID == 0 {
		return
	}
	s := r.broker.sessions[e.Client]
	if s == nil || e.Position.Offset < s.receivedUpTo {
		return
	}
	if s.received == nil {
		s.received = map[uint16]receiving{}
	}
	s.received[e.PacketID] = receivingStored
	s.receivedUpTo = e.Position.Offset + 1
}

// errGone: neither the log nor the store has a message any more.
var errGone = errors.New("no longer held")

// recall returns the message of an event in the log, or else the retained message of a topic; errGone if there is none any
// more. Another error may pass.
func (b *Broker) recall(at event.Position, topic string) (*message, error) {
	if topic != "" {
		if m, ok := b.retained.get(topic); ok {
			return m, nil
		}
		return nil, errGone
	}
	found, _, err := b.cfg.Log.Scan(at, func(string) bool { return true }, 1)
	trimmed := (*eventlog.TrimmedError)(nil)
	switch {
	case errors.As(err, &trimmed), errors.Is(err, eventlog.ErrEpoch):
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("read the log at %s: %w", at, err)
	case len(found) == 0 || found[0].Position.Offset != at.Offset:
		return nil, errGone
	}
	return &message{event: found[0]}, nil
}
