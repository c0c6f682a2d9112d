package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pulso/bridge/event"
)

// statements are what Commit runs, prepared once.
type statements struct {
	begin, commit, rollback                  *statement
	endSession, endSubscriptions, settleWill *statement
	unsubscribe, endGroup, removeRetained    *statement
	session, subscription, group             *statement
	retained, will, checkpoint               *statement
	countWAL, writeWAL, truncate             *statement

	all []*statement
}

func (s *statements) close() error {
	var all error
	for _, st := range s.all {
		all = errors.Join(all, st.close())
	}
	return all
}

func prepareStatements(db *database) (*statements, error) {
	s := &statements{}
	for _, p := range []struct {
		to    **statement
		query string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},
		{&s.endSession, "DELETE FROM sessions WHERE client = ?"},
		{&s.endSubscriptions, "DELETE FROM subscriptions WHERE client = ?"},
		{&s.settleWill, "DELETE FROM wills WHERE client = ?"},
		{&s.unsubscribe, "DELETE FROM subscriptions WHERE client = ? AND filter = ?"},
		{&s.endGroup, "DELETE FROM shared_groups WHERE name = ? AND filter = ?"},
		{&s.removeRetained, "DELETE FROM retained WHERE topic = ?"},
		{&s.session, "INSERT INTO sessions (" + sessionColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" +
			" ON CONFLICT (client) DO UPDATE SET identity = excluded.identity, version = excluded.version," +
			" expiry_seconds = excluded.expiry_seconds, expires_at = excluded.expires_at, next = excluded.next," +
			" behind = excluded.behind, received_up_to = excluded.received_up_to, received_ids = excluded.received_ids," +
			" inflight = excluded.inflight, passed = excluded.passed"},
		{&s.subscription, "REPLACE INTO subscriptions (" + subscriptionColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"},
		{&s.group, "REPLACE INTO shared_groups (" + groupColumns + ") VALUES (?, ?, ?, ?)"},
		{&s.retained, "INSERT INTO retained (" + retainedColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, x''))" +
			" ON CONFLICT (topic) DO UPDATE SET client = excluded.client, position = excluded.position, time = excluded.time," +
			" kind = excluded.kind, source = excluded.source, qos = excluded.qos, retain = excluded.retain," +
			" packet_id = excluded.packet_id, properties = excluded.properties, payload = excluded.payload"},
		{&s.will, "REPLACE INTO wills (" + willColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, x''))"},
		{&s.checkpoint, "REPLACE INTO checkpoint (id, position) VALUES (0, ?)"},
		{&s.countWAL, countWAL},
		{&s.writeWAL, writeWAL},
		{&s.truncate, truncateWAL},
	} {
		st, err := db.prepare(p.query)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		*p.to, s.all = st, append(s.all, st)
	}
	return s, nil
}

// Columns in the order in which they are written and read. The driver makes NULL of an empty BLOB, hence coalesce above.
const (
	sessionColumns = "client, identity, version, expiry_seconds, expires_at, next, behind, received_up_to, received_ids," +
		" inflight, passed"
	subscriptionColumns = "client, filter, qos, retain_handling, no_local, retain_as_published, identifier, since"
	groupColumns        = "name, filter, next, again"
	retainedColumns     = "topic, client, position, time, kind, source, qos, retain, packet_id, properties, payload"
	willColumns         = "due, " + retainedColumns
)

// Commit stores a batch in one transaction, all or nothing. When it returns nil, the batch survives the end of the
// process and, with Config.Sync, loss of power. The context is looked at before the transaction begins and never within
// it. Errors: ErrFull (nothing stored, may be tried again), ErrFailed (unknown whether it is stored; so says every later
// Commit, which stores nothing), ErrClosed, the context's; any other means that nothing was stored.
func (s *Store) Commit(ctx context.Context, b *Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.db == nil:
		return ErrClosed
	case s.failed.Load() != nil:
		return s.Err()
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case b.rows() == 0 && b.Checkpoint.IsZero():
		return nil
	}
	start := time.Now()
	if err := s.transact(b); err != nil {
		err = s.failure("commit to", err)
		s.metrics.errors.WithLabelValues(reason(err)).Inc()
		return err
	}
	s.metrics.commitSeconds.Observe(time.Since(start).Seconds())
	s.metrics.rows.Add(float64(b.rows()))
	s.bound()
	return nil
}

// transact runs the batch as one transaction, which is over when it returns.
func (s *Store) transact(b *Batch) error {
	err := s.do.begin.exec()
	if err == nil {
		err = s.do.apply(b)
	}
	if err == nil {
		err = s.do.commit.exec()
	}
	if err == nil {
		return nil
	}
	// SQLite has ended the transaction by itself after most errors, and says so by codeError.
	if e := s.do.rollback.exec(); e != nil && code(e) != codeError {
		return fmt.Errorf("%w: %w; and rolling back: %w", ErrFailed, err, e)
	}
	return err
}

func (s *statements) apply(b *Batch) error {
	if err := s.remove(b); err != nil {
		return err
	}
	for i := range b.Sessions {
		if err := s.putSession(&b.Sessions[i]); err != nil {
			return fmt.Errorf("session %q: %w", b.Sessions[i].Client, err)
		}
	}
	for i := range b.Subscribed {
		if err := s.putSubscription(&b.Subscribed[i]); err != nil {
			return fmt.Errorf("subscription of %q: %w", b.Subscribed[i].Client, err)
		}
	}
	for i := range b.Groups {
		if err := s.putGroup(&b.Groups[i]); err != nil {
			return fmt.Errorf("group %q: %w", b.Groups[i].Name, err)
		}
	}
	for i := range b.Retained {
		if err := s.putRetained(&b.Retained[i].Event); err != nil {
			return fmt.Errorf("retained %q: %w", b.Retained[i].Topic, err)
		}
	}
	for i := range b.Wills {
		if err := s.putWill(&b.Wills[i]); err != nil {
			return fmt.Errorf("will of %q: %w", b.Wills[i].Event.Client, err)
		}
	}
	if b.Checkpoint.IsZero() {
		return nil
	}
	return s.checkpoint.exec(b.Checkpoint.String())
}

func (s *statements) remove(b *Batch) error {
	for _, client := range b.Ended {
		err := s.endSubscriptions.exec(client)
		if err == nil {
			err = s.endSession.exec(client)
		}
		if err == nil {
			err = s.settleWill.exec(client)
		}
		if err != nil {
			return fmt.Errorf("end session %q: %w", client, err)
		}
	}
	for _, k := range b.Unsubscribed {
		if err := s.unsubscribe.exec(k.Client, k.Filter); err != nil {
			return fmt.Errorf("unsubscribe %q: %w", k.Client, err)
		}
	}
	for _, k := range b.GroupsEnded {
		if err := s.endGroup.exec(k.Name, k.Filter); err != nil {
			return fmt.Errorf("end group %q: %w", k.Name, err)
		}
	}
	for _, client := range b.WillsSettled {
		if err := s.settleWill.exec(client); err != nil {
			return fmt.Errorf("settle will of %q: %w", client, err)
		}
	}
	return nil
}

func (s *statements) putSession(v *Session) error {
	inflight, err := encodeInflight(v.Inflight)
	if err != nil {
		return err
	}
	return s.session.exec(v.Client, v.Identity, int64(v.Version), int64(v.Expiry), v.Expires, v.Next.String(), v.Behind,
		int64(v.ReceivedUpTo), encodeIDs(v.Seen), inflight, int64(v.Passed))
}

func (s *statements) putSubscription(v *Subscription) error {
	return s.subscription.exec(v.Client, v.Filter, int64(v.QoS), int64(v.RetainHandling), v.NoLocal, v.RetainAsPublished,
		int64(v.Identifier), int64(v.Since))
}

func (s *statements) putGroup(v *Group) error {
	again, err := encodePositions(v.Again)
	if err != nil {
		return err
	}
	return s.group.exec(v.Name, v.Filter, v.Next.String(), again)
}

func (s *statements) putRetained(e *event.Event) error {
	if len(e.Payload) == 0 {
		return s.removeRetained.exec(e.Topic)
	}
	properties, err := encodeProperties(e.Properties)
	if err != nil {
		return err
	}
	return s.retained.exec(e.Topic, e.Client, e.Position.String(), e.Time, int64(e.Kind), int64(e.Source), int64(e.QoS),
		e.Retain, int64(e.PacketID), properties, e.Payload)
}

func (s *statements) putWill(v *Will) error {
	e := &v.Event
	properties, err := encodeProperties(e.Properties)
	if err != nil {
		return err
	}
	return s.will.exec(v.Due, e.Topic, e.Client, e.Position.String(), e.Time, int64(e.Kind), int64(e.Source), int64(e.QoS),
		e.Retain, int64(e.PacketID), properties, e.Payload)
}

// SQLite's checkpoints (sqlite.org/wal.html#ckpt), which have nothing to do with the log's.
const (
	countWAL    = "PRAGMA wal_checkpoint(NOOP)"
	writeWAL    = "PRAGMA wal_checkpoint(PASSIVE)"
	truncateWAL = "PRAGMA wal_checkpoint(TRUNCATE)"
)

// bound keeps the write-ahead log short. The batch that was just committed is safe whatever happens here. SQLite's own
// way to do so is off, because it keeps a failed fsync to itself.
func (s *Store) bound() {
	var pages int64
	err := s.do.countWAL.query(func(r *row) error {
		pages = r.int64(1) - r.int64(2)
		return r.err
	})
	if err == nil && pages < s.unwritten {
		return
	}
	start := time.Now()
	if err == nil {
		err = s.do.writeWAL.exec()
	}
	s.metrics.checkpointSeconds.Observe(time.Since(start).Seconds())
	s.unwritten = s.cfg.maxUnwritten
	if err == nil {
		return
	}
	err = s.failure("write back", err)
	s.metrics.errors.WithLabelValues(reason(err)).Inc()
	if errors.Is(err, ErrFull) {
		s.unwritten = pages + s.cfg.maxUnwritten // as long as there is room for that
	}
	s.cfg.Logger.Error("the write-ahead log could not be written into the database", "error", err)
}
