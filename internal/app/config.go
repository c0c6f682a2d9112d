package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"pulso/access"
	"pulso/access/jwt"
	"pulso/access/meter"
	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// Config is everything that can be set on a hub. Flags, environment (PULSO_…) and the configuration file all fill this
// one struct; its tags are read by github.com/alecthomas/kong and hold the defaults.
type Config struct {
	MQTT           string   `name:"mqtt" env:"PULSO_MQTT" default:"127.0.0.1:1883" placeholder:"HOST:PORT" help:"Address for MQTT over TCP; none: a hub without a broker of its own."`
	HTTP           string   `name:"http" env:"PULSO_HTTP" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address for the dashboard, the stream, MQTT over WebSocket and metrics."`
	Data           string   `name:"data" env:"PULSO_DATA" default:"pulso-data" placeholder:"DIR" help:"Folder that the hub keeps everything in; :memory: keeps nothing."`
	AllowAnonymous bool     `name:"allow-anonymous" env:"PULSO_ALLOW_ANONYMOUS" help:"Listen beyond this machine although there are no users: whoever reaches the ports reads and publishes everything. With the first user it counts for nothing."`
	AllowOrigin    []string `name:"allow-origin" env:"PULSO_ALLOW_ORIGIN" placeholder:"ORIGIN" help:"Origins besides the hub's own whose pages may connect (https://example.org; * for all)."`
	AllowHost      []string `name:"allow-host" env:"PULSO_ALLOW_HOST" placeholder:"NAME" help:"Names by which browsers may call the hub besides its addresses (hub.example.org; * for any)."`

	MQTTS         string   `group:"tls" name:"mqtts" env:"PULSO_MQTTS" placeholder:"HOST:PORT" help:"Address for MQTT over TLS, beside the plain one."`
	HTTPS         string   `group:"tls" name:"https" env:"PULSO_HTTPS" placeholder:"HOST:PORT" help:"Address for HTTPS, beside the plain one."`
	TLSCert       string   `group:"tls" name:"tls-cert" env:"PULSO_TLS_CERT" placeholder:"FILE" help:"Certificate with those that it builds on, PEM; read again when it changes."`
	TLSKey        string   `group:"tls" name:"tls-key" env:"PULSO_TLS_KEY" placeholder:"FILE" help:"Its private key, PEM."`
	ClientCA      string   `group:"tls" name:"client-ca" env:"PULSO_CLIENT_CA" placeholder:"FILE" help:"Who signs certificates of devices, PEM: one whose common name is a device's needs no password on mqtts."`
	ACMEDomain    []string `group:"tls" name:"acme-domain" env:"PULSO_ACME_DOMAIN" placeholder:"NAME" help:"Names to get a certificate for by ACME (Let's Encrypt); https must be reachable there on port 443."`
	ACMEEmail     string   `group:"tls" name:"acme-email" env:"PULSO_ACME_EMAIL" placeholder:"ADDRESS" help:"Whom the authority may write to."`
	ACMEDirectory string   `group:"tls" name:"acme-directory" env:"PULSO_ACME_DIRECTORY" placeholder:"URL" help:"Another authority's directory."`
	HTTPSRedirect bool     `group:"tls" name:"https-redirect" env:"PULSO_HTTPS_REDIRECT" help:"Lead who comes by plain HTTP to https."`
	TrustedProxy  []string `group:"tls" name:"trusted-proxy" env:"PULSO_TRUSTED_PROXY" placeholder:"NETWORK" help:"Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."`

	OIDCIssuer       string        `group:"oidc" name:"oidc-issuer" env:"PULSO_OIDC_ISSUER" placeholder:"URL" help:"Provider by which people can log in with OpenID Connect, as it calls itself; https, or this machine."`
	OIDCClient       string        `group:"oidc" name:"oidc-client" env:"PULSO_OIDC_CLIENT" placeholder:"ID" help:"What the provider calls this hub."`
	OIDCSecretFile   string        `group:"oidc" name:"oidc-secret-file" env:"PULSO_OIDC_SECRET_FILE" placeholder:"FILE" help:"Where the client's secret is, read at each login."`
	OIDCSecretEnv    string        `group:"oidc" name:"oidc-secret-env" env:"PULSO_OIDC_SECRET_ENV" placeholder:"NAME" help:"Or the variable of the environment that holds it."`
	OIDCName         string        `group:"oidc" name:"oidc-name" env:"PULSO_OIDC_NAME" default:"oidc" placeholder:"NAME" help:"What the provider is called here: who logs in by it is NAME:SUBJECT. Letters a to z, digits and -."`
	OIDCAlgorithm    string        `group:"oidc" name:"oidc-algorithm" env:"PULSO_OIDC_ALGORITHM" default:"RS256" enum:"RS256,ES256,EdDSA" help:"How it signs ID tokens: RS256, ES256 or EdDSA."`
	OIDCScopes       []string      `group:"oidc" name:"oidc-scopes" env:"PULSO_OIDC_SCOPES" placeholder:"SCOPE" help:"What is asked for besides openid, for the provider to tell roles."`
	OIDCRolesClaim   string        `group:"oidc" name:"oidc-roles-claim" env:"PULSO_OIDC_ROLES_CLAIM" default:"roles" placeholder:"CLAIM" help:"Claim of ID tokens that names roles of this hub: a list, or a text with spaces."`
	OIDCRoles        []string      `group:"oidc" name:"oidc-roles" env:"PULSO_OIDC_ROLES" placeholder:"ROLE" help:"Roles of those of whom the provider tells none that this hub has; without, they are not let in."`
	OIDCSession      time.Duration `group:"oidc" name:"oidc-session" env:"PULSO_OIDC_SESSION" default:"8h" help:"How long such a login lasts: a minute to 24h."`
	OIDCAllowPrivate bool          `group:"oidc" name:"oidc-allow-private" env:"PULSO_OIDC_ALLOW_PRIVATE" help:"The provider is on a private network."`

	Sync        string        `name:"log-sync" env:"PULSO_LOG_SYNC" default:"fsync" enum:"fsync,os" help:"What an acknowledgement waits for: fsync (survives loss of power) or os (survives the process)."`
	RetainAge   time.Duration `name:"log-retain-age" env:"PULSO_LOG_RETAIN_AGE" default:"720h" help:"How long events are held."`
	RetainBytes Bytes         `name:"log-retain-bytes" env:"PULSO_LOG_RETAIN_BYTES" default:"10GiB" help:"How large the log may grow."`
	SegmentSize Bytes         `name:"log-segment-bytes" env:"PULSO_LOG_SEGMENT_BYTES" default:"64MiB" help:"Size of the log's files; retention drops whole ones."`

	HistoryRetainAge       time.Duration `name:"history-retain-age" env:"PULSO_HISTORY_RETAIN_AGE" default:"9600h" help:"How long the values of metrics are held."`
	HistoryRetainBytes     Bytes         `name:"history-retain-bytes" env:"PULSO_HISTORY_RETAIN_BYTES" default:"10GiB" help:"How large the history may grow."`
	HistoryMaxSeries       int           `group:"limits" name:"history-max-series" env:"PULSO_HISTORY_MAX_SERIES" default:"1000000" help:"Most time series that are kept; values of further ones are shown, and counted as not kept."`
	HistoryMaxDeviceSeries int           `group:"limits" name:"history-max-device-series" env:"PULSO_HISTORY_MAX_DEVICE_SERIES" default:"1000" help:"Most time series of one device."`

	MaxMemory Bytes `group:"limits" name:"max-memory" env:"PULSO_MAX_MEMORY" default:"0" help:"Most memory in use; 0: GOMEMLIMIT, else 80% of the container's, else 75% of the machine's."`

	MaxConnections           int           `group:"limits" name:"max-connections" env:"PULSO_MAX_CONNECTIONS" default:"100000" help:"Most MQTT connections at one time."`
	MaxConnectionsPerAddress int           `group:"limits" name:"max-connections-per-address" env:"PULSO_MAX_CONNECTIONS_PER_ADDRESS" default:"50000" help:"Most connections of one source address (IPv6: /64) at one time, on each port."`
	MaxHTTPConnections       int           `group:"limits" name:"max-http-connections" env:"PULSO_MAX_HTTP_CONNECTIONS" default:"20000" help:"Most connections on the HTTP port at one time, MQTT over WebSocket included; one address gets half of them at most."`
	ConnectRate              int           `group:"limits" name:"connect-rate" env:"PULSO_CONNECT_RATE" default:"5000" help:"New connections a second on each port, ten seconds' worth at once; the rest wait."`
	ConnectRatePerAddress    int           `group:"limits" name:"connect-rate-per-address" env:"PULSO_CONNECT_RATE_PER_ADDRESS" default:"2000" help:"New connections a second of one source address on each port, ten seconds' worth at once; the rest are refused."`
	ConnectTimeout           time.Duration `group:"limits" name:"connect-timeout" env:"PULSO_CONNECT_TIMEOUT" default:"5s" help:"How long a connection may take until its CONNECT is complete."`
	KeepAlive                time.Duration `group:"limits" name:"keep-alive" env:"PULSO_KEEP_ALIVE" default:"60s" help:"Longest keep-alive of MQTT 5 clients, and that of those that ask for none."`
	WriteTimeout             time.Duration `group:"limits" name:"write-timeout" env:"PULSO_WRITE_TIMEOUT" default:"60s" help:"How long an MQTT client may take nothing of what it is sent."`
	WriteBuffer              Bytes         `group:"limits" name:"write-buffer" env:"PULSO_WRITE_BUFFER" default:"256KiB" help:"Most bytes that wait for one MQTT client's socket."`

	MaxPacket            Bytes `group:"limits" name:"max-packet" env:"PULSO_MAX_PACKET" default:"1MiB" help:"Largest MQTT packet."`
	ClientMessages       int   `group:"limits" name:"client-messages" env:"PULSO_CLIENT_MESSAGES" default:"0" help:"Messages a second that one MQTT client may publish, a second's worth at once; the rest wait. 0: no limit."`
	ClientBytes          Bytes `group:"limits" name:"client-bytes" env:"PULSO_CLIENT_BYTES" default:"0" help:"Bytes a second that one MQTT client may publish, a second's worth at once; the rest wait. 0: no limit."`
	AccountConnections   int   `group:"limits" name:"account-connections" env:"PULSO_ACCOUNT_CONNECTIONS" default:"50000" help:"Most MQTT connections and stream sessions of one account together; its roles or itself may name another limit. 0: no limit."`
	AccountMessages      int   `group:"limits" name:"account-messages" env:"PULSO_ACCOUNT_MESSAGES" default:"0" help:"Messages a second that one account may publish in all its connections, a second's worth at once; MQTT clients wait, requests are refused. 0: no limit."`
	AccountBytes         Bytes `group:"limits" name:"account-bytes" env:"PULSO_ACCOUNT_BYTES" default:"0" help:"Their bytes a second. 0: no limit."`
	AccountSubscriptions int   `group:"limits" name:"account-subscriptions" env:"PULSO_ACCOUNT_SUBSCRIPTIONS" default:"100000" help:"Most filters of MQTT sessions and rooms of stream sessions of one account. 0: no limit."`
	AccountSamples       int   `group:"limits" name:"account-samples" env:"PULSO_ACCOUNT_SAMPLES" default:"500000000" help:"Samples a minute that questions of one account may read: PromQL, history, exports. 0: no limit."`

	ReceiveMaximum int `group:"limits" name:"receive-maximum" env:"PULSO_RECEIVE_MAXIMUM" default:"1024" help:"Messages that an MQTT 5 client may send before the first of them is acknowledged."`
	MaxTopicLevels int `group:"limits" name:"max-topic-levels" env:"PULSO_MAX_TOPIC_LEVELS" default:"128" help:"Most levels of a topic or filter."`

	MaxSubscriptions int           `group:"limits" name:"max-subscriptions" env:"PULSO_MAX_SUBSCRIPTIONS" default:"1000" help:"Most filters of one MQTT client."`
	MaxInflight      int           `group:"limits" name:"max-inflight" env:"PULSO_MAX_INFLIGHT" default:"256" help:"Messages sent to one subscriber before it has acknowledged the first; its Receive Maximum counts where that is smaller."`
	MaxQueue         int           `group:"limits" name:"max-queue" env:"PULSO_MAX_QUEUE" default:"1000" help:"Messages that wait in memory for one subscriber; beyond it is served from the log."`
	MaxQueueBytes    Bytes         `group:"limits" name:"max-queue-bytes" env:"PULSO_MAX_QUEUE_BYTES" default:"1MiB" help:"Their bytes."`
	MaxMQTTSessions  int           `group:"limits" name:"max-mqtt-sessions" env:"PULSO_MAX_MQTT_SESSIONS" default:"200000" help:"Most MQTT sessions, connected or not."`
	SessionExpiry    time.Duration `group:"limits" name:"session-expiry" env:"PULSO_SESSION_EXPIRY" default:"168h" help:"How long an MQTT session without a connection is kept at most."`

	MaxRetained      int   `group:"limits" name:"max-retained" env:"PULSO_MAX_RETAINED" default:"1000000" help:"Most retained messages."`
	MaxRetainedBytes Bytes `group:"limits" name:"max-retained-bytes" env:"PULSO_MAX_RETAINED_BYTES" default:"256MiB" help:"Most bytes of their topics and payloads."`

	MaxSessions int `group:"limits" name:"max-sessions" env:"PULSO_MAX_SESSIONS" default:"10000" help:"Most screens and services on the stream at one time."`
	MaxDevices  int `group:"limits" name:"max-devices" env:"PULSO_MAX_DEVICES" default:"100000" help:"Most devices that are known; messages of further ones are kept and shown, but not as devices."`

	// Sources are the brokers that messages are taken from. Only the configuration file has them, as a list; `pulso bridge` has
	// flags for them.
	Sources []Source `name:"sources" kong:"-"`
	// Decode says of topics what is known better than the hub can know it. Only the configuration file has it, as a list.
	Decode []decode.Override `name:"decode" kong:"-"`
	// JWT are those whose JSON Web Tokens are believed. Only the configuration file has them, as a list.
	JWT []jwt.Issuer `name:"jwt" kong:"-"`
	// RemoteWrite are other stores that samples are written to. Only the configuration file has them, as a list.
	RemoteWrite []RemoteWrite `name:"remote-write" kong:"-"`

	// Simulate runs simulated devices against the hub's own MQTT address until its context ends, for those who ask for them over
	// HTTP; nil: none are to be had. It cannot be configured.
	Simulate func(ctx context.Context, mqttAddress string) error `kong:"-"`

	LogLevel  string `name:"verbosity" env:"PULSO_VERBOSITY" default:"info" enum:"debug,info,warn,error" help:"What the hub writes to its standard error: debug, info, warn or error."`
	LogFormat string `name:"log-format" env:"PULSO_LOG_FORMAT" default:"text" enum:"text,json" help:"How it does: text or json."`
}

// InMemory is the Data of a hub that keeps nothing, NoBroker the MQTT of one that only takes from other brokers.
const (
	InMemory = ":memory:"
	NoBroker = "none"
)

// ErrConfig is wrapped by the errors of Check.
var ErrConfig = errors.New("configuration")

// A KeyError is a key of the configuration whose value is not good.
type KeyError struct {
	// Key is the flag's name without its dashes.
	Key string
	// Text says what is wrong with its value.
	Text string
}

// Error implements error.
func (e *KeyError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrConfig, e.Key, e.Text) }

// Unwrap returns [ErrConfig].
func (e *KeyError) Unwrap() error { return ErrConfig }

// Check returns what is wrong with the configuration, all of it joined, a [KeyError] each.
func (c *Config) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, &KeyError{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	c.checkAddresses(bad)
	c.checkTLS(bad)
	c.checkOpenID(bad)
	c.checkSources(bad)
	c.checkRemoteWrite(bad)
	if at, err := decode.CheckOverrides(c.Decode); err != nil {
		bad(fmt.Sprintf("decode[%d]", at), "%v", err)
	}
	if c.Data == "" {
		bad("data", "no folder is named; %s keeps nothing", InMemory)
	}
	for _, o := range c.AllowOrigin {
		if o != "*" && !strings.Contains(o, "://") {
			bad("allow-origin", "%q is not an origin like https://example.org", o)
		}
	}
	for _, b := range c.bounds() {
		if b.value < b.from || b.value > b.to {
			bad(b.key, "%s is not between %s and %s", b.show(b.value), b.show(b.from), b.show(b.to))
		}
	}
	if least := Bytes(64 << 20); c.MaxMemory != 0 && c.MaxMemory < least {
		bad("max-memory", "%v is less than %v", c.MaxMemory, least)
	}
	if c.HistoryRetainAge < time.Hour {
		bad("history-retain-age", "%v is less than an hour", c.HistoryRetainAge)
	}
	if c.RetainAge < time.Minute {
		bad("log-retain-age", "%v is less than a minute", c.RetainAge)
	}
	return errors.Join(errs...)
}

// accountLimits are those of accounts that name none.
func (c *Config) accountLimits() meter.Limits {
	return meter.Limits{
		meter.Connections: int64(c.AccountConnections), meter.Messages: int64(c.AccountMessages), meter.Bytes: int64(c.AccountBytes),
		meter.Subscriptions: int64(c.AccountSubscriptions), meter.Samples: int64(c.AccountSamples),
	}
}

// checkAddresses finds what is wrong with the addresses to listen on, and with who may reach them.
func (c *Config) checkAddresses(bad func(key, format string, args ...any)) {
	for i := range c.JWT {
		if err := c.JWT[i].Check(); err != nil {
			bad(fmt.Sprintf("jwt[%d]", i), "%v", err)
		}
	}
	accounts, err := access.Exist(AccessFile(c.Data))
	accounts = accounts || len(c.JWT) > 0 || c.OIDCIssuer != ""
	if err != nil {
		bad("data", "%v", err)
	}
	for _, a := range [...]struct{ key, addr string }{{"mqtt", c.MQTT}, {"http", c.HTTP}, {"mqtts", c.MQTTS}, {"https", c.HTTPS}} {
		if a.key == "mqtt" && a.addr == NoBroker || strings.HasSuffix(a.key, "s") && a.addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(a.addr)
		_, portErr := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil:
			bad(a.key, "%q is not HOST:PORT: %v", a.addr, err)
		case portErr != nil:
			bad(a.key, "%q: the port must be a number from 0 to 65535", a.addr)
		case !c.AllowAnonymous && !accounts && !isLoopback(host):
			bad(a.key, "%q is reachable from other machines, but this hub has no users: make one with `pulso user add NAME --data %s`, "+
				"listen on 127.0.0.1, or set allow-anonymous if everybody who reaches it may read and publish everything", a.addr, c.Data)
		}
	}
}

// A bound is between what a key's value has to be.
type bound struct {
	key             string
	value, from, to int64
	show            func(int64) string
}

// bounds are the keys whose values have bounds. Where the protocol sets one, it says so.
func (c *Config) bounds() []bound {
	count := func(key string, value, from, to int) bound {
		return bound{key, int64(value), int64(from), int64(to), func(n int64) string { return strconv.FormatInt(n, 10) }}
	}
	size := func(key string, value, from, to Bytes) bound {
		return bound{key, int64(value), int64(from), int64(to), func(n int64) string { return Bytes(n).String() }}
	}
	span := func(key string, value, from, to time.Duration) bound {
		return bound{key, int64(value), int64(from), int64(to), func(n int64) string { return time.Duration(n).String() }}
	}
	const many = 1 << 24
	return []bound{
		size("log-retain-bytes", c.RetainBytes, 1<<20, 1<<50),
		size("log-segment-bytes", c.SegmentSize, 64<<10, 1<<30),
		count("max-connections", c.MaxConnections, 1, many),
		count("max-connections-per-address", c.MaxConnectionsPerAddress, 1, many),
		count("max-http-connections", c.MaxHTTPConnections, 2, many),
		count("connect-rate", c.ConnectRate, 1, many),
		count("connect-rate-per-address", c.ConnectRatePerAddress, 1, many),
		span("connect-timeout", c.ConnectTimeout, 100*time.Millisecond, time.Minute),
		span("keep-alive", c.KeepAlive, time.Second, math.MaxUint16*time.Second), // MQTT 5, 3.2.2.3.14
		span("write-timeout", c.WriteTimeout, time.Second, time.Hour),
		size("write-buffer", c.WriteBuffer, 16<<10, 64<<20),
		size("max-packet", c.MaxPacket, 1<<10, 32<<20),
		count("client-messages", c.ClientMessages, 0, 1e9),
		size("client-bytes", c.ClientBytes, 0, 1<<40),
		count("account-connections", c.AccountConnections, 0, access.MaxLimit(meter.Connections)),
		count("account-messages", c.AccountMessages, 0, access.MaxLimit(meter.Messages)),
		size("account-bytes", c.AccountBytes, 0, Bytes(access.MaxLimit(meter.Bytes))),
		count("account-subscriptions", c.AccountSubscriptions, 0, access.MaxLimit(meter.Subscriptions)),
		count("account-samples", c.AccountSamples, 0, access.MaxLimit(meter.Samples)),
		count("receive-maximum", c.ReceiveMaximum, 1, math.MaxUint16), // MQTT 5, 3.2.2.3.3
		count("max-topic-levels", c.MaxTopicLevels, 1, event.MaxLevels),
		count("max-subscriptions", c.MaxSubscriptions, 1, many),
		count("max-inflight", c.MaxInflight, 1, math.MaxUint16), // packet identifiers: MQTT 5, 2.2.1
		count("max-queue", c.MaxQueue, 1, many),
		size("max-queue-bytes", c.MaxQueueBytes, 1<<10, 1<<30),
		count("max-mqtt-sessions", c.MaxMQTTSessions, 1, many),
		span("session-expiry", c.SessionExpiry, time.Second, (math.MaxUint32-1)*time.Second), // MQTT 5, 3.1.2.11.2
		count("max-retained", c.MaxRetained, 1, many),
		size("max-retained-bytes", c.MaxRetainedBytes, 1<<10, 1<<40),
		count("max-sessions", c.MaxSessions, 1, many),
		count("max-devices", c.MaxDevices, 1, many),
		size("history-retain-bytes", c.HistoryRetainBytes, 16<<20, 1<<50),
		count("history-max-series", c.HistoryMaxSeries, 1, many),
		count("history-max-device-series", c.HistoryMaxDeviceSeries, 1, many),
	}
}

// isLoopback reports whether a host to listen on is reachable from this machine only.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// YAML is the configuration as a file would say it.
func (c *Config) YAML() (string, error) {
	var b strings.Builder
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("name")
		if key == "" {
			continue // nothing that a file could say
		}
		value, err := yaml.Marshal(map[string]any{key: v.Field(i).Interface()})
		if err != nil {
			return "", fmt.Errorf("configuration: %s: %w", key, err)
		}
		b.Write(value)
	}
	return b.String(), nil
}
