package app

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is everything that can be set on a hub. Flags, environment (PULSO_…) and the configuration file all fill this
// one struct; its tags are read by github.com/alecthomas/kong and hold the defaults.
type Config struct {
	MQTT           string   `name:"mqtt" env:"PULSO_MQTT" default:"127.0.0.1:1883" placeholder:"HOST:PORT" help:"Address for MQTT over TCP."`
	HTTP           string   `name:"http" env:"PULSO_HTTP" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address for the dashboard, the stream, MQTT over WebSocket and metrics."`
	Data           string   `name:"data" env:"PULSO_DATA" default:"pulso-data" placeholder:"DIR" help:"Folder that the hub keeps everything in; :memory: keeps nothing."`
	AllowAnonymous bool     `name:"allow-anonymous" env:"PULSO_ALLOW_ANONYMOUS" help:"Listen beyond this machine although there are no users: whoever reaches the ports reads and publishes everything."`
	AllowOrigin    []string `name:"allow-origin" env:"PULSO_ALLOW_ORIGIN" placeholder:"ORIGIN" help:"Origins besides the hub's own whose pages may connect (https://example.org; * for all)."`
	AllowHost      []string `name:"allow-host" env:"PULSO_ALLOW_HOST" placeholder:"NAME" help:"Names by which browsers may call the hub besides its addresses (hub.example.org; * for any)."`

	Sync        string        `name:"log-sync" env:"PULSO_LOG_SYNC" default:"fsync" enum:"fsync,os" help:"What an acknowledgement waits for: fsync (survives loss of power) or os (survives the process)."`
	RetainAge   time.Duration `name:"log-retain-age" env:"PULSO_LOG_RETAIN_AGE" default:"720h" help:"How long events are held."`
	RetainBytes Bytes         `name:"log-retain-bytes" env:"PULSO_LOG_RETAIN_BYTES" default:"10GiB" help:"How large the log may grow."`
	SegmentSize Bytes         `name:"log-segment-bytes" env:"PULSO_LOG_SEGMENT_BYTES" default:"64MiB" help:"Size of the log's files; retention drops whole ones."`

	MaxPacket      Bytes `name:"max-packet" env:"PULSO_MAX_PACKET" default:"1MiB" help:"Largest MQTT packet."`
	MaxConnections int   `name:"max-connections" env:"PULSO_MAX_CONNECTIONS" default:"100000" help:"Most MQTT connections at one time."`
	MaxSessions    int   `name:"max-sessions" env:"PULSO_MAX_SESSIONS" default:"10000" help:"Most screens and services on the stream at one time."`
	MaxDevices     int   `name:"max-devices" env:"PULSO_MAX_DEVICES" default:"100000" help:"Most devices that are known; messages of further ones are kept and shown, but not as devices."`

	LogLevel  string `name:"verbosity" env:"PULSO_VERBOSITY" default:"info" enum:"debug,info,warn,error" help:"What the hub writes to its standard error: debug, info, warn or error."`
	LogFormat string `name:"log-format" env:"PULSO_LOG_FORMAT" default:"text" enum:"text,json" help:"How it does: text or json."`
}

// InMemory is the Data of a hub that keeps nothing.
const InMemory = ":memory:"

// ErrConfig is wrapped by the errors of Check.
var ErrConfig = errors.New("configuration")

// Check returns what is wrong with the configuration, all of it, each error naming its key.
func (c *Config) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s: %s", ErrConfig, key, fmt.Sprintf(format, args...)))
	}
	for _, a := range [...]struct{ key, addr string }{{"mqtt", c.MQTT}, {"http", c.HTTP}} {
		host, port, err := net.SplitHostPort(a.addr)
		_, portErr := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil:
			bad(a.key, "%q is not HOST:PORT: %v", a.addr, err)
		case portErr != nil:
			bad(a.key, "%q: the port must be a number from 0 to 65535", a.addr)
		case !c.AllowAnonymous && !isLoopback(host):
			bad(a.key, "%q is reachable from other machines, but this hub has no users: "+
				"listen on 127.0.0.1, or set allow-anonymous if everybody who reaches it may read and publish everything", a.addr)
		}
	}
	if c.Data == "" {
		bad("data", "no folder is named; %s keeps nothing", InMemory)
	}
	for _, o := range c.AllowOrigin {
		if o != "*" && !strings.Contains(o, "://") {
			bad("allow-origin", "%q is not an origin like https://example.org", o)
		}
	}
	for _, n := range [...]struct {
		key         string
		value, from int64
		to          int64
	}{
		{"log-retain-bytes", int64(c.RetainBytes), 1 << 20, 1 << 50},
		{"log-segment-bytes", int64(c.SegmentSize), 64 << 10, 1 << 30},
		{"max-packet", int64(c.MaxPacket), 1 << 10, 32 << 20},
		{"max-connections", int64(c.MaxConnections), 1, 1 << 24},
		{"max-sessions", int64(c.MaxSessions), 1, 1 << 24},
		{"max-devices", int64(c.MaxDevices), 1, 1 << 24},
	} {
		if n.value < n.from || n.value > n.to {
			bad(n.key, "%d is not between %d and %d", n.value, n.from, n.to)
		}
	}
	if c.RetainAge < time.Minute {
		bad("log-retain-age", "%v is less than a minute", c.RetainAge)
	}
	return errors.Join(errs...)
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
		value, err := yaml.Marshal(map[string]any{key: v.Field(i).Interface()})
		if err != nil {
			return "", fmt.Errorf("configuration: %s: %w", key, err)
		}
		b.Write(value)
	}
	return b.String(), nil
}
