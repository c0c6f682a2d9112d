package e2e

import (
	"os/exec"
	"regexp"
	"testing"
)

// People log in, administrators manage accounts, and who is revoked is led out, in a real browser.
func TestLoginInBrowser(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	out, err := exec.Command(binary, "user", "add", "anna", "--data", data).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made := regexp.MustCompile(`once: (\S+)`).FindSubmatch(out)
	if made == nil {
		t.Fatalf("no password in %s", out)
	}
	h := serve(t, data)
	playwright(t, "login.spec.ts", "http://"+h.http, h.mqtt, "PULSO_DATA="+data, "PULSO_PASSWORD="+string(made[1]))
}
