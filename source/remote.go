package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"pulso/bridge/event"
)

// Bounds of the configuration.
const (
	// MaxRemotes is how many brokers one hub takes from.
	MaxRemotes = 64
	// maxFilters bounds the filters of one of them: they go into one SUBSCRIBE.
	maxFilters = 256
	// maxNameBytes bounds names, which are labels of metrics.
	maxNameBytes = 64
)

// A Remote is one broker that messages are taken from. Its tags are the keys of the configuration file.
type Remote struct {
	// URL is where the broker is: tcp:// or mqtt:// (port 1883), tls:// or mqtts:// (8883), ws:// or wss:// (80, 443; the path
	// is the broker's). It holds neither user nor password.
	URL string `yaml:"from"`
	// Name is what logs, metrics and the data folder call it; empty: the URL's host and port. It is unique in a hub.
	Name string `yaml:"name,omitempty"`
	// Filters are what is taken; none: "#".
	Filters []string `yaml:"filter,omitempty,flow"`
	// Prefix stands before each topic in this hub ("plant1/"), and is taken away from what goes to the broker.
	Prefix string `yaml:"prefix,omitempty"`
	// Share is the group of shared subscriptions, by which several hubs share the messages; empty: this hub gets all.
	Share string `yaml:"share,omitempty"`
	// User is the name to connect with; empty: none.
	User string `yaml:"user,omitempty"`
	// PasswordFile names a file with the password, read at each connect; PasswordEnv a variable of the environment.
	PasswordFile string `yaml:"password-file,omitempty"`
	PasswordEnv  string `yaml:"password-env,omitempty"`
	// CAFile names a PEM file with the authorities that sign the broker's certificate; empty: the system's.
	CAFile string `yaml:"ca-file,omitempty"`
	// CertFile and KeyFile name the PEM files of this hub's own certificate; empty: none.
	CertFile string `yaml:"cert-file,omitempty"`
	KeyFile  string `yaml:"key-file,omitempty"`
	// Insecure takes any certificate from the broker, and so from anyone who gets in between.
	Insecure bool `yaml:"insecure,omitempty"`
	// Protocol is "5", "3.1.1", or empty: 5, and 3.1.1 where the broker does not speak it.
	Protocol string `yaml:"protocol,omitempty"`
	// SessionExpiry is how long the broker keeps what it has for this hub while it is away, in MQTT 5 (in 3.1.1 the broker
	// decides); 0 is a day.
	SessionExpiry time.Duration `yaml:"session-expiry,omitempty"`
	// ReceiveMaximum is how many messages the broker may send before the first of them is stored and acknowledged, in MQTT 5
	// (in 3.1.1 the broker decides); 0 is 1,024.
	ReceiveMaximum int `yaml:"receive-maximum,omitempty"`
	// KeepAlive is the time between two signs of life; 0 is 30 s.
	KeepAlive time.Duration `yaml:"keep-alive,omitempty"`
}

// A RemoteError says which key of a Remote is not good.
type RemoteError struct {
	// Key is the key of the configuration file.
	Key string
	// Text says what is wrong with its value, without any password.
	Text string
}

// Error implements error.
func (e *RemoteError) Error() string { return e.Key + ": " + e.Text }

// defaultPorts are the schemes and their ports.
var defaultPorts = map[string]string{
	"tcp": "1883", "mqtt": "1883", "tls": "8883", "mqtts": "8883", "ssl": "8883", "ws": "80", "wss": "443",
}

// secure reports whether a scheme stands for TLS.
func secure(scheme string) bool {
	return slices.Contains([]string{"tls", "mqtts", "ssl", "wss"}, scheme)
}

// EffectiveName is Name, or what stands for it.
func (r *Remote) EffectiveName() string { return r.withDefaults().Name }

// Address is the broker's host and port.
func (r *Remote) Address() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// withDefaults is a copy in which what zero stands for is filled in.
func (r *Remote) withDefaults() *Remote {
	out := *r
	r = &out
	if u, err := url.Parse(r.URL); err == nil && r.Name == "" {
		r.Name = u.Host
	}
	if len(r.Filters) == 0 {
		r.Filters = []string{"#"}
	}
	if r.SessionExpiry == 0 {
		r.SessionExpiry = 24 * time.Hour
	}
	if r.ReceiveMaximum == 0 {
		r.ReceiveMaximum = 1024
	}
	if r.KeepAlive == 0 {
		r.KeepAlive = 30 * time.Second
	}
	return r
}

// Check returns what is wrong with a Remote, all of it joined, a [RemoteError] each. It reads the files that are named.
func (r *Remote) Check() error {
	return r.withDefaults().check()
}

func (r *Remote) check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, &RemoteError{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	r.checkURL(bad)
	if n := len(r.Name); n > maxNameBytes || strings.ContainsFunc(r.Name, func(c rune) bool { return c < ' ' || c > '~' }) {
		bad("name", "%.80q is not a name of at most %d printable ASCII characters", r.Name, maxNameBytes)
	}
	r.checkTopics(bad)
	if r.PasswordFile != "" && r.PasswordEnv != "" {
		bad("password-file", "password-env is set as well: one of them is enough")
	}
	if _, err := r.password(); err != nil {
		key := "password-env"
		if r.PasswordFile != "" {
			key = "password-file"
		}
		bad(key, "%v", err)
	}
	if _, key, err := r.tls(); err != nil {
		bad(key, "%v", err)
	}
	if !slices.Contains([]string{"", "5", "3.1.1"}, r.Protocol) {
		bad("protocol", "%q is neither 5 nor 3.1.1", r.Protocol)
	}
	// MQTT 5, 3.1.2.11.2: the largest value means for ever.
	if r.SessionExpiry < time.Second || r.SessionExpiry >= (1<<32-1)*time.Second {
		bad("session-expiry", "%v is not between a second and 136 years", r.SessionExpiry)
	}
	if r.ReceiveMaximum < 1 || r.ReceiveMaximum > 65535 { // MQTT 5, 3.1.2.11.3
		bad("receive-maximum", "%d is not between 1 and 65535", r.ReceiveMaximum)
	}
	if r.KeepAlive < time.Second || r.KeepAlive > time.Hour {
		bad("keep-alive", "%v is not between a second and an hour", r.KeepAlive)
	}
	return errors.Join(errs...)
}

// checkURL never repeats a URL that may hold a password.
func (r *Remote) checkURL(bad func(key, format string, args ...any)) {
	u, err := url.Parse(r.URL)
	switch {
	case r.URL == "":
		bad("from", "no broker is named: tcp://HOST:PORT")
	case err != nil:
		bad("from", "not a URL like tcp://HOST:PORT")
	case u.User != nil:
		bad("from", "a URL is no place for a user or a password, it is logged: name the user with user, and put the password into a file (password-file) "+
			"or a variable (password-env)")
	case defaultPorts[u.Scheme] == "":
		bad("from", "%.80q is not tcp://, tls://, ws:// or wss:// (nor mqtt://, mqtts:// or ssl://)", r.URL)
	case u.Hostname() == "":
		bad("from", "%.80q names no host", r.URL)
	case u.Fragment != "" || !strings.HasPrefix(u.Scheme, "ws") && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		bad("from", "%.200q has more behind the host and port than a broker's address has", r.URL)
	}
	if u != nil && !secure(u.Scheme) && (r.CAFile != "" || r.CertFile != "" || r.Insecure) {
		bad("from", "%.80q is not encrypted, but there are settings for TLS: use tls:// or wss://", u.Redacted())
	}
}

func (r *Remote) checkTopics(bad func(key, format string, args ...any)) {
	if len(r.Filters) > maxFilters {
		bad("filter", "%d filters, at most %d", len(r.Filters), maxFilters)
	}
	for i, f := range r.Filters {
		switch err := event.CheckFilter(f); {
		case err != nil:
			bad("filter", "%v", err)
		case strings.HasPrefix(f, "$share/"):
			bad("filter", "%.80q: name the group with share, and the filter without it", f)
		case strings.HasPrefix(f, "$") && r.Prefix == "":
			bad("filter", "%.80q: topics that begin with \"$\" are the broker's own; with a prefix they can be taken", f)
		case slices.Contains(r.Filters[:i], f):
			bad("filter", "%.80q is there twice", f)
		}
	}
	if r.Prefix != "" {
		if err := event.CheckTopic(r.Prefix); err != nil || strings.HasPrefix(r.Prefix, "$") {
			bad("prefix", "%.80q is not the beginning of a topic", r.Prefix)
		}
	}
	if strings.ContainsAny(r.Share, "/+#") || event.CheckTopic("x"+r.Share) != nil { // MQTT 5, 4.8.2
		bad("share", "%.80q is not a group's name: no \"/\", \"+\" or \"#\"", r.Share)
	}
}

// password is the one to connect with; nil where there is none.
func (r *Remote) password() ([]byte, error) {
	if r.PasswordFile != "" {
		text, err := os.ReadFile(r.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		text = []byte(strings.TrimRight(string(text), "\r\n"))
		if len(text) > 65535 {
			return nil, errors.New("the file holds more than a password")
		}
		return text, nil
	}
	if r.PasswordEnv != "" {
		text, set := os.LookupEnv(r.PasswordEnv)
		if !set {
			return nil, fmt.Errorf("the environment has no %s", r.PasswordEnv)
		}
		return []byte(text), nil
	}
	return nil, nil
}

// tls is how to encrypt; with an error comes the key that it is about.
func (r *Remote) tls() (*tls.Config, string, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.Insecure} //nolint:gosec // the operator's explicit choice
	if r.CAFile != "" {
		text, err := os.ReadFile(r.CAFile)
		if err != nil {
			return nil, "ca-file", err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, "ca-file", fmt.Errorf("%s holds no certificate in PEM form", r.CAFile)
		}
	}
	switch {
	case (r.CertFile == "") != (r.KeyFile == ""):
		return nil, "cert-file", errors.New("cert-file and key-file go together")
	case r.CertFile != "":
		pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, "cert-file", err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, "", nil
}
