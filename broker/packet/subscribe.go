package packet

import (
	"fmt"
	"strings"

	"pulso/bridge/event"
)

// A Subscription is one filter of a SUBSCRIBE with its options (MQTT 5, 3.8.3.1).
type Subscription struct {
	// Filter is text as the client sent it: whether it is a filter is judged by [CheckFilter].
	Filter            string
	QoS               byte
	RetainHandling    byte // 0: retained messages are sent, 1: if the subscription is new, 2: not
	NoLocal           bool
	RetainAsPublished bool
}

// A Subscribing is a SUBSCRIBE, taken apart.
type Subscribing struct {
	Subscriptions []Subscription
	// Identifier is the subscription identifier, 0 for none.
	Identifier int
	// ID is the packet identifier.
	ID uint16
}

// An Unsubscribing is an UNSUBSCRIBE, taken apart.
type Unsubscribing struct {
	Filters []string
	// ID is the packet identifier.
	ID uint16
}

// DecodeSubscribe judges the body of a SUBSCRIBE and takes it apart. A filter that is text but no filter is no error
// here: it is answered in the SUBACK, see [CheckFilter].
func DecodeSubscribe(body []byte, version byte) (*Subscribing, error) {
	s := &Subscribing{}
	var err error
	s.ID, s.Identifier, err = scanFilters(Subscribe, body, version, func(filter []byte, options byte) {
		s.Subscriptions = append(s.Subscriptions, Subscription{
			Filter: string(filter), QoS: options & 3, RetainHandling: options >> 4 & 3,
			NoLocal: options&4 != 0, RetainAsPublished: options&8 != 0,
		})
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// DecodeUnsubscribe judges the body of an UNSUBSCRIBE and takes it apart.
func DecodeUnsubscribe(body []byte, version byte) (*Unsubscribing, error) {
	u := &Unsubscribing{}
	var err error
	u.ID, _, err = scanFilters(Unsubscribe, body, version, func(filter []byte, _ byte) {
		u.Filters = append(u.Filters, string(filter))
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// scanFilters judges a SUBSCRIBE or an UNSUBSCRIBE and yields its filters.
func scanFilters(kind Kind, body []byte, version byte, yield func(filter []byte, options byte)) (id uint16, ident int, err error) {
	r := reader{rest: body}
	id = r.uint16("packet identifier")
	if r.err == nil && id == 0 {
		r.fail(protocol("[MQTT-2.2.1-3]", "%s with packet identifier 0", kind))
	}
	if version == 5 {
		ident = r.filterProperties(kind)
	}
	count := 0
	for ; len(r.rest) > 0; count++ {
		if count == MaxFilters {
			r.fail(&Error{Code: ReasonQuota, Detail: fmt.Sprintf("more than %d filters in one packet", MaxFilters)})
			break
		}
		filter := r.name("filter") // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
		if r.err == nil && len(filter) == 0 {
			r.fail(malformed("[MQTT-4.7.3-1]", "empty filter"))
		}
		options := byte(0)
		if kind == Subscribe {
			options = r.octet("subscription options")
			if r.err == nil {
				if err := checkOptions(filter, options, version); err != nil {
					r.fail(err)
				}
			}
		}
		if r.err == nil && yield != nil {
			yield(filter, options)
		}
	}
	if r.err == nil && count == 0 {
		r.fail(protocol("[MQTT-3.8.3-2] [MQTT-3.10.3-2]", "%s without a filter", kind))
	}
	return id, ident, r.err
}

// filterProperties reads the properties of a SUBSCRIBE or UNSUBSCRIBE, and returns the subscription identifier.
func (r *reader) filterProperties(kind Kind) (ident int) {
	at := inSubscribe
	if kind == Unsubscribe {
		at = inUnsubscribe
	}
	r.properties(at, func(p property) {
		if p.id == propSubscriptionID {
			ident = int(p.number)
		}
	})
	return ident
}

// checkOptions judges the subscription options (MQTT 5, 3.8.3.1).
func checkOptions(filter []byte, options, version byte) error {
	switch {
	case version < 5 && options > 2:
		return malformed("MQTT 3.1.1 [MQTT-3-8.3-4]", "requested QoS byte 0x%02x", options)
	case options&0xc0 != 0:
		return malformed("[MQTT-3.8.3-5]", "reserved bits in the subscription options 0x%02x", options)
	case options&3 == 3:
		return protocol("MQTT 5, 3.8.3.1", "subscription with QoS 3")
	case options&0x30 == 0x30:
		return protocol("MQTT 5, 3.8.3.1", "subscription with retain handling 3")
	case options&4 != 0 && strings.HasPrefix(string(filter), sharePrefix):
		return protocol("[MQTT-3.8.3-4]", "No Local on a shared subscription")
	}
	return nil
}

const sharePrefix = "$share/"

// SplitShare separates the group of a shared subscription from its filter (MQTT 5, 4.8.2). Others have no group, and
// their filter is returned as it is. Neither part is judged.
func SplitShare(filter string) (group, rest string, shared bool) {
	tail, shared := strings.CutPrefix(filter, sharePrefix)
	if !shared {
		return "", filter, false
	}
	group, rest, _ = strings.Cut(tail, "/")
	return group, rest, true
}

// CheckFilter returns nil if filter is one, or a shared subscription to one. Its errors do not end the connection: they
// are answered in the SUBACK or UNSUBACK with their code (0x80 in MQTT 3), so that one bad filter does not cost a client
// the others. That filter is text has been judged before.
func CheckFilter(filter string) error {
	group, rest, shared := SplitShare(filter)
	if shared {
		switch {
		case group == "":
			return badFilter("[MQTT-4.8.2-1]", "shared subscription without a share name")
		case strings.ContainsAny(group, "+#"):
			return badFilter("[MQTT-4.8.2-2]", fmt.Sprintf("share name %.40q", group))
		case rest == "":
			return badFilter("[MQTT-4.8.2-2]", "shared subscription without a filter")
		}
	}
	if err := event.CheckFilter(rest); err != nil {
		return badFilter("[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]", err.Error())
	}
	return nil
}

func badFilter(clause, detail string) error {
	return &Error{Code: ReasonFilterInvalid, Clause: clause, Detail: detail, Answerable: true}
}
