package hub

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"pulso/test/internal/mqtt"
)

// accountsEnv, where it is set, has all hubs begin with accounts, and the tests' clients come with theirs: what holds for a hub that is
// open must hold for one that is shut.
const accountsEnv = "PULSO_TEST_ACCOUNTS"

// accountsFile is the file of accounts that each hub begins with; empty: none.
var accountsFile string

// Authorization is the header by which HTTP clients of other people say who they are; empty: nobody has to. Go's own need not mind.
var Authorization string

// makeAccounts makes a gateway, which MQTT clients are, and an administrator's token, which HTTP clients bring.
func makeAccounts(dir string) error {
	run := func(pattern string, args ...string) (string, error) {
		out, err := exec.Command(binary, append(args, "--data", dir)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(out)
		if found == nil {
			return "", fmt.Errorf("no %s in %s", pattern, out)
		}
		return string(found[1]), nil
	}
	secret, err := run(`password +(\S+)`, "device", "add", "tester", "--role", "gateway")
	if err != nil {
		return err
	}
	token, err := run(`once: (\S+)`, "token", "admin", "--role", "administrator")
	if err != nil {
		return err
	}
	accountsFile = filepath.Join(dir, "access.json")
	mqtt.Default.User, mqtt.Default.Password = "tester", secret
	Authorization = "Bearer " + token
	http.DefaultTransport = bearer{http.DefaultTransport}
	return nil
}

// bearer brings the token with each request.
type bearer struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", Authorization)
	return b.next.RoundTrip(r)
}

// giveAccounts lets a hub that is about to start have the accounts, if its folder has none.
func giveAccounts(data string) error {
	to := filepath.Join(data, "access.json")
	if _, err := os.Stat(to); accountsFile == "" || err == nil {
		return nil
	}
	text, err := os.ReadFile(accountsFile)
	if err == nil {
		err = os.MkdirAll(data, 0o750)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	return err
}
