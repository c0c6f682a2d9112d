// Package chat keeps what was said on the topics chat/<channel>, and who is there.
//
// A message is {"v":1,"from":"…","text":"…"}; any other payload is the text itself, said by the client. The last messages
// of each channel outlive a restart. Presence does not: it is of the connections there are now. Present are
//
//   - screens that watch the channel, told by [View.Join] and [View.Leave];
//   - MQTT clients that subscribe to it, told by [View.Subscribed] and [View.Unsubscribed];
//   - MQTT clients that have said something in it since the View was made and are still connected, from the log.
//
// A View starts no goroutine. Its Runner calls Apply, Save and Restore; the other methods may be called from any
// goroutine.
package chat

import (
	"container/list"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Bounds of what is kept.
const (
	// Prefix begins the topic of each channel.
	Prefix = "chat/"
	// MaxMessages is how many messages of a channel are kept.
	MaxMessages = 200
	// MaxTextBytes and MaxNameBytes bound a message's text and a person's name; longer ones are cut.
	MaxTextBytes = 4096
	MaxNameBytes = 64
	// MaxMembers is how many members of a channel are listed.
	MaxMembers = 200
	// maxChannelBytes bounds a channel's name; longer ones are no channels.
	maxChannelBytes = 128
)

// Config configures a View. The zero value is ready for use.
type Config struct {
	// MaxChannels bounds the channels; 0: 1,000. Beyond it, the one that nothing happened in for longest goes.
	MaxChannels int
	// MaxClients bounds the MQTT clients whose presence is known; 0: 10,000. Further ones are not shown as present.
	MaxClients int
	// Now is the clock by which old events are told from new; nil: time.Now.
	Now func() time.Time
	// Metrics registers the view's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

// A Message is one thing said.
type Message struct {
	Position   event.Position
	From, Text string
	// Time is the arrival in nanoseconds since the Unix epoch.
	Time int64
	// Screen reports that it was typed at a screen.
	Screen bool

	version uint64
}

// A channel is guarded by the View's mutex.
type channel struct {
	name, topic string
	// messages are the newest, oldest first.
	messages []Message
	// speakers are the connected clients that have spoken here: the other side of client.spoken.
	speakers map[string]struct{}
	// created and present are the versions in which it came and in which its members last changed.
	created, present uint64
	// members are those as of listed.
	members []*pulsov1.Member
	listed  uint64
	element *list.Element
}

// A View is the channels. See the package comment.
type View struct {
	config Config
	since  int64 // events before this tell nothing of presence

	mu       sync.Mutex
	version  uint64
	channels map[string]*channel
	recent   *list.List // of *channel, the one that something happened in last in front
	screens  map[string]*screen
	clients  map[string]*client
	evicted  uint64
}

// New returns an empty View. Its error says that the metrics could not be registered.
func New(c Config) (*View, error) {
	if c.MaxChannels == 0 {
		c.MaxChannels = 1000
	}
	if c.MaxClients == 0 {
		c.MaxClients = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &View{
		config: c, since: c.Now().UnixNano(), screens: make(map[string]*screen), clients: make(map[string]*client),
	}
	v.clear()
	if c.Metrics == nil {
		return v, nil
	}
	for _, m := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_chat_channels", Help: "Chat channels.",
		}, func() float64 { return float64(v.Channels()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pulso_chat_channels_evicted_total", Help: "Chat channels forgotten because there were too many.",
		}, func() float64 {
			v.mu.Lock()
			defer v.mu.Unlock()
			return float64(v.evicted)
		}),
	} {
		if err := c.Metrics.Register(m); err != nil {
			return nil, fmt.Errorf("chat view: register metrics: %w", err)
		}
	}
	return v, nil
}

// clear forgets what was said, not who is there.
func (v *View) clear() {
	v.version++
	v.channels = make(map[string]*channel)
	v.recent = list.New()
}

// Name implements view.View.
func (*View) Name() string { return "chat" }

// Version grows with each visible change.
func (v *View) Version() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version
}

// Channels returns how many channels there are.
func (v *View) Channels() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.channels)
}

// Apply implements view.View.
func (v *View) Apply(batch []event.Decoded) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.version + 1
	for i := range batch {
		e := &batch[i]
		switch {
		case e.Kind == event.KindDisconnected:
			v.disconnected(e, next)
		case e.Kind.IsMessage() && strings.HasPrefix(e.Topic, Prefix):
			v.message(e, next)
		}
	}
}

func (v *View) message(e *event.Decoded, next uint64) {
	name, ok := channelOf(e.Topic)
	if !ok || len(e.Payload) == 0 {
		return
	}
	c := v.channel(name, next)
	v.recent.MoveToFront(c.element)
	v.version = next
	m := parse(e)
	m.version = next
	if len(c.messages) >= MaxMessages {
		c.messages = append(c.messages[:0], c.messages[len(c.messages)-MaxMessages+1:]...)
	}
	c.messages = append(c.messages, m)
	if e.Source == event.SourceMQTT && e.Kind == event.KindPublish && e.Time >= v.since {
		v.spoke(c, e.Client, next)
	}
}

// channelOf returns the channel that a topic is of.
func channelOf(topic string) (string, bool) {
	name, found := strings.CutPrefix(topic, Prefix)
	return name, found && name != "" && len(name) <= maxChannelBytes && !strings.Contains(name, "/")
}

// channel returns the channel with a name, a new one if there is none.
func (v *View) channel(name string, next uint64) *channel {
	if c := v.channels[name]; c != nil {
		return c
	}
	if len(v.channels) >= v.config.MaxChannels {
		v.evict()
	}
	c := &channel{
		name: strings.Clone(name), topic: Prefix + name, created: next, present: next, speakers: make(map[string]struct{}),
	}
	c.element = v.recent.PushFront(c)
	v.channels[c.name] = c
	v.version = next
	return c
}

// evict forgets the channel that nothing happened in for longest.
func (v *View) evict() {
	oldest := v.recent.Back()
	if c, ok := oldest.Value.(*channel); ok {
		delete(v.channels, c.name)
		for id := range c.speakers {
			if who := v.clients[id]; who != nil {
				delete(who.spoken, c)
				v.drop(id, who)
			}
		}
	}
	v.recent.Remove(oldest)
	v.evicted++
}
