package source

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// filterOf is a filter as it is subscribed to.
func (l *link) filterOf(filter string) string {
	if l.shared.Load() {
		return "$share/" + l.r.cfg.Share + "/" + filter
	}
	return filter
}

// subscribe asks for what the broker's session should have, and gives back what it should not. In MQTT 3.1.1 a subscription
// that stands is left alone, because to make it again would bring all retained messages again. In MQTT 5 that can be told (retain
// handling), and it is made again: whatever happened to the session meanwhile, it stands then.
func (l *link) subscribe() error {
	r := l.r
	r.began(l.welcome.present)
	l.shared.Store(r.cfg.Share != "" && !l.welcome.noShared && !r.keeper.get().NoShare)
	if l.welcome.noShared && r.cfg.Share != "" {
		r.noShare("the broker says so")
	}
	var have []string
	if l.welcome.present {
		have = r.keeper.get().Filters
	}
	want := make([]string, 0, len(r.cfg.Filters))
	for _, f := range r.cfg.Filters {
		want = append(want, l.filterOf(f))
	}
	l.wanted = without(want, have)
	l.surplus = without(have, want)
	r.memory.begin(len(l.wanted) > 0)
	if l.version == 5 {
		l.wanted = want
	}
	if len(l.wanted) > 0 {
		if err := l.ask(); err != nil {
			return err
		}
	}
	if len(l.surplus) > 0 { // behind the SUBSCRIBE, so that nothing falls between the old filters and the new
		b, err := l.codec.unsubscribe(controlID+1, l.surplus)
		if err != nil {
			return err
		}
		l.push(b)
	}
	if len(l.wanted) == 0 {
		return r.standing(l, nil)
	}
	return nil
}

// without is what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(f string) bool { return slices.Contains(b, f) })
}

// unsubscribed notes that the broker has taken back what was not wanted any more.
func (l *link) unsubscribed() {
	l.r.keeper.set(func(s *saved) { s.Filters = without(s.Filters, l.surplus) })
}

// ask sends the SUBSCRIBE for what is wanted.
func (l *link) ask() error {
	subs := make([]subscription, 0, len(l.wanted))
	for _, f := range l.wanted {
		subs = append(subs, subscription{filter: f, shared: strings.HasPrefix(f, "$share/")})
	}
	b, err := l.codec.subscribe(controlID, subs)
	if err != nil {
		return err
	}
	l.push(b)
	l.overdue = time.AfterFunc(answerTime, func() {
		_ = l.end(fmt.Errorf("the broker did not answer SUBSCRIBE in %v", answerTime))
	})
	return nil
}

// subscribed reads a SUBACK.
func (l *link) subscribed(body []byte) error {
	codes, err := l.codec.reasons(body)
	if err != nil {
		return err
	}
	asked := l.wanted
	l.wanted = nil
	if l.overdue != nil {
		l.overdue.Stop()
	}
	if len(codes) != len(asked) || len(asked) == 0 {
		return fmt.Errorf("%w: a SUBACK of %d codes for %d filters", errMalformed, len(codes), len(asked))
	}
	if l.shared.Load() && slices.ContainsFunc(codes, func(c byte) bool { return refusesShare(c, l.version) }) {
		// Then all without: a group in which some filters are shared and some are not would be neither.
		l.r.noShare(fmt.Sprintf("it answers with 0x%02x", codes[0]))
		l.shared.Store(false)
		l.wanted = slices.Clone(l.r.cfg.Filters)
		return l.ask()
	}
	var refused []string
	granted := l.r.keeper.get().Filters
	for i, code := range codes {
		if code >= 0x80 {
			refused = append(refused, fmt.Sprintf("%.80q (0x%02x)", asked[i], code))
			continue
		}
		granted = append(without(granted, asked[i:i+1]), asked[i])
	}
	l.r.keeper.set(func(s *saved) { s.Filters = granted })
	return l.r.standing(l, refused)
}

// refusesShare reports whether a code of a SUBACK may mean that there are no shared subscriptions: in MQTT 3.1.1, there is
// but one code for all that is refused.
func refusesShare(code byte, version int) bool {
	const noShared = 0x9e // MQTT 5, 3.9.3
	return code == noShared || version == 4 && code == 0x80
}
