package remotewrite

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// Bounds of the configuration.
const (
	// MaxTargets is how many places one hub writes to.
	MaxTargets   = 16
	maxLabels    = 32
	maxNameBytes = 64
	maxSecret    = 16 << 10
)

// A Target is one place that samples are written to. Its tags are the keys of the configuration file.
type Target struct {
	// URL is where samples are posted to, http:// or https://. It holds neither user nor password.
	URL string `yaml:"url"`
	// Name is what logs, metrics and the data folder call it; empty: the URL's host and port. It is unique in a hub.
	Name string `yaml:"name,omitempty"`
	// Username is the name of HTTP's basic authentication; empty: none.
	Username string `yaml:"username,omitempty"`
	// PasswordFile names a file with its password, BearerTokenFile one with a token instead. They are read at each request, so
	// that what is in them may change.
	PasswordFile    string `yaml:"password-file,omitempty"`
	BearerTokenFile string `yaml:"bearer-token-file,omitempty"`
	// CAFile names a PEM file with the authorities that sign the far side's certificate; empty: the system's.
	CAFile string `yaml:"ca-file,omitempty"`
	// CertFile and KeyFile name the PEM files of this hub's own certificate; empty: none.
	CertFile string `yaml:"cert-file,omitempty"`
	KeyFile  string `yaml:"key-file,omitempty"`
	// Labels are added to every series, unless it has one of that name. They tell hubs apart that write to one place.
	Labels map[string]string `yaml:"labels,omitempty,flow"`
	// Headers are added to every request, as for a tenant ("X-Scope-OrgID"). They are no place for secrets.
	Headers map[string]string `yaml:"headers,omitempty,flow"`
}

// A TargetError is a key of a Target whose value is not good.
type TargetError struct {
	// Key is the key of the configuration file, Text what is wrong with its value.
	Key, Text string
}

// Error implements error.
func (e *TargetError) Error() string { return e.Key + ": " + e.Text }

// EffectiveName is Name, or what stands for it.
func (t *Target) EffectiveName() string {
	u, err := url.Parse(t.URL)
	if t.Name != "" || err != nil {
		return t.Name
	}
	return u.Host
}

// Check returns what is wrong with the Target, all of it joined, a [TargetError] each.
func (t *Target) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, &TargetError{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	u, err := url.Parse(t.URL)
	switch { // a URL that may hold a password is not repeated
	case t.URL == "":
		bad("url", "no place is named: https://HOST/api/v1/write")
	case err != nil:
		bad("url", "not a URL like https://HOST/api/v1/write")
	case u.User != nil:
		bad("url", "a URL is no place for a user or a password, it is logged: use username and password-file, or bearer-token-file")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		bad("url", "%.80q is not http://HOST… or https://HOST…", u.Redacted())
	}
	if strings.ContainsFunc(t.Name, func(c rune) bool { return c < ' ' || c > '~' }) || len(t.Name) > maxNameBytes {
		bad("name", "%.80q is not a name of at most %d printable ASCII characters", t.Name, maxNameBytes)
	}
	t.checkSecrets(bad)
	if _, key, err := t.tls(); err != nil {
		bad(key, "%v", err)
	}
	if len(t.Labels) > maxLabels {
		bad("labels", "%d labels, at most %d", len(t.Labels), maxLabels)
	}
	for name := range t.Labels {
		if !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, "__") {
			bad("labels", "%.80q is not the name of a label", name)
		}
	}
	for name, value := range t.Headers {
		if !isToken(name) || strings.ContainsAny(value, "\r\n\x00") || slices.Contains(ownHeaders, strings.ToLower(name)) {
			bad("headers", "%.80q is not a header that may be set here", name)
		}
	}
	return errors.Join(errs...)
}

// ownHeaders are set by other keys, or by the protocol.
var ownHeaders = []string{
	"authorization", "content-encoding", "content-type", "content-length", "transfer-encoding", "host", "connection", "user-agent",
	"x-prometheus-remote-write-version",
}

// isToken reports whether s may be the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

func (t *Target) checkSecrets(bad func(key, format string, args ...any)) {
	if t.PasswordFile != "" && t.Username == "" {
		bad("username", "it is needed beside password-file")
	}
	if t.BearerTokenFile != "" && (t.Username != "" || t.PasswordFile != "") {
		bad("bearer-token-file", "username and password-file are set as well: one way to authenticate is enough")
	}
	for _, f := range [...]struct{ key, path string }{{"password-file", t.PasswordFile}, {"bearer-token-file", t.BearerTokenFile}} {
		if _, err := secret(f.path); err != nil {
			bad(f.key, "%v", err)
		}
	}
}

// secret is what is in a file, without the line's end; of no file, nothing.
func secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if len(text) > maxSecret || strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("%s is not one line of at most %d bytes", path, maxSecret)
	}
	return text, nil
}

// tls is how to speak TLS. Where that cannot be, key is the one to blame.
func (t *Target) tls() (config *tls.Config, key string, err error) {
	config = &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, "ca-file", err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "ca-file", fmt.Errorf("%s holds no certificate in PEM form", t.CAFile)
		}
	}
	if cmp.Or(t.CertFile, t.KeyFile) != "" {
		own, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, "cert-file", err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, "", nil
}
