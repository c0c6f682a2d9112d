package simulators

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Broker says where the broker is and who the devices are to it. Its tags are flags of the command line.
type Broker struct {
	// URL is tcp:// or mqtt://, ssl:// or mqtts://, ws:// or wss://; empty means tcp://127.0.0.1:1883.
	URL string `default:"tcp://127.0.0.1:1883" env:"PULSO_SIM_BROKER" help:"Broker: tcp://, ssl://, ws:// or wss://." name:"broker" placeholder:"URL"`
	// Username and Password are every device's; empty means none.
	Username string `env:"PULSO_SIM_USERNAME" help:"User name of all devices."`
	Password string `env:"PULSO_SIM_PASSWORD" help:"Password of all devices."`
	// CA is a file of PEM certificates to trust instead of the system's; empty means the system's.
	CA string `help:"File with the certificates to trust (PEM); without it the system's." name:"ca" placeholder:"FILE"`
}

// Connecting to a broker takes at most this long, and so does any one write. A broker that a whole fleet calls at once
// gets more time to answer than a person would give it: an attempt that is given up costs it twice.
const (
	connectTimeout = 20 * time.Second
	writeTimeout   = 10 * time.Second
)

// DefaultBroker is the broker of a zero Broker.URL.
const DefaultBroker = "tcp://127.0.0.1:1883"

// A RefusedError is a broker's answer to CONNECT that is not acceptance: MQTT 3.1.1, table 3.1.
type RefusedError struct{ Code byte }

func (r *RefusedError) Error() string {
	switch r.Code {
	case packets.ErrRefusedBadUsernameOrPassword:
		return "the broker refused the connection: bad user name or password"
	case packets.ErrRefusedNotAuthorised:
		return "the broker refused the connection: not authorized (user name, password or rights)"
	case packets.ErrRefusedIDRejected:
		return "the broker refused the connection: client id rejected"
	case packets.ErrRefusedBadProtocolVersion:
		return "the broker refused the connection: it does not speak MQTT 3.1.1"
	case packets.ErrRefusedServerUnavailable:
		return "the broker refused the connection: it is not available yet"
	default:
		return fmt.Sprintf("the broker refused the connection: return code %d", r.Code)
	}
}

// Temporary reports whether trying again without any change may help.
func (r *RefusedError) Temporary() bool { return r.Code == packets.ErrRefusedServerUnavailable }

// errNotMQTT is returned when something answers that is no MQTT broker.
var errNotMQTT = errors.New("the answer to CONNECT is not a CONNACK: is this an MQTT broker?")

// endpoint opens connections to one broker.
type endpoint struct {
	url                *url.URL
	tls                *tls.Config
	username, password string
	loopback           bool
}

func newEndpoint(b Broker) (*endpoint, error) {
	text := b.URL
	if text == "" {
		text = DefaultBroker
	}

	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}

	port := map[string]string{"tcp": "1883", "mqtt": "1883", "ssl": "8883", "tls": "8883", "mqtts": "8883", "ws": "80", "wss": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" {
		return nil, fmt.Errorf("broker %q: want tcp://HOST:PORT, ssl://HOST:PORT, ws://HOST:PORT/PATH or wss://…", text)
	}

	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}

	e := &endpoint{url: u, username: b.Username, password: b.Password}
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		e.loopback = ip.IsLoopback() && ip.To4() != nil
	}

	if u.User != nil && e.username == "" {
		e.username = u.User.Username()
		e.password, _ = u.User.Password()
		u.User = nil
	}

	e.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}

	if b.CA != "" {
		pem, err := os.ReadFile(b.CA)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust: %w", err)
		}

		e.tls.RootCAs = x509.NewCertPool()
		if !e.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates to trust: %s holds no PEM certificate", b.CA)
		}
	}

	return e, nil
}

// portsPerAddress is how many connections one source address makes: an address has about 28,000 ports for outgoing
// connections, and some are in use or waiting.
const portsPerAddress = 20_000

// dial opens the connection that MQTT runs on. Index spreads connections over the source addresses 127.0.0.1, .2, …
// when there are more of them than one address has ports.
func (e *endpoint) dial(ctx context.Context, index int) (net.Conn, error) {
	dialer := &net.Dialer{}

	if address := index / portsPerAddress; e.loopback && address > 0 {
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+address%250))}
	}

	switch e.url.Scheme {
	case "ws", "wss":
		return mqtt.NewWebsocket(e.url.String(), e.tls, connectTimeout, nil, nil)
	case "ssl", "tls", "mqtts":
		return (&tls.Dialer{NetDialer: dialer, Config: e.tls}).DialContext(ctx, "tcp", e.url.Host)
	default:
		return dialer.DialContext(ctx, "tcp", e.url.Host)
	}
}

// A hello is what a client says of itself in CONNECT.
type hello struct {
	id        string
	keepAlive time.Duration
	will      *message
}

// connect dials and does the MQTT handshake. The reader holds what the broker may have sent after its CONNACK.
func (e *endpoint) connect(ctx context.Context, index int, h hello) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()

	conn, err := e.dial(ctx, index)
	if err != nil {
		return nil, nil, err
	}

	reader := bufio.NewReaderSize(conn, readBuffer)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	err = e.handshake(conn, reader, h)

	if !stop() && err == nil {
		err = ctx.Err()
	}

	if err != nil {
		return nil, nil, errors.Join(err, ignoreClosed(conn.Close()))
	}

	return conn, reader, nil
}

// handshake sends CONNECT, always with a clean session, and waits for CONNACK [MQTT-3.2.0-1].
func (e *endpoint) handshake(conn net.Conn, reader *bufio.Reader, h hello) error {
	connect, _ := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion = "MQTT", 4
	connect.CleanSession = true
	connect.ClientIdentifier = h.id
	connect.Keepalive = uint16(h.keepAlive / time.Second)
	connect.Username, connect.UsernameFlag = e.username, e.username != ""
	connect.Password, connect.PasswordFlag = []byte(e.password), e.password != ""

	if h.will != nil {
		connect.WillFlag, connect.WillRetain, connect.WillQos = true, h.will.retain, h.will.qos
		connect.WillTopic, connect.WillMessage = h.will.topic, h.will.payload
	}

	if err := connect.Write(conn); err != nil {
		return fmt.Errorf("send CONNECT: %w", err)
	}

	packet, err := readPacket(reader)
	if err != nil {
		return fmt.Errorf("wait for CONNACK: %w", err)
	}

	connack, ok := packet.(*packets.ConnackPacket)
	if !ok {
		return errNotMQTT
	}

	if connack.ReturnCode != packets.Accepted {
		return &RefusedError{connack.ReturnCode}
	}

	return nil
}

// ignoreClosed returns err unless it says that the connection had been closed before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}

	return err
}

// reason returns the heart of a network error, without the addresses that differ from device to device.
func reason(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", connectTimeout)
	}

	operation, ok := errors.AsType[*net.OpError](err)
	if !ok || operation.Err == nil {
		return err.Error()
	}

	if call, ok := errors.AsType[*os.SyscallError](operation.Err); ok {
		return call.Err.Error()
	}

	return operation.Err.Error()
}
