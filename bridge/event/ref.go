package event

// A Ref is one topic's place in memory: what the parts of a hub know of a topic hangs on it, so that none has to look the
// topic up for each message. It belongs to one hub, whose broker hands it out; events that came another way have none,
// and then the parts look the topic up.
type Ref struct {
	// Topic is the topic; it never changes.
	Topic string
	// Slots are the parts' own: each is read and written by its part alone, under that part's lock or on its goroutine.
	// What is in it is only a memory of what the part knows: it may be gone at any time.
	Slots [slots]any
}

// The slots of a [Ref].
const (
	SlotDecoder = iota
	SlotSeries
	SlotRooms
	SlotLog
	SlotTopics
	SlotDevices
	slots
)

// Slot returns what a part has put into its slot of an event's Ref; nothing where the event has none.
func Slot[T any](r *Ref, slot int) (value T, found bool) {
	if r == nil {
		return value, false
	}
	value, found = r.Slots[slot].(T)
	return value, found
}

// Keep puts what a part knows into its slot, if the event has a Ref.
func (r *Ref) Keep(slot int, value any) {
	if r != nil {
		r.Slots[slot] = value
	}
}
