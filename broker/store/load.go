package store

import (
	"context"
	"fmt"
	"math"

	"pulso/bridge/event"
)

// load reads all tables that somebody wants.
func load(ctx context.Context, db *database, to Loader) (checkpoint event.Position, err error) {
	table := func(name, columns string, each func(*row) error) {
		if err != nil {
			return
		}
		rows := 0
		err = db.query("SELECT "+columns+" FROM "+name, func(r *row) error {
			if rows++; rows%1024 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return each(r)
		})
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}
	if to.Session != nil {
		table("sessions", sessionColumns, func(r *row) error { return hand(r, readSession(r), to.Session) })
	}
	if to.Subscription != nil {
		table("subscriptions", subscriptionColumns, func(r *row) error { return hand(r, readSubscription(r), to.Subscription) })
	}
	if to.Group != nil {
		table("shared_groups", groupColumns, func(r *row) error { return hand(r, readGroup(r), to.Group) })
	}
	if to.Retained != nil {
		table("retained", retainedColumns, func(r *row) error { return hand(r, &Retained{readEvent(r, 0)}, to.Retained) })
	}
	if to.Will != nil {
		table("wills", willColumns, func(r *row) error {
			return hand(r, &Will{Due: r.int64(0), Event: readEvent(r, 1)}, to.Will)
		})
	}
	table("checkpoint", "position", func(r *row) error {
		r.decode(0, checkpoint.UnmarshalText)
		return r.err
	})
	return checkpoint, err
}

// hand gives a value to its function if it could be read.
func hand[T any](r *row, value *T, to func(*T) error) error {
	if r.err != nil {
		return fmt.Errorf("row %q: %w", r.values[0], r.err)
	}
	return to(value)
}

func readSession(r *row) *Session {
	v := &Session{
		Client:       r.text(0),
		Identity:     r.text(1),
		Version:      byte(r.within(2, math.MaxUint8)),
		Expiry:       uint32(r.within(3, math.MaxUint32)),
		Expires:      r.int64(4),
		Behind:       r.bool(6),
		ReceivedUpTo: uint64(r.int64(7)),
		Passed:       uint64(r.int64(10)),
	}
	r.decode(5, v.Next.UnmarshalText)
	r.decode(8, decodeList(&v.Seen))
	r.decode(9, decodeList(&v.Inflight))
	return v
}

func readSubscription(r *row) *Subscription {
	return &Subscription{
		Client:            r.text(0),
		Filter:            r.text(1),
		QoS:               byte(r.within(2, math.MaxUint8)),
		RetainHandling:    byte(r.within(3, math.MaxUint8)),
		NoLocal:           r.bool(4),
		RetainAsPublished: r.bool(5),
		Identifier:        int(r.within(6, math.MaxInt32)),
		Since:             uint64(r.int64(7)),
	}
}

func readGroup(r *row) *Group {
	v := &Group{Name: r.text(0), Filter: r.text(1)}
	r.decode(2, v.Next.UnmarshalText)
	r.decode(3, decodeList(&v.Again))
	return v
}

// readEvent reads the columns of an event, of which the first is column i.
func readEvent(r *row, i int) event.Event {
	e := event.Event{
		Topic:    r.text(i),
		Client:   r.text(i + 1),
		Time:     r.int64(i + 3),
		Kind:     event.Kind(r.within(i+4, math.MaxUint8)),
		Source:   event.Source(r.within(i+5, math.MaxUint8)),
		QoS:      uint8(r.within(i+6, math.MaxUint8)),
		Retain:   r.bool(i + 7),
		PacketID: uint16(r.within(i+8, math.MaxUint16)),
		Payload:  r.bytes(i + 10),
	}
	r.decode(i+2, e.Position.UnmarshalText)
	r.decode(i+9, func(b []byte) (err error) {
		e.Properties, err = decodeProperties(b)
		return err
	})
	return e
}
