package attack

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

var (
	stallFor     = flag.Duration("stall", 10*time.Second, "how long screens are stalled at least; those that read nothing until they are closed as slow")
	stallScreens = flag.Int("screens", 80, "how many screens there are, of which half are stalled")
	stallRate    = flag.Int("rate", 300, "messages a second for the screens")
	stallSize    = flag.Int("size", 2000, "bytes of each message that fill it up")
)

// Phases of the stall, in which messages are sent.
const (
	everybodyReads = iota
	halfStalls
	everybodyReadsOn
	phases
)

// TestStalledScreens stalls half of the screens while much is published. Half of those read a little now and then, say that they
// are there and keep their connections; the others read nothing, are closed as slow and come back. In the end every screen has had every message once, in
// order, and those that read all the time had theirs in time. The hub's memory is bounded and does not go on growing.
func TestStalledScreens(t *testing.T) {
	withstandWithin(t, 160<<20, func(s *siege) {
		f := &feed{s: s}
		screens := make([]*screen, *stallScreens)
		var wg sync.WaitGroup
		for i := range screens {
			screens[i] = &screen{
				f: f, habit: []habit{steady, steady, sips, still}[i%4], position: "start",
				stall: make(chan struct{}), resume: make(chan struct{}),
			}
			if err := screens[i].dial(); err != nil {
				t.Fatal(err)
			}
			wg.Go(screens[i].watch)
		}
		before := min(max(*stallFor/4, 2*time.Second), 30*time.Second)
		f.publish(before)
		for _, c := range screens {
			close(c.stall)
		}
		f.phase.Store(halfStalls)
		memory := f.watch(*stallFor)
		f.publish(*stallFor)
		for end := time.Now().Add(time.Minute); f.slow() < *stallScreens/4 && time.Now().Before(end); {
			f.publish(time.Second)
		}
		f.phase.Store(everybodyReadsOn)
		reads := time.Now()
		for _, c := range screens {
			close(c.resume)
		}
		f.publish(time.Second)
		f.total.Store(f.sent.Load())
		f.publishOne() // so that those who have everything see that it is over
		wg.Wait()
		f.verdict(screens, <-memory)
		t.Logf("everybody had everything %v after the stall", time.Since(reads).Round(time.Millisecond))
	})
}

// A feed is what is published for the screens: numbered messages, by one client.
type feed struct {
	s     *siege
	phase atomic.Int32
	sent  atomic.Int64
	total atomic.Int64 // how many there will be; 0: not known yet
	conn  *mqtt.Conn
	acked chan struct{}
}

// slow is how many screens have been closed as slow.
func (f *feed) slow() int { return f.s.counted(`pulso_gateway_sessions_closed_total{code="slow"}`) }

// publish publishes at the rate for a while and returns when everything is acknowledged.
func (f *feed) publish(during time.Duration) {
	f.s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for sent := 0; time.Since(began) < during; <-tick.C {
		for due := int(time.Since(began).Seconds() * float64(*stallRate)); sent < due; sent++ {
			f.publishOne()
		}
	}
	for len(f.acked) > 0 {
		<-tick.C
	}
}

// mostUnacknowledged is how many messages of the feed wait for their acknowledgement.
const mostUnacknowledged = 500

// publishOne publishes the next message.
func (f *feed) publishOne() {
	f.s.t.Helper()
	if f.conn == nil {
		f.open()
	}
	n := f.sent.Add(1) - 1
	payload := fmt.Appendf(nil, `{"n":%d,"at":%d,"phase":%d,"x":%q}`, n, time.Now().UnixMicro(), f.phase.Load(), strings.Repeat("x", *stallSize))
	m := mqtt.Publish{Topic: "devices/d1/telemetry", QoS: 1, ID: int(n%60_000) + 1, Payload: payload}
	select {
	case f.acked <- struct{}{}:
	case <-time.After(10 * time.Second):
		f.s.t.Fatal("nothing has been acknowledged for 10 s")
	}
	if _, err := f.conn.Write(m.Bytes(f.conn.Version)); err != nil {
		f.s.t.Fatal(err)
	}
}

func (f *feed) open() {
	f.s.t.Helper()
	c, err := f.s.open(&mqtt.Connect{ID: "feed"})
	if err != nil {
		f.s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Time{})
	f.conn, f.acked = c, make(chan struct{}, mostUnacknowledged)
	go func() { // ends with the connection
		for {
			first, _, err := c.Next()
			if err != nil {
				return
			}
			if first&0xf0 == mqtt.PUBACK {
				<-f.acked
			}
		}
	}()
}

// watch samples the hub's memory during the stall, sixty times.
func (f *feed) watch(during time.Duration) <-chan []int64 {
	done := make(chan []int64, 1)
	go func() {
		var samples []int64
		tick := time.NewTicker(during / 60)
		defer tick.Stop()
		for range 60 {
			<-tick.C
			rss, err := hub.RSS(f.s.h.Pid())
			if err != nil {
				break
			}
			samples = append(samples, rss)
		}
		done <- samples
	}()
	return done
}

// verdict checks what the screens saw.
func (f *feed) verdict(screens []*screen, memory []int64) {
	t := f.s.t
	t.Helper()
	var times [phases][]int64
	connections := 0
	for _, c := range screens {
		if c.err != nil {
			t.Errorf("a screen that %s: %v", c.habit, c.err)
		}
		connections += c.connections
		for phase, took := range c.took {
			times[phase] = append(times[phase], took...)
		}
	}
	if silent := f.s.counted(`pulso_gateway_sessions_closed_total{code="silent"}`); silent != 0 {
		t.Errorf("%d sessions were closed as silent", silent)
	}
	stills := len(screens) / 4
	if slow := f.slow(); slow != stills {
		t.Errorf("%d sessions were closed as slow, want %d", slow, stills)
	}
	if connections != len(screens)+stills {
		t.Errorf("%d connections, want %d", connections, len(screens)+stills)
	}
	if f.s.counted("pulso_room_fallen_total") == 0 {
		t.Error("nobody fell behind the ring: the stall proves little")
	}
	if len(memory) == 0 {
		t.Fatal("the memory has not been sampled")
	}
	early, late := slices.Max(memory[:len(memory)/2]), slices.Max(memory[len(memory)/2:])
	if late > early+32<<20 {
		t.Errorf("the memory went on growing: %d MB, then %d MB", early>>20, late>>20)
	}
	p99 := func(phase int) time.Duration {
		if len(times[phase]) == 0 {
			t.Fatal("those that read on have had nothing")
		}
		slices.Sort(times[phase])
		return time.Duration(times[phase][len(times[phase])*99/100]) * time.Microsecond
	}
	t.Logf("%d messages for %d screens; p99 of those that read on: %v before the stall, %v during it (%.2f)", f.sent.Load(), len(screens),
		p99(everybodyReads), p99(halfStalls), float64(p99(halfStalls))/float64(p99(everybodyReads)))
	for i := 0; i < len(memory); i += 6 {
		t.Logf("memory %v into the stall: %.1f MB", (*stallFor * time.Duration(i+1) / 60).Round(time.Second), float64(memory[i])/(1<<20))
	}
}

// A habit is how a screen reads during the stall.
type habit string

const (
	steady habit = "reads on"
	sips   habit = "reads a little now and then"
	still  habit = "reads nothing"
)

// A screen is a client that resumes where it was.
type screen struct {
	f             *feed
	habit         habit
	stall, resume chan struct{} // closed when the stall begins, and when it ends

	conn     *websocket.Conn
	net      *throttled
	position string
	next     int64

	// Once it has watched:
	connections int
	took        [phases][]int64 // microseconds that some messages took, of those that read on
	err         error
}

// dial connects with a small receive buffer and subscribes. The reply is among the messages.
func (c *screen) dial() error {
	d := websocket.Dialer{
		Subprotocols: []string{"pulso.v1.json"}, HandshakeTimeout: 10 * time.Second,
		NetDial: func(network, addr string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: 10 * time.Second}
			if c.habit != steady {
				dialer.Control = smallBuffer
			}
			nc, err := dialer.Dial(network, addr)
			if err != nil {
				return nil, err
			}
			c.net = &throttled{Conn: nc, screen: c}
			return c.net, nil
		},
	}
	conn, resp, err := d.Dial("ws://"+c.f.s.h.HTTP+"/ws", nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	c.conn = conn
	c.connections++
	subscribe := fmt.Sprintf(`{"id":1,"subscribe":{"filters":["devices/#"],"from":%q}}`, c.position)
	return conn.WriteMessage(websocket.TextMessage, []byte(subscribe))
}

func smallBuffer(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10) }); e != nil {
		return e
	}
	return err
}

// A throttled connection reads as its screen does during the stall.
type throttled struct {
	net.Conn

	screen *screen
}

// Read implements [net.Conn].
func (c *throttled) Read(p []byte) (int, error) {
	select {
	case <-c.screen.resume:
	case <-c.screen.stall:
		switch c.screen.habit {
		case steady:
		case sips:
			select {
			case <-time.After(100 * time.Millisecond):
				p = p[:min(len(p), 1<<10)]
			case <-c.screen.resume:
			}
		case still:
			<-c.screen.resume
		}
	default:
	}
	return c.Conn.Read(p)
}

var (
	errNeverEnds  = errors.New("not everything came in time")
	errIncomplete = errors.New("the hub says that something is missing")
)

// watch reads until it has had every message, and comes back when its connection ends.
func (c *screen) watch() {
	defer func() { _ = c.conn.Close() }()
	if c.habit == sips { // the hub's pings stand behind much that it has not read
		done := make(chan struct{})
		defer close(done)
		go c.keepAlive(done)
	}
	for c.err == nil {
		if total := c.f.total.Load(); total > 0 && c.next >= total {
			return
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(*stallFor + time.Minute))
		_, message, err := c.conn.ReadMessage()
		switch {
		case isTimeout(err):
			c.err = errNeverEnds
		case err == nil:
			c.err = c.take(message)
		case c.habit != still || c.connections > 1:
			c.err = fmt.Errorf("after %d messages: %w", c.next, err)
		default:
			_ = c.conn.Close()
			c.err = c.dial()
		}
	}
}

// keepAlive says every few seconds that the screen is there.
func (c *screen) keepAlive(done <-chan struct{}) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			_ = c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) // reading tells if it can't
		}
	}
}

// take checks the messages of a frame, and keeps the place.
func (c *screen) take(message []byte) error {
	now := time.Now().UnixMicro()
	for _, bad := range []string{`"gap":`, `"error":`, `"recovered":false`} {
		if bytes.Contains(message, []byte(bad)) {
			return fmt.Errorf("%w: %.200s", errIncomplete, message)
		}
	}
	for rest := message; ; c.next++ {
		_, found, there := bytes.Cut(rest, []byte(`{"n":`))
		if !there {
			break
		}
		rest = found
		n, at, phase, err := numbers(found)
		if err != nil {
			return err
		}
		if n != c.next {
			return fmt.Errorf("message %d where %d comes next", n, c.next)
		}
		if c.habit == steady && n%8 == 0 && phase < phases {
			c.took[phase] = append(c.took[phase], now-at)
		}
	}
	if _, found, there := bytes.Cut(message, []byte(`"position":"`)); there {
		position, _, _ := bytes.Cut(found, []byte(`"`))
		c.position = string(position)
	}
	return nil
}

// numbers reads what a message says behind its beginning.
func numbers(b []byte) (n, at, phase int64, err error) {
	for i, into := range []*int64{&n, &at, &phase} {
		if i > 0 {
			_, b, _ = bytes.Cut(b, []byte(":"))
		}
		digits := b[:max(0, bytes.IndexByte(b, ','))]
		if *into, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
			return 0, 0, 0, fmt.Errorf("a message that was not sent: %.80s", b)
		}
	}
	return n, at, phase, nil
}
